"""The gate looked at again and again, its groups, and the bound over a workspace's life."""

from __future__ import annotations

import random

import pytest

from finetune.gate import GateConfig, Pair, weigh
from finetune.lifetime import allowance
from finetune.stopping import at_look, enough, looks

BETTING, SPENDING = GateConfig(test="betting"), GateConfig(test="spending")
BOTH = pytest.mark.parametrize("config", [BETTING, SPENDING], ids=lambda c: c.test)


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


def until(found, config, times=4):
    """The verdict where measuring stopped, and after how many pairs."""
    before = 0
    for now in looks(len(found), times):
        if enough(found[:now], before, len(found), config):
            return weigh(found[:now], at_look(config, before, now, len(found))), now
        before = now
    raise AssertionError("never enough")


@BOTH
def test_a_clear_gain_is_promoted_long_before_the_end(config):
    verdict, n = until(pairs("wwwb" * 50), config)
    assert (verdict.decision, verdict.test) == ("promote", config.test)
    assert verdict.reasons == ("clean success is significantly better",)
    assert n <= 50 and verdict.success.interval.low > 0


@BOTH
def test_a_clear_loss_is_rejected_long_before_the_end(config):
    verdict, n = until(pairs("lllb" * 50), config)
    assert (verdict.decision, n <= 50) == ("reject", True)


@BOTH
def test_no_change_stops_where_the_rest_could_not_show_any(config):
    verdict, n = until(pairs("bbbn" * 30), config)
    assert (verdict.decision, n < 120) == ("undecided", True)


@BOTH
def test_a_steady_saving_is_promoted_and_a_tiny_one_is_none(config):
    verdict, n = until(pairs("bbbb" * 60, tokens=(1000.0, 900.0)), config)
    assert verdict.reasons == ("10% fewer tokens where both succeed",) and n <= 240
    assert until(pairs("bbbb" * 60, tokens=(1000.0, 990.0)), config)[0].decision == "undecided"


@BOTH
def test_a_saving_that_costs_success_is_not_promoted(config):
    verdict, _ = until(pairs("bbbbbbbbbl" * 30, tokens=(1000.0, 100.0)), config)
    assert verdict.decision != "promote"


@BOTH
def test_unknown_counts_against_promotion_and_never_rejects(config):
    verdict, _ = until(pairs("uub" * 60), config)
    assert verdict.decision == "undecided"
    assert verdict.success.difference == pytest.approx(-2 / 3, abs=0.01)
    assert verdict.unknown == pytest.approx(verdict.n * 2 / 3, abs=1)


@BOTH
def test_looking_often_promotes_no_more_of_what_is_five_points_worse(config):
    promoted = 0
    for run in range(30):
        verdict, _ = until(drawn(random.Random(run), 120, (0.5, 0.45)), config, 6)
        promoted += verdict.decision == "promote"
    assert promoted <= 2


@BOTH
def test_without_a_difference_looking_rejects_and_promotes_seldom(config):
    runs = [until(drawn(random.Random(r), 120, (0.5, 0.5)), config, 6) for r in range(30)]
    counts = [verdict.decision for verdict, _ in runs]
    assert counts.count("promote") <= 2 and counts.count("reject") <= 2


@pytest.mark.parametrize("test", ["once", "betting"])
def test_a_group_that_was_lost_blocks_though_the_whole_gained(test):
    whole = [*pairs("w" * 90, "ship"), *pairs("b" * 60, "tag"), *pairs("l" * 40, "refund")]
    random.Random(0).shuffle(whole)
    found = weigh(whole, GateConfig(test=test))
    assert found.decision == "reject"
    assert found.reasons[0].startswith("refund is more than 10 points worse (-100.0 points [")
    assert [g.name for g in found.groups if g.blocks] == ["refund"]
    assert found.groups[0].level > 0.95
    without = weigh([p for p in whole if p.group != "refund"], GateConfig(test=test))
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


def test_spending_takes_little_at_first_and_all_of_it_by_the_end():
    parts = [at_look(SPENDING, n, n + 15, 60) for n in (0, 15, 30, 45)]
    assert sum(p.alpha for p in parts) == pytest.approx(SPENDING.alpha)
    assert sum(p.harm for p in parts) == pytest.approx(SPENDING.harm)
    assert sum(1 - p.level for p in parts) == pytest.approx(1 - SPENDING.level)
    assert [p.alpha for p in parts] == sorted(p.alpha for p in parts)
    assert parts[0].alpha < 1e-4 and parts[-1].alpha > SPENDING.alpha / 2
    assert at_look(BETTING, 0, 15, 60) == BETTING


def test_looks_end_with_all_pairs():
    assert looks(60, 4) == [15, 30, 45, 60]
    assert looks(3, 4) == [1, 2, 3] and looks(7, 2) == [4, 7]
