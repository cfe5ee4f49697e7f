"""What experience is worth: effects of the bank, of clusters and of items, from random withholding.

In practise episodes some of what recall chose is withheld at random, with a recorded probability; so
the difference that it made can be told from what it merely went along with.

The interval of an effect holds at all times at once, for one memory on its own; it says nothing of the
best of many. For that, effects of one kind are also shrunk towards their common mean by empirical
Bayes (the random-effects model of DerSimonian and Laird, 1986): rank by the shrunk ones. An item's
effect is that of its cluster in the episodes where recall chose the item, since both share one draw.
Steps count whatever the outcome, and more than a limit count as the limit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from instar.sequences import Sample, difference, interval, needed
from instar.stats import Interval
from instar.types import Record
from memory._observed import VERIFIED, Case, Draw, Level, Observation, cases, observations

__all__ = [
    "Case",
    "Draw",
    "Effect",
    "Level",
    "MARGIN",
    "Observation",
    "VERIFIED",
    "Verdict",
    "Worth",
    "by_author",
    "cases",
    "known",
    "observations",
    "shrink",
    "success",
    "summary",
    "worth",
]

_GUESSED = 4
_TRUSTED = 20
MARGIN = 0.05
"""An effect on success that is surely smaller than this, either way, is useless."""


class Verdict(StrEnum):
    """What the interval of an effect on success says."""

    HELPS = "helps"
    HURTS = "hurts"
    USELESS = "useless"
    UNDECIDED = "undecided"


class Effect(Record):
    """A difference between shown and withheld.

    Attributes:
        estimate: Mean of the weighted differences.
        interval: Of it, at 95 %, valid at any time.
        variance: Of the estimate.
    """

    estimate: float
    interval: Interval
    variance: float


class Worth(Record):
    """What one thing is worth.

    Attributes:
        name: Of the unit, item or group; empty for the bank.
        n: Episodes that counted.
        shown: Those of them in which it was shown.
        success: Effect on verified success.
        steps: Effect on the number of steps; fewer is below zero.
        shrunk: The effect on success, shrunk towards the mean of its kind.
        deviation: Standard deviation of what ``shrunk`` leaves open.
        needed: About how many more episodes would decide; 0 where it is decided.
    """

    level: Level
    name: str
    namespace: str
    n: int
    shown: int
    success: Effect
    steps: Effect
    shrunk: float
    deviation: float
    verdict: Verdict
    needed: int


def success(of: Sequence[Case]) -> Sample:
    """Differences in success, one a case."""
    return _sample(of, [float(bool(c.observation.success)) for c in of])


def _sample(of: Sequence[Case], outcome: Sequence[float]) -> Sample:
    return difference([c.shown for c in of], [c.propensity for c in of], outcome)


def worth(
    observed: Iterable[Observation],
    level: Level,
    without: Collection[str] = (),
    most_steps: int = 30,
    margin: float = MARGIN,
) -> list[Worth]:
    """What each thing of a level is worth, the best of its namespace first.

    Args:
        observed: Of one model, to learn what things are worth to it.
        without: Units that are gone; see `cases`.
        most_steps: An episode of more counts as one of so many.
        margin: Effects surely smaller than this are useless.
    """
    found = cases(observed, level, without)
    kinds: dict[str, list[Worth]] = defaultdict(list)
    for (namespace, name), of in found.items():
        kinds[namespace].append(_one(level, namespace, name, of, most_steps, margin))
    return [w for _, kind in sorted(kinds.items()) for w in _ranked(kind)]


def by_author(observed: Iterable[Observation], authors: Mapping[str, str]) -> list[Worth]:
    """What memories are worth by who wrote them: a distiller, an import, a person.

    Of each author the first memory that an episode drew for counts, in the order of recall. Others of
    the same episode share its outcome, and would be counted as if they were evidence of their own.

    Args:
        observed: As of `worth`.
        authors: By item. Memories of nobody do not count.
    """
    told = [replace(o, draws=_firsts(o.draws, authors)) for o in observed]
    return worth(told, Level.CLUSTER)


def _firsts(draws: Sequence[Draw], authors: Mapping[str, str]) -> tuple[Draw, ...]:
    """The first draw of each author, as if it were one for the author."""
    found: dict[str, Draw] = {}
    for draw in draws:
        author = authors.get(draw.items[0])
        if author is not None:
            found.setdefault(author, replace(draw, unit=author))
    return tuple(found.values())


def _one(
    level: Level, namespace: str, name: str, of: Sequence[Case], most_steps: int, margin: float
) -> Worth:
    sample = success(of)
    steps = _sample(of, [min(c.observation.steps, most_steps) / most_steps for c in of])
    effect = _effect(of, sample)
    verdict = _verdict(effect.interval, margin)
    return Worth(
        level=level,
        name=name,
        namespace=namespace,
        n=len(of),
        shown=sum(c.shown for c in of),
        success=effect,
        steps=_effect(of, steps, most_steps),
        shrunk=effect.estimate,
        deviation=math.sqrt(effect.variance),
        verdict=verdict,
        needed=needed(sample, smallest=margin) if verdict is Verdict.UNDECIDED else 0,
    )


def _effect(of: Sequence[Case], sample: Sample, unit: float = 1.0) -> Effect:
    n, low_high = len(of), interval(sample)
    # With few cases the variance is a guess: as if four had been seen of an outcome of even odds.
    even = sum(0.25 / (c.propensity * (1 - c.propensity)) for c in of) / n
    variance = (float(sample.variance) * (n - 1) + _GUESSED * even) / (n - 1 + _GUESSED) / n
    return Effect(
        estimate=float(sample.mean) * unit,
        interval=Interval(low_high.low * unit, low_high.high * unit),
        variance=variance * unit**2,
    )


def _verdict(found: Interval, margin: float) -> Verdict:
    if found.low > 0:
        return Verdict.HELPS
    if found.high < 0:
        return Verdict.HURTS
    within = -margin < found.low and found.high < margin
    return Verdict.USELESS if within else Verdict.UNDECIDED


def _ranked(kind: Sequence[Worth]) -> list[Worth]:
    means, deviations = shrink(
        [w.success.estimate for w in kind], [w.success.variance for w in kind]
    )
    updated = [
        w.model_copy(update={"shrunk": float(m), "deviation": float(d)})
        for w, m, d in zip(kind, means, deviations, strict=True)
    ]
    return sorted(updated, key=lambda w: (-w.shrunk, w.name))


def shrink(
    estimates: ArrayLike, variances: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimates drawn towards their common mean by how uncertain they are, with deviations.

    One alone stays as it is. More are taken to come from one normal distribution.
    """
    y, v = np.asarray(estimates, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if len(y) < 2:
        return y, np.sqrt(v)
    weight = 1 / v
    spread = (weight * (y - (weight * y).sum() / weight.sum()) ** 2).sum() - (len(y) - 1)
    between = max(0.0, spread / (weight.sum() - (weight**2).sum() / weight.sum()))
    weight = 1 / (v + between)
    centre, share = (weight * y).sum() / weight.sum(), v / (v + between)
    deviation = np.sqrt((1 - share) * v + share**2 / weight.sum())
    return (1 - share) * y + share * centre, deviation


def known(found: Sequence[Worth]) -> dict[str, float]:
    """Effects on success, shrunk, of those units of which more is known than chance would show.

    What is uncertain counts as nothing, so that a ranking does not follow noise: less than two
    deviations from 0, or fewer than 20 episodes, of which a deviation would be a guess itself.
    """
    sure = [w for w in found if w.n >= _TRUSTED and abs(w.shrunk) > 2 * w.deviation]
    return {w.name: round(max(-1.0, min(1.0, w.shrunk)), 4) for w in sure}


def summary(bank: Worth | None) -> str:
    """The one line on top, from what the bank is worth; None where it was never withheld."""
    if bank is None:
        return "undecided here: no episode has withheld the bank yet"
    low, high = (100 * end for end in bank.success.interval)
    points = f"{100 * bank.success.estimate:+.1f} points [{low:+.1f}, {high:+.1f}]"
    if bank.verdict is Verdict.HELPS:
        return f"experience helps here, by {points}"
    if bank.verdict is Verdict.UNDECIDED:
        return f"undecided here, by {points}, needs about {bank.needed} more episodes"
    hurts = "; it hurts" if bank.verdict is Verdict.HURTS else ""
    return f"experience does not help here, by {points}{hurts}"
