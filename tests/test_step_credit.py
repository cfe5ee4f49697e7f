"""Step credit: what the flags say, the advantage by hand, and how rows are weighed."""

import statistics

import pytest
from test_curate import MEMORY, elsewhere, episode, step
from test_pairs import FAIL, LONG, LOST, WON, attempt

from finetune.curate.step_credit import StepCredit, advantages, along_success
from instar.errors import ConfigError
from instar.types import Result

Config = StepCredit.Config


def curate(trajectories, **config):
    return StepCredit(Config(**{"home": "home", **config})).curate(trajectories)


def test_a_turn_is_good_that_came_to_what_the_shortest_success_came_to():
    again = attempt("again", step(a="1"), step(a="1"), step(a="2"), step("finish"))
    wrong = attempt("wrong", step(a="1", error=True), step(a="2"), score=FAIL)
    said = WON.steps[1].model_copy(update={"results": (Result(text="already"),)})
    other = attempt("other", step(a="1"), said, score=FAIL)
    assert along_success([WON, LONG, LOST, again, wrong, other]) == [
        [True, True, True],
        [True, False, True, True],
        [True, False, True],
        [True, False, True, True],
        [False, True],
        [True, False],
    ]


def test_element_references_mean_nothing_and_what_was_seen_after_them_does():
    clicks = tuple(t.model_copy(update={"volatile": ("a",)}) for t in WON.tools)

    def path(name, reference, seen, **changes):
        after = step("finish").model_copy(update={"observation": seen})
        return attempt(name, step(a=reference), after, tools=clicks, **changes)

    won = path("won", "e1", "page: saved")
    same, off = (
        path(name, "e7", seen, score=FAIL)
        for name, seen in (("same", "page: saved"), ("off", "page: help"))
    )
    assert along_success([won, same, off]) == [[True, True], [True, True], [False, True]]


def test_the_advantage_is_that_of_the_paper():
    # Means of the flags: 1 and 1/2, so 3/4; squares (1/16, (1/16 + 9/16) / 2), so deviation sqrt(3/16).
    good, bad = 0.25 / (3 / 16) ** 0.5, -0.75 / (3 / 16) ** 0.5
    found = advantages([[True, True], [True, False]], [True, False], alpha=0.1)
    assert found[0] == pytest.approx([1 + 0.2 * good, 1 + 0.1 * good])
    assert found[1] == pytest.approx([-1 + 0.1 * (good + bad), -1 + 0.1 * bad])
    assert advantages([[True], [True]], [True, False], alpha=0.1) == [[1.0], [-1.0]]
    rare = advantages([[True]] * 4, [True, False, False, False], alpha=0.1)
    assert rare[0] == pytest.approx([3**0.5])


def test_successes_are_weighed_and_failures_only_compared_with():
    found = curate([WON, LONG, LOST])
    weights = {(row["trajectory"], row["step"]): row["weight"] for row in found.rows}
    assert found.dropped == {"lost": "score fail: it is compared with, and not learnt"}
    assert statistics.fmean(weights.values()) == pytest.approx(1, abs=1e-3)
    assert weights["long", 1] < weights["won", 1] and weights["won", 0] > weights["won", 1]
    assert found.form == "answers"
    flat = {row["weight"] for row in curate([WON, LONG, LOST], alpha=0).rows}
    assert flat == {1.0}


def test_a_turn_without_credit_is_left_out():
    found = curate([WON, LONG, LOST], alpha=3)
    assert ("long", 1) not in {(row["trajectory"], row["step"]) for row in found.rows}
    assert all(row["weight"] > 0 for row in found.rows)


def test_a_task_whose_attempts_ended_alike_gives_nothing():
    found = curate([WON, LONG, episode("alone")])
    assert not found.rows and len(found.dropped) == 3
    assert all("ended alike" in why for why in found.dropped.values())
    assert curate([LOST]).dropped["lost"].startswith("score fail")


def test_memories_are_left_out_kept_as_served_and_shared_in_from_elsewhere():
    told = attempt("told", step(a="1", cited=("i1",)), step("finish"), memories=(MEMORY,))
    found = curate([told, LOST, *(elsewhere(f"a{k}") for k in range(3))])
    kinds = [(row["namespace"], row["memories"]) for row in found.rows]
    assert kinds == [("home", False), ("home", False), ("home", True), ("away", True)]
    assert found.rows[2]["weight"] == found.rows[0]["weight"] and found.rows[3]["weight"] == 1
    assert sum("share of rows with memory is full" in w for w in found.dropped.values()) == 2


def nothing_right(attempts):
    return [[False] * len(t.steps) for t in attempts]


def too_few(attempts):
    return [[] for _ in attempts]


def test_somebodys_own_judge_of_turns_is_asked():
    ours = {row["weight"] for row in curate([WON, LOST]).rows}
    theirs = {row["weight"] for row in curate([WON, LOST], scorer=f"{__name__}.nothing_right").rows}
    assert theirs == {1.0} != ours
    with pytest.raises(ConfigError, match="one flag for each turn"):
        curate([WON, LOST], scorer=f"{__name__}.too_few")
    for name in ("nowhere.at_all", f"{__name__}.absent", "word"):
        with pytest.raises(ConfigError, match=r"package\.module\.function"):
            curate([WON], scorer=name)
