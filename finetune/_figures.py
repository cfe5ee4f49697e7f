"""The figures of the gate: what a number of pairs shows of success, tokens and steps.

Looked at once, a figure has a usual interval and an exact test. Looked at again and again, it has a
confidence sequence and evidence that is won by betting (see `instar.sequences`), both valid whenever
one stops. What is bet on in tokens and steps is which side used less, pair by pair: savings have no
bounds that are known beforehand, their signs do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune._pairs import Pair
from instar import sequences
from instar.stats import Interval, paired
from instar.types import Record

__all__ = [
    "Figure",
    "Values",
    "evidence",
    "figure",
    "differences",
    "means",
    "savings",
    "success",
    "watched",
]


class Figure(Record):
    """One paired comparison: means of both sides, and candidate minus active.

    Attributes:
        interval: At 95 % unless set otherwise; valid at any time where it was watched.
        p: Of the exact test; None where it was watched.
        n: Pairs compared; 0 where there was nothing to compare.
    """

    active: float | None = None
    candidate: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    n: int = 0

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above ``bound``."""
        return self.interval is not None and self.interval.low > bound

    def below(self, bound: float) -> bool:
        """Whether the whole interval lies below ``bound``."""
        return self.interval is not None and self.interval.high < bound


class Values(NamedTuple):
    """Values of both sides, and the task of each pair."""

    active: list[float]
    candidate: list[float]
    tasks: list[str]


def success(pairs: Sequence[Pair], favouring: bool = False) -> Values:
    """Clean success, with what is unknown counted against the candidate, or for it."""
    known = [pair for pair in pairs if pair.counts]
    values = [pair.favouring() if favouring else pair.against() for pair in known]
    return Values([a for a, _ in values], [c for _, c in values], [p.task for p in known])


def savings(pairs: Sequence[Pair], name: str) -> Values:
    """Tokens or steps, where both succeeded: else failing quickly would look like thrift."""
    known = [(p.task, getattr(p, name)) for p in pairs if p.both and getattr(p, name) is not None]
    return Values([v[0] for _, v in known], [v[1] for _, v in known], [t for t, _ in known])


def figure(values: Values, level: float, seed: int) -> Figure:
    """Compare once; seeds of one task are one cluster."""
    found = paired(values.active, values.candidate, values.tasks, level, seed)
    if found is None:
        return Figure()
    return means(values).model_copy(update={"interval": found.interval, "p": found.p})


def watched(values: Values, level: float, bounded: bool = True) -> Figure:
    """Compare what is looked at again and again.

    Args:
        level: Of the confidence sequence.
        bounded: Whether the values lie in [0, 1]; others have no interval.
    """
    found = means(values)
    if not bounded or not found.n:
        return found
    sample = sequences.bounded(differences(values), -1.0)
    return found.model_copy(update={"interval": sequences.interval(sample, level)})


def means(values: Values) -> Figure:
    """The means of both sides alone."""
    n = len(values.active)
    if not n:
        return Figure()
    active, candidate = (math.fsum(side) / n for side in (values.active, values.candidate))
    return Figure(active=active, candidate=candidate, difference=candidate - active, n=n)


def differences(values: Values, signs: bool = False) -> NDArray[np.float64]:
    """Candidate minus active, one a task: the mean over its seeds, in the order of first sight."""
    if len(set(values.tasks)) == len(values.tasks):
        each = np.array(values.candidate, dtype=np.float64) - np.array(values.active)
        return np.asarray(np.sign(each) if signs else each)
    found: dict[str, list[float]] = {}
    for active, candidate, task in zip(*values, strict=True):
        found.setdefault(task, []).append(candidate - active)
    means = np.array([math.fsum(d) / len(d) for d in found.values()])
    return np.asarray(np.sign(means) if signs else means, dtype=np.float64)


def evidence(
    values: Values, above: float = 0.0, turned: bool = False, signs: bool = False
) -> NDArray[np.float64]:
    """Log of what betting on a mean difference above a bound has won, after each task.

    While the mean is at most that bound, it ever exceeds ``log(1 / a)`` with probability ``a`` at
    most, however often one looks (Ville's inequality).

    Args:
        above: The bound.
        turned: Active minus candidate instead.
        signs: Bet on which side is higher instead of by how much.
    """
    found = differences(values, signs)
    sample = sequences.bounded(-found if turned else found, -1.0)
    return sequences.log_wealth(sample, above)
