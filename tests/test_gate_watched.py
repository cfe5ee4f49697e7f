"""The gate looked at again and again, its groups, and the bound over a workspace's life."""

from __future__ import annotations

import random

import pytest

from finetune.gate import GateConfig, Pair, enough, weigh
from finetune.lifetime import allowance

WATCHED = GateConfig(sequential=True)


def pairs(word, group="g", tokens=(1000.0, 1000.0), steps=(6.0, 6.0)):
    """One pair a letter: b both, n neither, w won, l lost, u the candidate's is unknown."""
    halves = {"b": (1.0, 1.0), "n": (0.0, 0.0), "w": (0.0, 1.0), "l": (1.0, 0.0), "u": (1.0, None)}
    return [
        Pair(f"{group}{i}", group, *halves[letter], tokens, steps) for i, letter in enumerate(word)
    ]


def drawn(rng, n, rates, agree=0.6):
    """Pairs whose halves go the same way by nature in a part of the tasks."""
    found = []
    for i in range(n):
        shared = rng.random() if rng.random() < agree else None
        a, c = (float((rng.random() if shared is None else shared) < rate) for rate in rates)
        found.append(Pair(str(i), "g", a, c, (1000.0, 1000.0), (6.0, 6.0)))
    return found


def until(found, config=WATCHED, batch=10):
    """The verdict where measuring stopped, and after how many pairs."""
    for n in range(batch, len(found) + batch, batch):
        if enough(found[:n], len(found) - n, config):
            return weigh(found[:n], config), min(n, len(found))
    raise AssertionError("never enough")


def test_a_clear_gain_is_promoted_long_before_the_end():
    verdict, n = until(pairs("wwwb" * 50))
    assert (verdict.decision, verdict.sequential, verdict.success.p) == ("promote", True, None)
    assert verdict.reasons == ("clean success is significantly better",)
    assert n <= 30 and verdict.success.interval.low > 0


def test_a_clear_loss_is_rejected_long_before_the_end():
    verdict, n = until(pairs("lllb" * 50))
    assert (verdict.decision, n <= 30) == ("reject", True)


def test_no_change_stops_where_the_rest_could_not_show_any():
    verdict, n = until(pairs("bbbn" * 30))
    assert (verdict.decision, n < 100) == ("undecided", True)


def test_a_steady_saving_is_promoted_and_a_tiny_one_is_none():
    verdict, n = until(pairs("bbbb" * 60, tokens=(1000.0, 900.0)))
    assert verdict.reasons == ("10% fewer tokens where both succeed",) and n < 240
    assert until(pairs("bbbb" * 60, tokens=(1000.0, 990.0)))[0].decision == "undecided"


def test_a_saving_that_costs_success_is_not_promoted():
    verdict, _ = until(pairs("bbbbbbbbbl" * 30, tokens=(1000.0, 100.0)))
    assert verdict.decision != "promote"


def test_unknown_counts_against_promotion_and_never_rejects():
    verdict, _ = until(pairs("uub" * 60))
    assert verdict.decision == "undecided"
    assert verdict.success.difference == pytest.approx(-2 / 3, abs=0.01)
    assert verdict.unknown == pytest.approx(verdict.n * 2 / 3, abs=1)


def test_looking_after_every_pair_promotes_no_more_of_what_is_five_points_worse():
    promoted = 0
    for run in range(60):
        verdict, _ = until(drawn(random.Random(run), 160, (0.5, 0.45)), batch=5)
        promoted += verdict.decision == "promote"
    assert promoted <= 2


def test_without_a_difference_looking_rejects_and_promotes_seldom():
    counts = [until(drawn(random.Random(r), 160, (0.5, 0.5)))[0].decision for r in range(60)]
    assert counts.count("promote") <= 3 and counts.count("reject") <= 3


@pytest.mark.parametrize("sequential", [False, True])
def test_a_group_that_was_lost_blocks_though_the_whole_gained(sequential):
    whole = [*pairs("w" * 90, "ship"), *pairs("b" * 60, "tag"), *pairs("l" * 40, "refund")]
    random.Random(0).shuffle(whole)
    found = weigh(whole, GateConfig(sequential=sequential))
    assert found.decision == "reject"
    assert found.reasons[0].startswith("refund is more than 10 points worse (-100.0 points [")
    assert [g.name for g in found.groups if g.blocks] == ["refund"]
    assert found.groups[0].level > 0.95
    without = weigh([p for p in whole if p.group != "refund"], GateConfig(sequential=sequential))
    assert without.decision == "promote"


def test_the_levels_of_the_groups_are_holms():
    groups = weigh([*pairs("l" * 40, "a"), *pairs("l" * 60, "b"), *pairs("b" * 9, "c")]).groups
    assert [g.blocks for g in groups] == [True, True, False]
    assert [g.level for g in groups] == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 2, 0.95])


def test_a_few_bad_groups_of_many_block_nobody_by_chance():
    blocked = 0
    for run in range(40):
        rng = random.Random(run)
        whole = [p._replace(group=f"g{i % 12}") for i, p in enumerate(drawn(rng, 60, (0.5, 0.5)))]
        blocked += any(g.blocks for g in weigh(whole).groups)
    assert blocked <= 2


def test_an_unknown_of_the_candidate_blocks_no_group():
    found = weigh([*pairs("w" * 60, "a"), *pairs("u" * 40, "b")], GateConfig(margin=0.6))
    assert not any(g.blocks for g in found.groups)


def test_the_allowance_spends_a_budget_and_earns_it_back():
    assert allowance([], 0.1) == pytest.approx(0.025)
    dry = [allowance([False] * n, 0.1) for n in range(200)]
    assert dry == sorted(dry, reverse=True) and sum(dry) < 0.05
    assert allowance([False, True], 0.1) > allowance([False, False], 0.1)
    assert allowance([True] * 9, 0.1) == 0.05, "however rich"
    assert allowance([True, False], 0.1) == pytest.approx(0.05 / 12 + 0.05 / 6)
    assert allowance([], 0.1, cap=0.01) == 0.01
