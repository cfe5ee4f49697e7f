"""Planted memories: what each is worth is known, and the rules of life are let loose on them.

A run is one namespace of sixteen units: three that help, three that harm, three that do nothing, one
that helps until the middle and harms from then on, and three pairs, each always recalled together: two
that teach one rule (duplicates that nobody found would do the same), two halves that help only where
both are shown, and two that contradict each other, where either helps alone and both together harm.
Each episode recalls two of them at random (a pair counts as one); what is shown adds its effect to the base rate, within [.02, .98], so that
beside others a unit may move less than its effect. Near-duplicates that were found are one unit, and
need no part of their own. Every so often the units are swept as the product does it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instar.sequences import Sample, difference
from instar.types import MemoryStatus
from memory._life import Rules, evidence, judge
from memory._withhold import Withholding

__all__ = [
    "DRIFTER",
    "HALVES",
    "HARMFUL",
    "HELPFUL",
    "PAIR",
    "RIVALS",
    "USELESS",
    "Lived",
    "by_unit",
    "live",
]

HELPFUL, HARMFUL, USELESS = slice(0, 3), slice(3, 6), slice(6, 9)
PAIR, DRIFTER, HALVES, RIVALS = slice(9, 11), 11, slice(12, 14), slice(14, 16)
_UNITS = 16
_SLOT = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11, 11, 12, 12])
_BASE, _SIZE = 0.4, 0.3
_RIVALS_TOGETHER = np.array([0.0, 1.0, -1.0])
"""By how many of two that contradict each other are shown."""
_AT_ONCE = 2
_PER_UNIT = (_SLOT.max() + 1) / _AT_ONCE
"""Episodes for one recall of each unit, while all are there."""


class Episodes(NamedTuple):
    """What happened, by run, episode and unit; outcomes by run and episode."""

    eligible: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    success: NDArray[np.float64]


class Lived(NamedTuple):
    """The lives of all runs, by run, sweep and unit.

    Attributes:
        recalls: Of each so far.
        kept_out: Whether the unit is then kept out of serving, quarantined or retired.
        retired: Whether it is then retired.
        as_harmful: Whether it is then retired as harmful.
    """

    episodes: Episodes
    recalls: NDArray[np.int64]
    kept_out: NDArray[np.bool_]
    retired: NDArray[np.bool_]
    as_harmful: NDArray[np.bool_]


def _chance(status: MemoryStatus) -> float:
    """With which probability practice shows a unit."""
    return 0.0 if status is MemoryStatus.RETIRED else 1 - Withholding().of(status)


def live(runs: int, recalls: int, every: int, rng: np.random.Generator, rules: Rules) -> Lived:
    """Let all runs live through about so many recalls a unit, swept every so many."""
    sweeps = recalls // every
    status = [{str(u): MemoryStatus.CANDIDATE for u in range(_UNITS)} for _ in range(runs)]
    as_harmful = np.zeros((runs, _UNITS), dtype=np.bool_)
    past: Episodes | None = None
    after = []
    for sweep in range(sweeps):
        chance = np.array([[_chance(s) for s in of.values()] for of in status])
        block = _block(round(every * _PER_UNIT), chance, 2 * sweep >= sweeps, rng)
        past = block if past is None else _after(past, block)
        _sweep(past, status, chance == 0, rules, as_harmful)
        out = [[s is MemoryStatus.QUARANTINED for s in of.values()] for of in status]
        gone = np.array([[s is MemoryStatus.RETIRED for s in of.values()] for of in status])
        after.append((past.eligible.sum(axis=1), gone | np.array(out), gone, as_harmful.copy()))
    if past is None:
        raise ValueError("there is no sweep in so few recalls")
    recalled, kept_out, retired, harmful = (
        np.stack(part, axis=1) for part in zip(*after, strict=True)
    )
    return Lived(past, recalled, kept_out, retired, harmful)


def _after(past: Episodes, block: Episodes) -> Episodes:
    return Episodes(*(np.concatenate(pair, axis=1) for pair in zip(past, block, strict=True)))


def _block(
    length: int, chance: NDArray[np.float64], drifted: bool, rng: np.random.Generator
) -> Episodes:
    """Episodes between two sweeps; ``chance`` of being shown, by run and unit, 0 where retired."""
    runs = len(chance)
    there = np.zeros((runs, _SLOT.max() + 1), dtype=np.bool_)
    for unit, slot in enumerate(_SLOT):
        there[:, slot] |= chance[:, unit] > 0
    lots = rng.random((runs, length, there.shape[1])) + ~there[:, None]
    bar = np.partition(lots, _AT_ONCE - 1, axis=-1)[..., _AT_ONCE - 1 : _AT_ONCE]
    eligible = ((lots <= bar) & there[:, None])[..., _SLOT] & (chance[:, None] > 0)
    propensity = np.broadcast_to(chance[:, None], eligible.shape)
    shown = eligible & (rng.random(eligible.shape) < propensity)
    rate: NDArray[np.float64] = _BASE + _SIZE * (
        shown[..., HELPFUL].sum(axis=-1)
        - 1.0 * shown[..., HARMFUL].sum(axis=-1)
        + shown[..., PAIR].any(axis=-1)
        + (-1.0 if drifted else 1.0) * shown[..., DRIFTER]
        + shown[..., HALVES].all(axis=-1)
        + _RIVALS_TOGETHER[shown[..., RIVALS].sum(axis=-1)]
    )
    success = rng.random((runs, length)) < rate.clip(0.02, 0.98)
    return Episodes(eligible, shown, propensity, success.astype(np.float64))


def by_unit(past: Episodes, counted: NDArray[np.bool_], most: int | None = None) -> Sample:
    """Differences in success, one row a unit of a run, of the first so many that count."""
    longest = int(counted.sum(axis=1).max())
    order = np.argsort(~counted.swapaxes(1, 2), axis=-1, kind="stable")
    order = order[..., : min(longest, most or longest)]

    def taken(field: NDArray[Any]) -> NDArray[Any]:
        rows = np.take_along_axis(field.swapaxes(1, 2), order, axis=-1)
        return rows.reshape(-1, order.shape[-1])

    success = np.broadcast_to(past.success[..., None], past.shown.shape)
    here = taken(counted)
    return difference(taken(past.shown), taken(past.propensity), taken(success), here)


def _sweep(
    past: Episodes,
    status: list[dict[str, MemoryStatus]],
    gone: NDArray[np.bool_],
    rules: Rules,
    as_harmful: NDArray[np.bool_],
) -> None:
    """Judge all units of all runs, and change their status."""
    away = np.asarray((past.shown & gone[:, None]).any(axis=-1))
    now = by_unit(past, past.eligible & ~away[:, :, None])
    found = evidence(now, by_unit(past, past.eligible), rules)
    for run, of in enumerate(status):
        known = {
            unit: found[run * _UNITS + int(unit)]
            for unit, now in of.items()
            if now is not MemoryStatus.RETIRED
        }
        for unit, change in judge(of, known, of.keys(), rules).items():
            of[unit] = change.status
            if change.reason.startswith("harms"):
                as_harmful[run, int(unit)] = True
