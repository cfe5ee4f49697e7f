"""The life of a memory: candidate, active, quarantined, retired, by evidence and by where it is from.

Nothing here reads or writes the bank: `sweep` turns what was observed into changes to make. All is
judged by unit, that is by cluster: the evidence is the wealth of somebody who bets on it to help, or
to harm (`instar.sequences`), from which any number of looks takes nothing.

* A new item is a candidate. One from untrusted text (web page, tool, user) is quarantined instead,
  so that practise alone may show it, until verified successes stand behind it. What is pinned stays.
* A candidate that seems to help becomes active, and so does a trusted one that after a trial looks
  better than nothing. Candidates are withheld half the time, active ones a tenth.
* Moderate evidence of harm quarantines; what clears a unit brings it back as a candidate. This looks
  at what is recent as well as at all, so that a memory that has turned harmful is noticed.
* Strong evidence of harm retires, and so does proof of no effect that would matter. Only the worst of
  a namespace is retired at a time, and then the rest is measured anew, from the episodes that did not
  show what is gone: two memories that teach one rule each look useless beside the other, and two that
  contradict each other both seem to harm, until one of them is alone.

Stated error: of units that never do harm at most 5 % are ever retired as harmful, however often one
looks. It rests on all that was observed of a unit; what is recent or measured anew can only spare it.
`benchmarks.studies.worth` measures it on planted memories, with the power that is left.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from instar.sequences import Sample, log_alarm, log_wealth
from instar.types import MemoryItem, MemoryOp, MemoryStatus, OpKind, Origin, Record
from memory._observed import Case, Level, Observation, cases
from memory.worth import MARGIN, success

__all__ = ["Change", "Evidence", "Rules", "evidence", "first_status", "judge", "sweep"]

_SHOWN = (
    MemoryStatus.ACTIVE,
    MemoryStatus.CANDIDATE,
    MemoryStatus.QUARANTINED,
    MemoryStatus.INTERNALISED,
    MemoryStatus.RETIRED,
)
"""Of a unit in several states, the one that comes first here is the unit's: it is what episodes showed."""


class Rules(Record):
    """Where the lines are drawn.

    Attributes:
        level: Share of harmless units that may ever be retired as harmful.
        doubt: A unit is quarantined, cleared or made active wrongly after ``1 / doubt`` times
            ``restart`` recalls on average, or more, if it has no effect.
        trial: Recalls after which a trusted candidate is active if it looks better than nothing.
        restart: Recalls after which recent evidence is gathered anew.
        support: Verified successes that make up for an untrusted origin.
        margin: An effect smaller than this does not matter.
        trusted: Origins whose text may be shown before anything speaks for it.
    """

    level: float = Field(0.05, gt=0, lt=1)
    doubt: float = Field(0.1, gt=0, lt=1)
    trial: int = Field(60, ge=1)
    restart: int = Field(50, ge=1)
    support: int = Field(1, ge=1)
    margin: float = Field(MARGIN, gt=0)
    trusted: tuple[Origin, ...] = (Origin.ENVIRONMENT, Origin.SELF)


class Evidence(NamedTuple):
    """What is known of one unit.

    Attributes:
        n: Recalls that counted.
        effect: Estimated effect on success.
        helps: Log of the wealth won by betting, early or lately, that it helps.
        harms: The same, that it harms.
        idle: The lower of two: that its effect is below the margin, and above minus the margin.
        harmed: Log of the wealth won by betting from the beginning that it harms, on all episodes,
            also on those that showed what is gone.
    """

    n: int
    effect: float
    helps: float
    harms: float
    idle: float
    harmed: float


class Change(NamedTuple):
    """A new status, and why."""

    status: MemoryStatus
    reason: str


def first_status(item: MemoryItem, rules: Rules | None = None) -> MemoryStatus:
    """The status in which a new item begins."""
    trusted = _trusted(item, rules or Rules())
    return MemoryStatus.CANDIDATE if trusted else MemoryStatus.QUARANTINED


def _trusted(item: MemoryItem, rules: Rules) -> bool:
    return item.origin in rules.trusted or item.support >= rules.support


def evidence(now: Sample, ever: Sample, rules: Rules) -> list[Evidence]:
    """What the differences in success of each unit tell.

    Args:
        now: From episodes that did not show what is gone; one row a unit.
        ever: From all episodes; the same units.
    """
    above, below = log_wealth(now, -rules.margin), log_wealth(now.mirrored, -rules.margin)
    columns = (
        now.n,
        now.mean,
        _last(log_alarm(now, every=rules.restart)),
        _last(log_alarm(now.mirrored, every=rules.restart)),
        _last(np.minimum(above, below)),
        _last(log_wealth(ever.mirrored)),
    )
    return [Evidence(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _last(paths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each row ends; 0 where it is empty."""
    return paths[:, -1] if paths.shape[1] else np.zeros(len(paths))


def judge(
    standing: Mapping[str, MemoryStatus],
    known: Mapping[str, Evidence],
    trusted: Collection[str],
    rules: Rules,
) -> dict[str, Change]:
    """What changes among the units of one namespace; at most one of them is retired, the worst.

    Args:
        standing: Status of each unit that is still there.
        known: What is known of them; one of which nothing is known stays as it is.
        trusted: Units whose every item is.
    """
    enough, likely = math.log(1 / rules.level), math.log(1 / rules.doubt)
    changes: dict[str, Change] = {}
    ending: list[tuple[float, str, str]] = []
    for unit, found in sorted(known.items()):
        told = f"{100 * found.effect:+.0f} points over {found.n} recalls"
        if found.harmed >= enough and found.harms >= likely:
            ending.append((found.harmed, unit, f"harms: {told}"))
        elif found.idle >= enough:
            # Less pressing than any harm, however sure.
            ending.append((-1 / found.idle, unit, f"makes no difference: {told}"))
        after, why = _next(standing[unit], found, unit in trusted, rules)
        if after is not standing[unit]:
            changes[unit] = Change(after, f"{why}: {told}")
    if ending:
        _, unit, reason = max(ending)
        changes[unit] = Change(MemoryStatus.RETIRED, reason)
    return changes


def _next(
    status: MemoryStatus, found: Evidence, trusted: bool, rules: Rules
) -> tuple[MemoryStatus, str]:
    likely = math.log(1 / rules.doubt)
    if found.harms >= likely:
        return MemoryStatus.QUARANTINED, "seems to harm"
    if status is MemoryStatus.QUARANTINED:
        if found.helps >= likely:
            return MemoryStatus.CANDIDATE, "seems to help"
        if trusted and found.harms < 0:
            return MemoryStatus.CANDIDATE, "no longer seems to harm"
    if status is MemoryStatus.CANDIDATE:
        if found.helps >= likely:
            return MemoryStatus.ACTIVE, "seems to help"
        if trusted and found.n >= rules.trial and found.effect > 0:
            return MemoryStatus.ACTIVE, "came through its trial"
    return status, ""


def sweep(
    items: Sequence[MemoryItem],
    observed: Sequence[Observation],
    unit_of: Mapping[str, str] | None = None,
    rules: Rules | None = None,
    held: Collection[str] = (),
) -> list[MemoryOp]:
    """The changes of status that the evidence asks for.

    Args:
        items: All that the generation sees; a unit of which none is left has gone.
        observed: Practise episodes in their order, of the model that is served.
        unit_of: Cluster of each item that is in one.
        rules: None: the usual ones.
        held: Items that a person put into quarantine: only proof that they help brings them out of it.
    """
    rules = rules or Rules()
    alive = {item.id for item in items}
    named = {item.id: (unit_of or {}).get(item.id, item.id) for item in items}
    units: dict[str, list[MemoryItem]] = defaultdict(list)
    for item in items:
        if not item.pinned:
            units[named[item.id]].append(item)
    # A draw names the one item that stood for its unit then; the others may still be there.
    left = set(named.values())
    drawn = {(d.unit, d.items) for o in observed for d in o.draws}
    gone = {unit for unit, of in drawn if unit not in left and alive.isdisjoint(of)}
    ever, now = _of_units(observed, ()), _of_units(observed, gone)
    known: dict[str, dict[str, Evidence]] = defaultdict(dict)
    for unit in sorted(ever.keys() & units.keys()):
        rows = (success(now.get(unit, [])).as_row, success(ever[unit]).as_row)
        known[units[unit][0].namespace][unit] = evidence(*rows, rules)[0]
    ops: list[MemoryOp] = []
    for _, found in sorted(known.items()):
        standing = {u: min((i.status for i in units[u]), key=_SHOWN.index) for u in found}
        trusted = {u for u in found if _all_trusted(units[u], rules, held)}
        for unit, change in judge(standing, found, trusted, rules).items():
            ops += [_op(i, change) for i in units[unit] if _moves(i, standing[unit], change)]
    return ops + [
        op
        for unit in sorted(units.keys() - ever.keys())
        if _all_trusted(units[unit], rules, held)
        for op in _vouched(units[unit])
    ]


def _all_trusted(unit: Sequence[MemoryItem], rules: Rules, held: Collection[str]) -> bool:
    return all(_trusted(item, rules) and item.id not in held for item in unit)


def _moves(item: MemoryItem, standing: MemoryStatus, change: Change) -> bool:
    """Whether what changes of a unit changes of this item: nobody comes up by the proof of another."""
    down = change.status in (MemoryStatus.QUARANTINED, MemoryStatus.RETIRED)
    return item.status is not change.status and (down or item.status is standing)


def _vouched(unit: Sequence[MemoryItem]) -> list[MemoryOp]:
    """Untrusted text that was never shown, and that verified successes now stand behind."""
    change = Change(MemoryStatus.CANDIDATE, "verified successes stand behind it")
    return [_op(item, change) for item in unit if item.status is MemoryStatus.QUARANTINED]


def _of_units(observed: Iterable[Observation], gone: Collection[str]) -> dict[str, list[Case]]:
    """The cases of each unit; one that several namespaces share has those of all."""
    of: dict[str, list[Case]] = defaultdict(list)
    for (_, unit), found in cases(observed, Level.CLUSTER, gone).items():
        of[unit] += found
    return of


def _op(item: MemoryItem, change: Change) -> MemoryOp:
    if change.status is MemoryStatus.RETIRED:
        return MemoryOp(kind=OpKind.RETIRE, target=item.id, reason=change.reason)
    moved = item.model_copy(update={"status": change.status})
    return MemoryOp(kind=OpKind.EDIT, target=item.id, item=moved, reason=change.reason)
