"""Items fade unless successes keep coming, and what proved itself fades more slowly.

After FinMem (Yu et al. 2023) in its released numbers: three layers in which recency is
``exp(-age / Q)`` with Q of 3, 90 and 365 days, and importance shrinks by .92, .967 and .988 a day.
An item is let go when its recency is under .05 or its importance under 5. From importance 60 it
moves up out of the short layer, from 80 out of the middle one; a move up makes it young again, a
move down does not.

Different here: a day is a number of practised episodes. Importance begins at a fixed value, higher
for what was learnt from a failure, instead of a random one. A verified success is counted once, when
it is new; the release multiplies a sum of all of them again each time. An item moves down well below
where it moved up, since with one limit for both it would swing; and one layer a sweep at most. There
is no feedback from failures: the bank does not record them by item.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field, PositiveFloat

from instar.types import MemoryItem, MemoryOp, Record
from memory.forget.base import forgotten

__all__ = ["Decay"]

_SPAN = (3.0, 90.0, 365.0)
_SHRINK = (0.92, 0.967, 0.988)
_UP = (60.0, 80.0, math.inf)
_DOWN = (-math.inf, 50.0, 70.0)
_SUCCESS, _FAILURE = 50.0, 55.0
_MOST = 100.0


class _Trace(NamedTuple):
    """What is known of one item.

    Attributes:
        layer: 0 short, 1 middle, 2 long.
        born: Clock from which its age counts.
        seen: Clock of the last sweep.
        support: Verified successes counted so far.
    """

    layer: int
    importance: float
    born: float
    seen: float
    support: int


class Decay:
    """Lets go what no verified success has confirmed for long.

    The state holds the items that are still remembered; one that is brought back begins anew.
    """

    class Config(Record):
        """Settings.

        Attributes:
            day: Units of the clock in a day: practised episodes.
            credit: Importance that a new verified success adds.
            recency: Below it an item is let go.
            importance: Below it an item is let go.
        """

        day: PositiveFloat = 128.0
        credit: Annotated[float, Field(ge=0)] = 5.0
        recency: Annotated[float, Field(gt=0, lt=1)] = 0.05
        importance: Annotated[float, Field(ge=0)] = 5.0

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._traces: dict[str, _Trace] = {}

    def state_dict(self) -> dict[str, Any]:
        """By item id: layer, importance, and clocks."""
        return {"traces": {id: list(trace) for id, trace in self._traces.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._traces = {id: _Trace(*trace) for id, trace in state["traces"].items()}

    def sweep(self, items: Sequence[MemoryItem], clock: float) -> list[MemoryOp]:
        """Ends of what has faded by now."""
        traces = {i.id: self._now(i, clock) for i in items}
        reasons = {i.id: self._faded(traces[i.id], clock) for i in items if not i.pinned}
        ops = [forgotten(i, reasons[i.id]) for i in items if reasons.get(i.id)]
        self._traces = {id: trace for id, trace in traces.items() if not reasons.get(id)}
        return ops

    def _now(self, item: MemoryItem, clock: float) -> _Trace:
        trace = self._traces.get(item.id)
        if trace is None:
            trace = _Trace(0, _FAILURE if item.polarity < 0 else _SUCCESS, clock, clock, 0)
        days = max(0.0, clock - trace.seen) / self.config.day
        fresh = max(0, item.support - trace.support)
        importance = trace.importance * _SHRINK[trace.layer] ** days + self.config.credit * fresh
        now = trace._replace(
            importance=min(_MOST, importance),
            seen=max(clock, trace.seen),
            support=max(item.support, trace.support),
        )
        return _moved(now)

    def _faded(self, trace: _Trace, clock: float) -> str:
        """Why an item is let go; empty where it stays."""
        days = (clock - trace.born) / self.config.day
        recency = math.exp(-days / _SPAN[trace.layer])
        if recency < self.config.recency:
            return f"no success moved it up in {days:.1f} days of practice"
        if trace.importance < self.config.importance:
            return f"importance fell to {trace.importance:.1f}"
        return ""


def _moved(trace: _Trace) -> _Trace:
    """The item in the layer that its importance asks for, one step away at most."""
    if trace.importance >= _UP[trace.layer]:
        return trace._replace(layer=trace.layer + 1, born=trace.seen)
    if trace.importance < _DOWN[trace.layer]:
        return trace._replace(layer=trace.layer - 1)
    return trace
