"""Intervals and tests: known values, symmetry, what unknown means, and coverage by simulation."""

import random

import pytest

from instar.stats import Interval, mcnemar, mean_interval, paired, wilson


def test_wilson_gives_the_textbook_values():
    assert wilson(7, 10) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10).high == 1.0
    assert wilson(0, 0) == Interval(0.0, 1.0)


def test_wilson_narrows_with_the_level():
    wide, narrow = wilson(5, 20, 0.99), wilson(5, 20, 0.8)
    assert wide.low < narrow.low < 0.25 < narrow.high < wide.high


def test_mcnemar_is_the_exact_binomial():
    assert mcnemar(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert mcnemar(2, 10) == mcnemar(10, 2)
    assert mcnemar(0, 0) == 1.0


def test_a_clear_gain_is_found():
    result = paired([0] * 40 + [1] * 20, [1] * 30 + [0] * 10 + [1] * 20)
    assert result is not None
    assert result.difference == 0.5
    assert result.interval is not None and 0.35 < result.interval.low < 0.5
    assert result.p == pytest.approx(mcnemar(30, 0))
    assert result.n == result.clusters == 60


def test_changing_places_changes_the_sign():
    a, b = [0, 1, 0, 1, 0, 0, 1, 0], [1, 1, 0, 1, 1, 0, 0, 1]
    one, other = paired(a, b), paired(b, a)
    assert one is not None and other is not None
    assert one.difference == -other.difference
    assert one.p == other.p
    assert one.interval is not None and other.interval is not None
    assert one.interval.low == pytest.approx(-other.interval.high)


def test_arms_that_agree_everywhere_are_still_uncertain():
    alone = paired([0, 1] * 15, [0, 1] * 15)
    clustered = paired([0, 1] * 15, [0, 1] * 15, clusters=[i // 2 for i in range(30)])
    for result in (alone, clustered):
        assert result is not None and result.interval is not None
        assert result.difference == 0.0 and result.p == 1.0
        assert result.interval.low < -0.05 < 0.05 < result.interval.high


def test_unknown_counts_against_the_candidate_and_the_bounds_say_so():
    result = paired([1, None, 0, None], [1, 1, None, None])
    assert result is not None
    assert (result.n, result.unknown) == (3, 3)
    assert result.difference == 0.0
    assert result.bounds == Interval(0.0, pytest.approx(2 / 3))


def test_values_other_than_successes_leave_unknown_pairs_out():
    result = paired([3.0, 4.0, 5.0, None], [2.0, 2.0, 6.0, 1.0])
    assert result is not None
    assert (result.n, result.unknown, result.bounds) == (3, 1, None)
    assert result.difference == pytest.approx(-2 / 3)
    assert result.p == 0.75  # 6 of the 8 ways to flip three signs reach the sum of 2


def test_sign_flips_over_single_pairs_of_successes_equal_mcnemar():
    a, b = [0.0] * 9, [1.0] * 7 + [0.0] * 2
    twice = paired(a + a, b + b, clusters=[*range(9), *range(9)])
    assert twice is not None
    assert twice.p == pytest.approx(mcnemar(7, 0))
    assert twice.clusters == 9


def test_clusters_widen_what_they_share():
    a = [0.0] * 60
    b = [1.0] * 15 + [0.0] * 45
    apart, together = paired(a, b), paired(a, b, clusters=[i // 15 for i in range(60)])
    assert apart is not None and together is not None
    assert apart.interval is not None and together.interval is not None
    assert together.interval.low < 0 < apart.interval.low
    assert together.p > 0.5 > apart.p


def test_nothing_measured_is_absent():
    assert paired([], []) is None
    assert paired([None], [None]) is None
    assert paired([None, 2.5], [3.0, None]) is None
    assert mean_interval([]) is None
    assert mean_interval([1.0, None]) is None
    assert mean_interval([1.0, 2.0, 3.0], clusters=["x", "x", "x"]) is None


def test_sequences_of_different_length_are_refused():
    with pytest.raises(ValueError):
        paired([1], [1, 0])
    with pytest.raises(ValueError):
        mean_interval([1.0, 2.0], clusters=["x"])


def test_the_same_seed_gives_the_same_interval():
    values = [float(i % 7) for i in range(60)]
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


@pytest.mark.parametrize("clusters", [12, 40])
def test_intervals_over_clusters_cover(clusters):
    rng = random.Random(clusters)
    covered = 0
    for _ in range(200):
        values, labels = [], []
        for label in range(clusters):
            shared = rng.gauss(0, 1)
            values += [shared + rng.gauss(0, 1) for _ in range(4)]
            labels += [label] * 4
        interval = mean_interval(values, labels)
        covered += interval is not None and interval.low <= 0 <= interval.high
    assert 0.9 <= covered / 200 <= 0.99


def test_intervals_of_paired_successes_cover():
    rng = random.Random(1)
    covered = 0
    for _ in range(300):
        a = [float(rng.random() < 0.3) for _ in range(60)]
        b = [1.0 if x else float(rng.random() < 0.2) for x in a]
        result = paired(a, b)
        assert result is not None and result.interval is not None
        covered += result.interval.low <= 0.14 <= result.interval.high
    assert covered / 300 >= 0.93
