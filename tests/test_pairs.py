"""Preference pairs: what is preferred to what, at which turn, and why the rest is in no pair."""

import json

import pytest
from test_curate import MEMORY, elsewhere, episode, step

from finetune.curate.base import RowSet, behind
from finetune.curate.pairs import PreferencePairs
from finetune.train.sft import SupervisedFineTuning
from instar._methods import require
from instar.config import load_config
from instar.errors import ConfigError, UserError, WorkspaceError
from instar.purging._files import concerned_rows
from instar.purging._target import Target
from instar.types import Score, ScoreSource, Split, Status

FAIL = Score(status=Status.FAIL, value=0.0)
Config = PreferencePairs.Config


def curate(trajectories, **config):
    return PreferencePairs(Config(**{"home": "home", **config})).curate(trajectories)


def attempt(name, *steps, **changes):
    return episode(name, task=changes.pop("task", "t"), steps=list(steps), **changes)


def calls(answer):
    return [
        (c["function"]["name"], c["function"]["arguments"].get("a"))
        for c in answer[0]["tool_calls"]
    ]


def sides(found):
    return [(calls(row["chosen"]), calls(row["rejected"])) for row in found.rows]


WON = attempt("won", step(a="1"), step(a="2"), step("finish"))
LOST = attempt("lost", step(a="1"), step(a="9"), step("finish"), score=FAIL)
LONG = attempt("long", step(a="1"), step(a="5"), step(a="2"), step("finish"))


def test_a_success_is_preferred_to_a_failure_where_they_parted():
    found = curate([WON, LOST])
    (row,) = found.rows
    assert sides(found) == [([("put", "2")], [("put", "9")])]
    assert (row["trajectory"], row["against"], row["step"]) == ("won", "lost", 1)
    assert 'put "1" -> ok' in row["prompt"][1]["content"]
    assert found.form == "pairs" and not found.dropped
    assert found.counts["against failures"] == 1 and found.summary.startswith("1 pairs (")


def test_of_two_successes_the_one_with_fewer_calls_is_preferred():
    found = curate([LONG, WON])
    assert sides(found) == [([("put", "2")], [("put", "5")])]
    assert found.counts["against longer successes"] == 1
    for config in ({"fewer": 2}, {"fewer": 0}):
        none = curate([LONG, WON], **config)
        assert not none.rows and "no turn at which" in none.dropped["won"]


def test_failures_come_first_where_pairs_of_a_task_are_capped():
    found = curate([LONG, WON, LOST], per_task=1)
    assert behind(found.rows) == ["lost", "won"]
    assert found.dropped == {"long": "other pairs of the task fill its cap"}


def test_what_a_success_answered_too_is_not_rejected():
    late = attempt("late", step(a="1"), step(a="2"), step(a="8"), score=FAIL)
    found = curate([WON, late])
    assert sides(found) == [([("finish", "x")], [("put", "8")])]
    other = attempt("other", step(a="1"), step(a="9"), step(a="3"))
    assert ("put", "9") not in [
        side for _, worse in sides(curate([WON, LOST, other])) for side in worse
    ]


def test_another_order_of_calls_that_come_to_the_same_is_no_mistake():
    swapped = attempt("swapped", step(a="2"), step(a="1"), step(a="7"), score=FAIL)
    assert not curate([WON, swapped]).rows
    refused = attempt("refused", step(a="2", error=True), step(a="1"), score=FAIL)
    assert sides(curate([WON, refused])) == [([("put", "1")], [("put", "2")])]


def test_words_beside_equal_calls_are_no_difference_and_errors_are_never_preferred():
    said = LOST.steps[0].model_copy(update={"content": "well"})
    chatty = attempt("chatty", said, *WON.steps[1:], score=FAIL)
    assert not curate([WON, chatty]).rows
    stumbled = attempt("stumbled", step(a="1"), step(a="2", error=True), step("finish"))
    assert not curate([stumbled, LOST]).rows
    silent = LOST.steps[0].model_copy(update={"calls": (), "results": ()})
    assert not curate([WON, attempt("silent", silent, score=FAIL)]).rows


def test_other_observations_or_tools_are_other_prompts():
    seen = LOST.steps[1].model_copy(update={"observation": "page: b"})
    assert not curate([WON, attempt("lost", LOST.steps[0], seen, score=FAIL)]).rows
    assert not curate([WON, LOST.model_copy(update={"tools": WON.tools[:1]})]).rows


def test_memories_and_citations_are_left_out_of_both_answers():
    told = attempt("won", step(a="1", cited=("i1",)), memories=(MEMORY,))
    lost = attempt("lost", step(a="9", cited=("i1",)), memories=(MEMORY,), score=FAIL)
    (row,) = curate([told, lost]).rows
    assert "[m1]" not in json.dumps(row) and not row["memories"]


def test_a_share_of_pairs_shows_a_memory_of_elsewhere_that_was_followed():
    home = [
        attempt(f"{side}{k}", step(a=f"{side}"), task=f"t{k}", score=score)
        for k in range(8)
        for side, score in (("w", WON.score), ("l", FAIL))
    ]
    away = []
    for k in range(6):
        away.append(elsewhere(f"aw{k}", task=f"a{k}"))
        away.append(elsewhere(f"al{k}", task=f"a{k}", cited=(), memories=(), score=FAIL))
    found = curate(home + away)
    told = [row for row in found.rows if row["memories"]]
    assert len(told) / len(found.rows) == pytest.approx(0.35, abs=0.05)
    assert all("[m1]" in row["prompt"][0]["content"] for row in told)
    assert all("[m1]" in row["chosen"][0]["content"] for row in told)
    assert not any("[m1]" in json.dumps(row["rejected"]) for row in told)
    assert {row["namespace"] for row in told} == {"away"}
    assert set(behind(found.rows)) | set(found.dropped) == {t.id for t in home + away}
    assert set(found.dropped.values()) == {"elsewhere, and the share of rows with memory is full"}


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([], "the only attempt at its task"),
        ([attempt("b", step(a="1"), score=Score(status=Status.UNKNOWN))], "the only attempt"),
        ([attempt("b", step(a="1"), score=FAIL, provider="p")], "the only attempt"),
        ([attempt("b", *WON.steps)], "no turn at which it and another attempt parted"),
    ],
)
def test_every_trajectory_in_no_pair_has_a_reason(others, reason):
    found = curate([WON.model_copy(update={"id": "a"}), *others])
    assert not found.rows and reason in found.dropped["a"]
    assert set(found.dropped) == {"a", *(t.id for t in others)}
    assert found.summary.startswith("Nothing to train on: ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split": Split.GATE}, "gate task"),
        ({"provider": "p"}, "add it to methods.pairs.providers"),
        ({"score": Score(status=Status.FAIL, source=ScoreSource.JUDGE)}, "methods.pairs.sources"),
        ({"score": Score(status=Status.UNKNOWN)}, "score unknown"),
    ],
)
def test_neither_side_is_taken_on_a_word_that_is_not_trusted(changes, reason):
    bad = attempt("lost", step(a="1"), step(a="9"), **{"score": FAIL, **changes})
    found = curate([WON, bad])
    assert not found.rows and reason in found.dropped["lost"]


def test_failures_alone_are_no_pairs():
    found = curate([LOST, LOST.model_copy(update={"id": "again"})])
    assert set(found.dropped.values()) == {"no success at its task to prefer"}


def test_a_common_group_is_cut():
    def both(k, group):
        steps = ((f"w{k}", "1", WON.score), (f"l{k}", "2", FAIL))
        return [
            attempt(name, step(a=a), task=f"t{k}", group=group, score=score)
            for name, a, score in steps
        ]

    given = [t for k in range(12) for t in both(k, "easy")] + both(20, "a") + both(21, "b")
    found = curate(given)
    assert sum(row["group"] == "easy" for row in found.rows) == 4
    assert set(found.dropped.values()) == {"its group is at its cap"} and len(found.dropped) == 16


def test_pairs_survive_their_folder(tmp_path):
    found = curate([WON, LOST, LONG])
    folder = found.save(tmp_path / "rows")
    assert RowSet.load(folder) == found
    line = json.loads((folder / "data/train-00000-of-00001.jsonl").read_text().split("\n")[0])
    for side in ("chosen", "rejected"):
        assert isinstance(line[side][0]["tool_calls"][0]["function"]["arguments"], str)
    assert "two answers to one prompt" in (folder / "README.md").read_text()
    mixed = [{"prompt": [], "completion": [], "tools": []}, {"prompt": [], "chosen": []}]
    with pytest.raises(ValueError, match="one answer"):
        RowSet.of(mixed, {})
    text = (folder / "data/train-00000-of-00001.jsonl").read_text()
    (folder / "data/train-00000-of-00001.jsonl").write_text(
        text.replace('"9', '"8').replace("9\\", "8\\")
    )
    with pytest.raises(WorkspaceError, match="curate again"):
        RowSet.load(folder)


def test_a_trainer_of_single_answers_refuses_pairs_before_anything_is_practised(tmp_path):
    with pytest.raises(ConfigError, match=r"'pairs' gives pairs.*'sft' learns from answers.*rft"):
        require(load_config(None, ["train.curator=pairs"]))
    require(load_config(None, ["train.curator=pairs", "train.trainer=off"]))
    require(load_config(None, ["train.curator=rft"]))
    with pytest.raises(UserError, match="sft learns from single answers"):
        SupervisedFineTuning().train(curate([WON, LOST]), tmp_path, None, tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()


def test_a_purge_finds_the_rejected_side_too(tmp_path):
    found = curate([WON, LOST])
    found.save(tmp_path / "datasets" / found.hash)
    for name, concerned in (("lost", [found.hash]), ("other", [])):
        assert concerned_rows(tmp_path, Target(episodes=frozenset({name})), ()) == concerned
