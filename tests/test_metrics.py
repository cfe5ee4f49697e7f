"""Repeated attempts, Holm's correction, what n can show: known values and simulation."""

import itertools
import random

import pytest

from benchmarks.fairness import Limits
from benchmarks.forecast import Past, forecast
from benchmarks.metrics import attempts_figures, pass_all_k, pass_at_k
from instar.power import detectable
from instar.stats import holm, mcnemar


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("successes", [0, 1, 3, 4])
def test_both_estimates_are_means_over_all_choices_of_k(successes, k):
    outcomes = [i < successes for i in range(4)]
    choices = list(itertools.combinations(outcomes, k))
    assert pass_at_k(4, successes, k) == pytest.approx(sum(map(any, choices)) / len(choices))
    assert pass_all_k(4, successes, k) == pytest.approx(sum(map(all, choices)) / len(choices))


def test_no_estimate_beyond_the_attempts():
    with pytest.raises(ValueError, match="k=5"):
        pass_at_k(4, 2, 5)
    assert attempts_figures({"a": [True], "b": [False, True]}) == {}
    found = attempts_figures({"a": [True, True], "b": [False, True, False]})
    assert found["pass_at"] == pytest.approx({"1": (1 + 1 / 3) / 2, "2": (1 + 2 / 3) / 2})
    assert found["pass_all"] == pytest.approx({"1": (1 + 1 / 3) / 2, "2": 0.5})


def test_holm_gives_the_textbook_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_n_can_show_is_found_with_about_that_power():
    n, share = 200, 0.3
    least = detectable(n, share)
    assert least is not None
    rng = random.Random(0)
    gains, losses = (share + least) / 2, (share - least) / 2
    found = 0
    for _ in range(1000):
        draws = rng.choices((1, -1, 0), (gains, losses, 1 - share), k=n)
        found += mcnemar(draws.count(1), draws.count(-1)) < 0.05
    # The exact test is a little more careful than the formula, which takes it for normal.
    assert 700 <= found <= 840


def test_more_tasks_show_less_and_few_show_nothing():
    sizes = [detectable(n, 0.3) for n in (50, 100, 400)]
    assert sizes == sorted(sizes, reverse=True)
    assert detectable(5, 0.3) is None
    assert detectable(0, 0.3) is None


def test_a_forecast_says_whether_it_knows():
    limits = Limits(steps=14, tokens=60_000)
    blind = forecast(200, 100, limits)
    assert (blind.calls, blind.tokens, blind.usd, blind.known) == (2800, 12_000_000, None, False)
    assert "at most 2,800 calls" in blind.sentence
    arms = {
        "base": {"calls": 4, "tokens": 1000, "cost": 0.01},
        "memory": {"calls": 6, "tokens": 3000},
    }
    pairs = [{"discordant": 0.5, "n": 40}, {"discordant": 1.0, "n": 2}]
    past = Past.of({"arms": arms, "paired": pairs}, ["base", "memory"])
    told = forecast(200, 100, limits, past)
    assert (told.calls, told.tokens, told.usd, told.discordant) == (1000, 400_000, 2.0, 0.5)
    assert "expected 1,000 calls and 400,000 tokens, 2.00 USD" in told.sentence
    assert Past.of({"arms": {"base": {"calls": None}}, "paired": []}, ["base"]) is None
    assert Past.of({"arms": arms, "paired": []}, ["both"]) is None
    assert Past.of({"arms": arms, "paired": []}, ["base"]).tokens == 1000
    assert "can be" not in forecast(200, 0, limits, past).sentence
    assert "no difference can be shown" in forecast(2, 2, limits).sentence
