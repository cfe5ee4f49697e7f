"""Intervals and exact tests for success rates, and for paired differences.

What could not be measured is ``None``. In a paired comparison of successes an unknown counts
against the candidate, and the bounds say what it could have been; elsewhere it is left out.
Over 30 clusters and more the interval is a cluster bootstrap; over fewer that one covers too
little, and a cluster-robust t interval stands in for it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

from instar.types import Record

__all__ = [
    "Interval",
    "Paired",
    "fewer",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired",
    "wilson",
]

_DRAWS = 4_000
_FEW_CLUSTERS = 30
_ALL_FLIPS = 12


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


class Paired(Record):
    """A paired comparison: ``b`` minus ``a``.

    Attributes:
        difference: Mean of the differences.
        interval: None where one pair or cluster only was measured.
        p: Two-sided and exact: McNemar for successes one by one, else the flipping of the signs of
            whole clusters (drawn at random where there are more than twelve).
        n: Pairs that counted.
        clusters: Units over which the interval was taken.
        unknown: Pairs of which at least one half was not measured.
        bounds: The difference if every unknown had gone against ``b``, and if for it; of successes.
    """

    difference: float
    interval: Interval | None
    p: float
    n: int
    clusters: int
    unknown: int = 0
    bounds: Interval | None = None


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's interval of a success rate; everything is possible where nothing was measured."""
    if n == 0:
        return Interval(0.0, 1.0)
    z = _z(level)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if successes == n else min(1.0, centre + half))


def mcnemar(n01: int, n10: int) -> float:
    """Exact two-sided McNemar test on the pairs that differ."""
    from scipy.stats import binomtest

    if n01 + n10 == 0:
        return 1.0
    return float(binomtest(n01, n01 + n10, 0.5).pvalue)


def fewer(successes: int, n: int, before: int, n_before: int) -> float:
    """Fisher's exact p value for a share being lower than one before; 1 where a side is empty."""
    from scipy.stats import fisher_exact

    if not n or not n_before:
        return 1.0
    table = [[successes, n - successes], [before, n_before - before]]
    return float(fisher_exact(table, alternative="less").pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values adjusted for having looked at all of them (Holm 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted


def mean_interval(
    values: Sequence[float | None],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Interval of a mean over values that belong together in clusters.

    Args:
        values: None ones are left out.
        clusters: The cluster of each value; without, each value is its own.
        level: Coverage.
        seed: Of the bootstrap.

    Returns:
        None where fewer than two clusters were measured.
    """
    labels = _labels(values, clusters)
    known = [(v, c) for v, c in zip(values, labels, strict=True) if v is not None]
    return _interval([v for v, _ in known], [c for _, c in known], level, seed)


def paired(
    a: Sequence[float | None],
    b: Sequence[float | None],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Paired | None:
    """Compare two arms on the same tasks and seeds; ``b`` is the candidate.

    Where all known values are 0 or 1 an unknown counts against ``b``, and a pair of which both are
    unknown is left out; of other values every pair with an unknown is left out.

    Args:
        a: One value a pair.
        b: In the same order.
        clusters: The cluster of each pair; without, each pair is its own.
        level: Coverage of the interval.
        seed: Of the bootstrap and of the flips.

    Returns:
        None where no pair was measured.

    Raises:
        ValueError: The sequences differ in length.
    """
    rows = list(zip(a, b, _labels(a, clusters), strict=True))
    binary = all(v in (0, 1) for x, y, _ in rows for v in (x, y) if v is not None)
    counted = [_pair(x, y, c, binary) for x, y, c in rows]
    pairs = [pair for pair in counted if pair is not None]
    if not pairs:
        return None
    interval, p = _weigh(pairs, binary, level, seed)
    difference = _mean([pair.b - pair.a for pair in pairs])
    best = _mean([pair.best for pair in pairs])
    return Paired(
        difference=difference,
        interval=interval,
        p=p,
        n=len(pairs),
        clusters=len({pair.cluster for pair in pairs}),
        unknown=sum(x is None or y is None for x, y, _ in rows),
        bounds=Interval(difference, best) if binary else None,
    )


class _Pair(NamedTuple):
    """One pair as it counts, and the difference that would be best for ``b``."""

    a: float
    b: float
    best: float
    cluster: Hashable


def _pair(a: float | None, b: float | None, cluster: Hashable, binary: bool) -> _Pair | None:
    if a is not None and b is not None:
        return _Pair(a, b, b - a, cluster)
    if not binary or a is b:
        return None
    worst_a, worst_b = (1.0 if a is None else a), (0.0 if b is None else b)
    best = (1.0 if b is None else b) - (0.0 if a is None else a)
    return _Pair(worst_a, worst_b, best, cluster)


def _weigh(
    pairs: Sequence[_Pair], binary: bool, level: float, seed: int
) -> tuple[Interval | None, float]:
    """Interval of the difference, and p."""
    differences = [pair.b - pair.a for pair in pairs]
    units = [pair.cluster for pair in pairs]
    if binary and len(set(units)) == len(units):
        changed = (differences.count(1.0), differences.count(-1.0))
        return _newcombe(pairs, level), mcnemar(*changed)
    interval = _interval(differences, units, level, seed)
    if binary and interval is not None:
        # Clusters that all agree would give no width at all.
        alone = _newcombe(pairs, level)
        interval = Interval(min(interval.low, alone.low), max(interval.high, alone.high))
    return interval, _sign_flips(differences, units, seed)


def _labels(values: Sequence[Any], clusters: Sequence[Hashable] | None) -> Sequence[Hashable]:
    return range(len(values)) if clusters is None else clusters


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _newcombe(pairs: Sequence[_Pair], level: float) -> Interval:
    """Newcombe's interval (method 10) of a difference of paired rates; never of no width."""
    n = len(pairs)
    rows = [(pair.a, pair.b) for pair in pairs]
    both, only_a, only_b = rows.count((1, 1)), rows.count((1, 0)), rows.count((0, 1))
    rate_a, rate_b = (both + only_a) / n, (both + only_b) / n
    low_a, high_a = wilson(both + only_a, n, level)
    low_b, high_b = wilson(both + only_b, n, level)
    phi = _phi(both, only_a, only_b, n - both - only_a - only_b)
    below = (rate_b - low_b, high_a - rate_a)
    above = (high_b - rate_b, rate_a - low_a)
    low, high = (math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y)) for x, y in (below, above))
    difference = rate_b - rate_a
    return Interval(difference - low, difference + high)


def _phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Correlation of the halves of the pairs, with Newcombe's correction for continuity."""
    n = both + only_a + only_b + neither
    margins = (both + only_a) * (both + only_b) * (neither + only_a) * (neither + only_b)
    product = both * neither - only_a * only_b
    if margins == 0:
        return 0.0
    return (max(0.0, product - n / 2) if product > 0 else product) / math.sqrt(margins)


def _cluster_sums(
    values: Sequence[float], units: Sequence[Hashable]
) -> tuple[list[float], list[int]]:
    parts: dict[Hashable, list[float]] = {}
    for value, unit in zip(values, units, strict=True):
        parts.setdefault(unit, []).append(value)
    return [math.fsum(part) for part in parts.values()], [len(part) for part in parts.values()]


def _interval(
    values: Sequence[float], units: Sequence[Hashable], level: float, seed: int
) -> Interval | None:
    import numpy as np
    from scipy.stats import t

    sums, sizes = (np.array(part, dtype=float) for part in _cluster_sums(values, units))
    count = len(sums)
    if count < 2:
        return None
    if count >= _FEW_CLUSTERS:
        drawn = np.random.default_rng(seed).integers(count, size=(_DRAWS, count))
        means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(low), float(high))
    mean = sums.sum() / sizes.sum()
    variance = count / (count - 1) * ((sums - sizes * mean) ** 2).sum() / sizes.sum() ** 2
    half = float(t.ppf((1 + level) / 2, count - 1) * math.sqrt(variance))
    return Interval(float(mean) - half, float(mean) + half)


def _sign_flips(values: Sequence[float], units: Sequence[Hashable], seed: int) -> float:
    """Two-sided p of the sum if the halves of each cluster could as well have changed places."""
    import numpy as np

    sums = np.array([s for s in _cluster_sums(values, units)[0] if s != 0], dtype=float)
    count = len(sums)
    exact = count <= _ALL_FLIPS
    if exact:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=count)))
    else:
        draws = np.random.default_rng(seed).integers(2, size=(_DRAWS, count))
        signs = draws * 2.0 - 1.0
    reached = int((np.abs(signs @ sums) >= abs(sums.sum()) * (1 - 1e-9)).sum())
    return reached / len(signs) if exact else (1 + reached) / (1 + len(signs))
