"""Intervals that stay valid however often one looks, for means of bounded values and for effects.

A confidence sequence covers at all times at once with the stated probability, so that one may stop,
act or go on whenever one likes. Ours are won by betting (Waudby-Smith and Ramdas, "Estimating means
of bounded random variables by betting", JRSS-B 2024): somebody who bets against a mean multiplies
their money only if the mean is elsewhere, and reaches 1/a with probability a at most if it is right.
Their bets are an even mixture of three fixed shares of the highest bet that cannot ruin them, so the
wealth falls as the mean in question rises and the ends of the interval are found by bisection.

An effect under known propensities is the mean of inverse propensity weighted differences, from which
a running prediction of the outcome is taken away; that is the augmented estimator, and the prediction
changes the width only, never the validity.

Why this one: in simulations of binary outcomes at propensities .5, .85 and .9, looked at after every
one of 1,000 observations, betting by a mixture missed in 1 to 4 % of runs at level .95. Bets from a
running plug-in kept their error too but needed 1.3 to 3 times as many observations to find 10 points.
The time-uniform central limit theorem (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of
Statistics 2024, after the normal mixture of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
nonparametric, nonasymptotic confidence sequences", 2021) needed a tenth fewer at .5 but missed in 7 to
29 % of runs at .85 and .9, where the rarer half is small for long; it is left out.

What is covered is one mean that does not move. Where it drifts, the interval speaks of the average
only roughly; `log_alarm` is for noticing that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from instar.stats import Interval

__all__ = ["Sample", "bounded", "difference", "interval", "log_alarm", "log_wealth", "needed"]

_SHARES = np.array([0.08, 0.2, 0.5])
_HALVINGS = 14
_PRIOR = 2.0
"""Weight of the common rate in the running rate of each half."""


class Sample(NamedTuple):
    """Values in the order in which they were observed, along the last axis.

    Attributes:
        values: Each has the mean in question, given all before it.
        low: The least that each could have been, known before it was drawn.
        high: The most.
        counted: False where there is no observation; as if it were not there.
        span: Where the mean can be.
    """

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counted: NDArray[np.bool_]
    span: Interval

    @property
    def mirrored(self) -> Sample:
        """The sample with its sign turned."""
        span = Interval(-self.span.high, -self.span.low)
        return Sample(-self.values, -self.high, -self.low, self.counted, span)

    @property
    def as_row(self) -> Sample:
        """One sequence as the only row of many."""
        values, low, high, counted, span = self
        return Sample(values[None], low[None], high[None], counted[None], span)

    @property
    def n(self) -> NDArray[np.int64]:
        """How many were observed."""
        return np.asarray(self.counted.sum(axis=-1))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of what was observed; 0 of nothing."""
        total = np.where(self.counted, self.values, 0.0).sum(axis=-1)
        return np.asarray(total / np.maximum(self.n, 1))

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance of one value; as wide as can be where fewer than two were observed."""
        off = np.where(self.counted, self.values - self.mean[..., None], 0.0)
        widest = (self.span.high - self.span.low) ** 2
        found = (off**2).sum(axis=-1) / np.maximum(self.n - 1, 1)
        return np.asarray(np.where(self.n > 1, found, widest))


def bounded(values: ArrayLike, low: float = 0.0, high: float = 1.0) -> Sample:
    """A sample of values that lie between two bounds.

    Raises:
        ValueError: One does not.
    """
    array = np.asarray(values, dtype=np.float64)
    if ((array < low) | (array > high)).any():
        raise ValueError(f"a value lies outside [{low}, {high}]")
    full = np.ones_like(array)
    return Sample(array, low * full, high * full, full > 0, Interval(low, high))


def difference(
    shown: ArrayLike,
    propensity: ArrayLike,
    outcome: ArrayLike,
    counted: ArrayLike | None = None,
) -> Sample:
    """A sample whose mean is the effect of being shown: how much higher the outcome is.

    Args:
        shown: Whether it was, drawn at random.
        propensity: The probability with which it was, strictly between 0 and 1.
        outcome: In [0, 1]; not read where not counted.
        counted: False where there is no observation.

    Raises:
        ValueError: A propensity or an outcome that counts is out of range.
    """
    drawn = np.asarray(shown, dtype=np.bool_)
    here = np.ones_like(drawn) if counted is None else np.asarray(counted, dtype=np.bool_)
    p = np.where(here, np.asarray(propensity, dtype=np.float64), 0.5)
    y = np.where(here, np.asarray(outcome, dtype=np.float64), 0.0)
    if not ((p > 0) & (p < 1) & (y >= 0) & (y <= 1)).all():
        raise ValueError("propensities lie strictly between 0 and 1, outcomes in [0, 1]")
    centre = _centre(drawn, p, y, here)
    values = np.where(drawn, (y - centre) / p, (centre - y) / (1 - p))
    low = -np.maximum(centre / p, (1 - centre) / (1 - p))
    high = np.maximum((1 - centre) / p, centre / (1 - p))
    return Sample(values, low, high, here, Interval(-1.0, 1.0))


def _centre(
    drawn: NDArray[np.bool_],
    p: NDArray[np.float64],
    y: NDArray[np.float64],
    here: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """What to take from the outcome; of the rates so far, the mixture with the least variance."""
    with_it, without = here & drawn, here & ~drawn
    rate = (0.5 + _before(y)) / (1.0 + _before(here))
    high = (_PRIOR * rate + _before(y * with_it)) / (_PRIOR + _before(with_it))
    low = (_PRIOR * rate + _before(y * without)) / (_PRIOR + _before(without))
    return (1 - p) * high + p * low


def _before(values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum of all values before each."""
    numbers = values.astype(np.float64)
    return np.asarray(numbers.cumsum(axis=-1) - numbers)


def log_wealth(sample: Sample, mean: float = 0.0) -> NDArray[np.float64]:
    """Evidence that the mean is higher than one given: log of the wealth won by betting on it.

    While the mean is at most the given one, this ever exceeds ``log(1 / a)`` with probability ``a``
    at most. For evidence that it is lower, mirror the sample and the mean.

    Args:
        mean: Higher than the lowest that the mean can be.

    Returns:
        The evidence after each place of the last axis.
    """
    return _won(_gain(sample, mean))


def log_alarm(sample: Sample, mean: float = 0.0, every: int = 50) -> NDArray[np.float64]:
    """As `log_wealth`, for a mean that may have changed: the wealth of many who begin in turn.

    One begins after every so many observations, each with money of their own (an e-detector of Shin,
    Ramdas and Rinaldo, "E-detectors", 2023). While the mean is at most the given one, it takes ``1 / a``
    beginnings on average, or more, to exceed ``log(1 / a)``.
    """
    gain = _gain(sample, mean)
    seen = sample.counted.cumsum(axis=-1)
    wealth = _won(gain)
    for start in range(every, int(seen.max(initial=0)), every):
        late = seen > start
        wealth = np.where(late, np.logaddexp(wealth, _won(np.where(late, gain, 0.0))), wealth)
    return wealth


def _gain(sample: Sample, mean: float) -> NDArray[np.float64]:
    """What one unit of money wins on the highest bet that cannot ruin."""
    reach = np.where(sample.counted, mean - sample.low, 1.0)
    return np.where(sample.counted, (sample.values - mean) / reach, 0.0)


def _won(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the wealth after each place, money in equal parts on each share."""
    paths = [np.log1p(share * gain).cumsum(axis=-1) for share in _SHARES]
    return np.asarray(np.logaddexp.reduce(np.stack(paths), axis=0) - math.log(len(_SHARES)))


def interval(sample: Sample, level: float = 0.95) -> Interval:
    """Where the mean of one sequence lies, with both ends at half of the error; valid at any time."""
    enough = math.log(2 / (1 - level))
    below = _end(sample, enough)
    return Interval(below, -_end(sample.mirrored, enough))


def _end(sample: Sample, enough: float) -> float:
    """The highest mean, to four digits, that the evidence says is too low."""
    low, high = sample.span
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ruled_out = log_wealth(sample, middle)[-1:] >= enough
        low, high = (middle, high) if ruled_out.any() else (low, middle)
    return low


def needed(sample: Sample, level: float = 0.95, smallest: float = 0.05) -> int:
    """About how many more observations of one sequence would tell its mean, as now seen, from 0.

    A mean that now seems smaller than ``smallest`` is taken to be that large: so the answer is finite,
    and says what it would cost to find an effect that matters.
    """
    size = max(abs(float(sample.mean)), smallest)
    square = float(sample.variance) + size * size
    side = sample if float(sample.mean) >= 0 else sample.mirrored
    won = float(log_wealth(side)[-1]) if sample.counted.size else 0.0
    # The best bet wins size ** 2 / (2 * square) nats an observation.
    left = math.log(2 / (1 - level)) - won
    return max(1, math.ceil(left * 2 * square / size**2))
