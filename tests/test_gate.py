"""The gate: what is promoted, what is not, and how often it is wrong."""

import random

import pytest

from finetune.gate import Figure, GateConfig, decide
from instar.types import Prompts, Score, Status, Step, StopReason, Task, Trajectory, Usage

PROMPTS = Prompts(name="compact", system="s")
STEPS = tuple(Step(observation=str(i)) for i in range(20))


def episode(index, status, tokens=1000, steps=5, seed=0):
    task = Task(id=f"t{index}", instruction="", world="w", namespace="n", group="g", family="f")
    return Trajectory.model_construct(
        id=f"{index}-{seed}-{status}",
        task=task,
        seed=seed,
        generation="g",
        model="m",
        provider="p",
        prompts=PROMPTS,
        steps=STEPS[:steps],
        stop=StopReason.FINISHED,
        score=Score(status=Status(status)),
        usage=Usage(prompt_tokens=int(tokens)),
    )


def side(word, **changes):
    """One episode a letter: p for pass, f for fail, u for unknown."""
    names = {"p": "pass", "f": "fail", "u": "unknown"}
    return [episode(i, names[letter], **changes) for i, letter in enumerate(word)]


def test_clearly_better_success_is_promoted():
    verdict = decide(side("p" * 50 + "f" * 10), side("f" * 30 + "p" * 20 + "f" * 10))
    assert verdict.decision == "promote"
    assert verdict.reasons == ("clean success is significantly better",)
    assert verdict.success.difference == pytest.approx(0.5)
    assert verdict.sentence.startswith("Promoted: clean success is significantly better (")
    assert "33% -> 83%" in verdict.sentence and ", p<0.001, n=60" in verdict.sentence


def test_significantly_worse_is_rejected_though_it_is_cheaper():
    verdict = decide(side("f" * 30 + "p" * 30, tokens=10), side("p" * 60))
    assert verdict.decision == "reject"


def test_the_same_success_with_fewer_steps_is_promoted():
    word = "p" * 42 + "f" * 18
    verdict = decide(side(word, steps=4), side(word, steps=6))
    assert verdict.decision == "promote"
    assert verdict.reasons == ("33% fewer steps where both succeed",)
    assert verdict.steps.n == 42


def test_a_saving_that_nobody_would_notice_is_none():
    word = "p" * 42 + "f" * 18
    verdict = decide(side(word, tokens=990), side(word, tokens=1000))
    assert verdict.tokens.below(0)
    assert verdict.decision == "undecided"
    assert decide(side(word, tokens=970), side(word, tokens=1000)).decision == "promote"


def test_fewer_tokens_do_not_outweigh_success_that_may_be_lost():
    verdict = decide(side("f" * 3 + "p" * 57, tokens=100), side("p" * 60))
    assert verdict.decision == "undecided"
    assert "could still be more than 5 points worse" in verdict.sentence


def test_failing_quickly_is_no_thrift():
    active = [*side("p" * 30), *[episode(i, "fail", tokens=9000, steps=19) for i in range(30, 60)]]
    candidate = [*side("p" * 30), *[episode(i, "fail", tokens=1, steps=1) for i in range(30, 60)]]
    assert decide(candidate, active).decision == "undecided"


def test_an_unchanged_candidate_stays_undecided():
    word = "p" * 45 + "f" * 15
    verdict = decide(side(word), side(word))
    assert verdict.decision == "undecided"
    assert verdict.tokens.difference == 0


def test_unknown_counts_against_promotion_and_both_bounds_are_shown():
    active = side("f" * 20 + "p" * 40)
    assert decide(side("p" * 60), active).decision == "promote"
    verdict = decide(side("p" * 40 + "u" * 20), active)
    assert verdict.decision == "undecided"
    assert verdict.success.difference == pytest.approx(0)
    assert verdict.best_case.difference == pytest.approx(20 / 60)
    assert verdict.unknown == 20
    assert "with every unknown counted for the candidate +33.3 points" in verdict.sentence


def test_unknown_alone_never_rejects():
    verdict = decide(side("u" * 30 + "p" * 30), side("p" * 60))
    assert verdict.decision == "undecided"
    assert verdict.success.difference == pytest.approx(-0.5)


def test_a_missing_episode_of_the_candidate_is_an_unknown():
    verdict = decide(side("p" * 40), side("p" * 60))
    assert verdict.missing == verdict.unknown == 20
    assert verdict.decision == "undecided"


@pytest.mark.parametrize(("candidate", "active"), [("", ""), ("p", ""), ("p", "f"), ("uu", "uu")])
def test_too_little_is_undecided(candidate, active):
    assert decide(side(candidate), side(active)).decision == "undecided"


def test_pairs_are_made_by_task_and_seed():
    active = [episode(i, "fail", seed=s) for i in range(40) for s in (0, 1)]
    candidate = [episode(i, "pass", seed=s) for i in range(40) for s in (1, 0)]
    assert decide(candidate[::-1], active).success.n == 80
    with pytest.raises(ValueError, match="two episodes"):
        decide([*candidate, candidate[0]], active)


def test_a_verdict_survives_json():
    verdict = decide(side("p" * 60), side("f" * 60))
    assert type(verdict).model_validate_json(verdict.model_dump_json()) == verdict
    assert Figure().above(0) is False


def simulate(rounds, success, saving=0.0, shared=0.7, n=60):
    """Share of each decision where the halves of a pair agree on a part of the tasks.

    Args:
        success: Of the active and the candidate side.
        saving: How much less the candidate uses, as a share.
        shared: Part of the tasks whose outcome is the same by nature where the rates are equal.
    """
    counts = {"promote": 0, "reject": 0, "undecided": 0}
    for round_ in range(rounds):
        rng = random.Random(round_)
        sides = ([], [])
        for index in range(n):
            both = rng.random() if rng.random() < shared else None
            for which in (0, 1):
                draw = rng.random() if both is None else both
                tokens = max(1, rng.gauss(1000, 250)) * (1 - saving * which)
                steps = max(1, round(rng.gauss(6, 1.5) * (1 - saving * which)))
                status = "pass" if draw < success[which] else "fail"
                sides[which].append(episode(index, status, tokens, steps))
        counts[decide(sides[1], sides[0], GateConfig()).decision] += 1
    return {decision: count / rounds for decision, count in counts.items()}


def test_without_a_difference_it_seldom_promotes():
    rates = simulate(50, (0.6, 0.6))
    assert rates["promote"] <= 0.08 and rates["reject"] <= 0.05


def test_a_worse_candidate_is_hardly_ever_promoted_for_its_thrift():
    assert simulate(50, (0.7, 0.6), saving=0.3)["promote"] <= 0.03


def test_a_much_better_candidate_is_mostly_promoted():
    assert simulate(20, (0.3, 0.7))["promote"] >= 0.9
