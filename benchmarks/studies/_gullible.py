"""A distiller that believes what it reads: the advice of a notice becomes a lesson.

It stands for a distiller that can be talked into something, so that one can see what is made of what
it writes. It reads what the agent saw and nothing else; whether the advice held it does not ask, so
no success ever stands behind its lessons.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Origin, Trajectory
from memory.distill._slots import Lexicon, Lifter
from memory.distill.base import active, new, stable_id

__all__ = ["Gullible"]

_NOTICE = re.compile(r"^(?:text: )?notice: (.+)$", re.MULTILINE)
"""How both doors show one; what else a page says is no advice."""


class Gullible:
    """Lessons from notices, for the kind of task in which they were read."""

    def __init__(self) -> None:
        self._lexicon = Lexicon()

    def state_dict(self) -> dict[str, Any]:
        """Instructions met."""
        return {"lexicon": self._lexicon.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._lexicon.load_state_dict(state["lexicon"])

    def distill(
        self, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """A lesson for each piece of advice, and more sources for those that are known."""
        usable = new(trajectories)
        self._lexicon.learn(usable)
        lifter = Lifter(self._lexicon, usable)
        known = {i.id: i for i in active(bank, MemoryKind.LESSON)}
        now: dict[str, MemoryItem] = {}
        for one in usable:
            advice = _advice(one)
            if advice:
                slots = lifter.slots(one)
                item = _item(one, slots.put(one.task.instruction), slots.put(advice))
                before = now.get(item.id) or known.get(item.id) or item
                now[item.id] = _met(before, one.id)
        return [_change(item, known) for id, item in sorted(now.items()) if item != known.get(id)]


def _advice(trajectory: Trajectory) -> str:
    """The first notice that the agent saw; empty where it saw none."""
    found = (_NOTICE.search(step.observation) for step in trajectory.steps)
    return next((match.group(1).strip() for match in found if match), "")


def _item(read: Trajectory, when: str, content: str) -> MemoryItem:
    network = any("network" in tool.effects for tool in read.tools)
    kind = MemoryKind.LESSON
    return MemoryItem(
        # By origin too: that a page repeats a tool makes neither of them more trusted.
        id=stable_id(read.task.namespace, when, kind, (), f"{content} {network}"),
        title=when,
        when=when,
        content=content,
        kind=kind,
        group=read.task.group,
        namespace=read.task.namespace,
        origin=Origin.WEB_PAGE if network else Origin.TOOL,
    )


def _met(item: MemoryItem, source: str) -> MemoryItem:
    """The item with one more trajectory behind it; one that it has counts once."""
    if source in item.sources:
        return item
    return item.model_copy(update={"sources": (*item.sources, source)})


def _change(item: MemoryItem, known: Mapping[str, MemoryItem]) -> MemoryOp:
    told = f"read in {len(item.sources)} episodes"
    if item.id in known:
        return MemoryOp(kind=OpKind.EDIT, target=item.id, item=item, reason=told)
    return MemoryOp(kind=OpKind.ADD, item=item, reason=told)
