"""Confidence sequences: known wealth, symmetry, and error and power by simulation at every look."""

import math

import numpy as np
import pytest

from instar.sequences import bounded, difference, interval, log_alarm, log_wealth, needed

ENOUGH = math.log(2 / 0.05)


def binary(runs, n, propensity, base, effect, seed):
    rng = np.random.default_rng(seed)
    shown = rng.random((runs, n)) < propensity
    return shown, (rng.random((runs, n)) < base + effect * shown).astype(float)


def missed(sample, truth):
    above = log_wealth(sample, truth).max(axis=-1) >= ENOUGH
    return float((above | (log_wealth(sample.mirrored, -truth).max(axis=-1) >= ENOUGH)).mean())


def test_nothing_observed_rules_nothing_out():
    empty = difference([], [], [])
    assert interval(empty) == (-1.0, 1.0)
    assert interval(bounded([])) == (0.0, 1.0)
    assert (int(empty.n), float(empty.mean)) == (0, 0.0)
    assert needed(empty) > 1_000


def test_the_wealth_is_what_the_bets_win():
    # The highest bet on a mean above .5 doubles the money on a one and loses it on a nought.
    shares = np.array([0.08, 0.2, 0.5])
    won = log_wealth(bounded([1.0, 1.0, 0.0]), 0.5)
    assert won[0] == pytest.approx(math.log(np.mean(1 + shares)))
    assert won[2] == pytest.approx(math.log(np.mean((1 + shares) ** 2 * (1 - shares))))


def test_the_wealth_is_fair_whatever_came_before():
    shown, y = binary(1, 12, 0.9, 0.4, 0.0, 1)
    before = log_wealth(difference(shown[0], 0.9, y[0]), 0.0)[-1]
    mean = 0.0
    for drawn, chance in ((True, 0.9), (False, 0.1)):
        for outcome, odds in ((1.0, 0.4), (0.0, 0.6)):
            longer = difference([*shown[0], drawn], 0.9, [*y[0], outcome])
            mean += chance * odds * math.exp(log_wealth(longer, 0.0)[-1] - before)
    assert mean == pytest.approx(1.0)


def test_the_differences_add_up_to_the_effect():
    shown, y = binary(400, 200, 0.85, 0.4, 0.3, 2)
    means = difference(shown, 0.85, y).mean
    assert means.mean() == pytest.approx(0.3, abs=3 * means.std() / 20)


def test_a_prediction_narrows_what_raw_weights_leave():
    shown, y = binary(1, 2_000, 0.9, 0.7, 0.0, 3)
    raw = np.where(shown, y / 0.9, -y / 0.1)
    assert difference(shown, 0.9, y).variance[0] < 0.6 * raw.var()


def test_changing_sides_changes_the_sign():
    shown, y = binary(1, 150, 0.5, 0.3, 0.3, 4)
    one, other = (
        interval(difference(shown[0], 0.5, y[0])),
        interval(difference(~shown[0], 0.5, y[0])),
    )
    assert one.low == pytest.approx(-other.high, abs=1e-3)
    assert one.high == pytest.approx(-other.low, abs=1e-3)


def test_the_interval_is_where_the_wealth_is_not_yet_enough():
    shown, y = binary(1, 150, 0.5, 0.3, 0.4, 5)
    sample = difference(shown[0], 0.5, y[0])
    low, high = interval(sample)
    assert low < float(sample.mean) < high
    assert log_wealth(sample, low)[-1] >= ENOUGH > log_wealth(sample, low + 2e-3)[-1]
    assert interval(sample, 0.8).low > low > interval(sample, 0.99).low


def test_what_is_not_counted_is_as_if_it_were_not_there():
    shown, y = binary(1, 40, 0.5, 0.3, 0.4, 6)
    kept = np.arange(40) % 3 > 0
    full = difference(shown[0], 0.5, y[0], kept)
    short = difference(shown[0][kept], 0.5, y[0][kept])
    assert log_wealth(full)[-1] == pytest.approx(log_wealth(short)[-1])
    assert log_alarm(full, every=10)[-1] == pytest.approx(log_alarm(short, every=10)[-1])
    assert interval(full) == interval(short)
    assert float(full.variance) == pytest.approx(float(short.variance))


def test_values_out_of_range_are_refused():
    with pytest.raises(ValueError, match="outside"):
        bounded([0.5, 1.2])
    for propensity, outcome in ((1.0, 0.0), (0.0, 0.0), (0.5, 1.5), (0.5, math.nan)):
        with pytest.raises(ValueError, match="propensities"):
            difference([True], [propensity], [outcome])


@pytest.mark.parametrize("propensity", [0.5, 0.85, 0.9])
@pytest.mark.parametrize(("base", "effect"), [(0.4, 0.0), (0.4, 0.3), (0.95, -0.1)])
def test_it_seldom_misses_at_any_of_300_looks(propensity, base, effect):
    shown, y = binary(300, 300, propensity, base, effect, 7)
    # 5 % are allowed; 8.8 % would be three standard errors above.
    assert missed(difference(shown, propensity, y), effect) < 0.088


def test_the_simulation_would_notice_intervals_in_the_wrong_place():
    shown, y = binary(300, 300, 0.5, 0.6, 0.0, 8)
    assert missed(difference(shown, 0.5, y), 0.2) > 0.5


def test_a_mean_of_bounded_values_is_covered():
    values = np.random.default_rng(9).beta(0.5, 1.5, (300, 300))
    assert missed(bounded(values), 0.25) < 0.088
    low, high = interval(bounded(values[0]))
    assert 0.2 > high - low > 0


@pytest.mark.parametrize("effect", [0.3, -0.3])
def test_thirty_points_are_told_within_200(effect):
    shown, y = binary(200, 200, 0.5, 0.4, effect, 10)
    sample = difference(shown, 0.5, y)
    won = log_wealth(sample if effect > 0 else sample.mirrored)
    assert (won.max(axis=-1) >= ENOUGH).mean() >= 0.85


def test_needed_foretells_when_it_is_decided():
    shown, y = binary(200, 1_200, 0.5, 0.4, 0.15, 11)
    won = log_wealth(difference(shown, 0.5, y))
    decided = np.where((won >= ENOUGH).any(axis=-1), (won >= ENOUGH).argmax(axis=-1), 1_200)
    early = [needed(difference(a[:100], 0.5, b[:100])) for a, b in zip(shown, y, strict=True)]
    assert 0.5 < (100 + np.median(early)) / np.median(decided) < 2.0


def test_an_alarm_notices_a_change_that_the_wealth_does_not():
    good, bad = binary(50, 200, 0.9, 0.4, 0.3, 12), binary(50, 200, 0.9, 0.4, -0.3, 13)
    shown, y = (np.concatenate(pair, axis=1) for pair in zip(good, bad, strict=True))
    other = difference(shown, 0.9, y).mirrored
    assert (log_alarm(other)[:, :200].max(axis=-1) < math.log(10)).mean() > 0.95
    assert (log_alarm(other).max(axis=-1) >= math.log(10)).mean() > 0.7
    assert (log_wealth(other).max(axis=-1) >= math.log(10)).mean() < 0.3


@pytest.mark.soak
@pytest.mark.parametrize("propensity", [0.5, 0.85, 0.9])
@pytest.mark.parametrize("base", [0.05, 0.4, 0.95])
def test_it_seldom_misses_at_any_of_2000_looks(propensity, base):
    shown, y = binary(2_000, 2_000, propensity, base, 0.0, 14)
    assert missed(difference(shown, propensity, y), 0.0) <= 0.05
