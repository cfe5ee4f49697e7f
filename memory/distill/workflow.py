"""Workflows: the calls of a clean success, with the values of its instruction lifted to slots.

After Agent Workflow Memory (Wang et al. 2024), without a language model: what is lifted is what the
instruction and the calls share. Taken are only successes by the word of the environment or a
program, without a single refused call. For one kind of task and toolset one workflow is kept: the
one with most successes behind it, then the shortest. Two that differ in a constant only contradict
each other: neither constant was what made them succeed, and both are dropped.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Record, Trajectory, content_hash
from memory.distill._slots import Lexicon, Lifter, Slots
from memory.distill.base import FINISH, active, after, calls, new, stable_id, verified

__all__ = ["Workflow"]

_LOG = logging.getLogger(__name__)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class _Key(NamedTuple):
    namespace: str
    when: str
    toolset: tuple[str, ...]


class _Found(NamedTuple):
    content: str
    tools: tuple[str, ...]
    source: Trajectory


class Workflow:
    """Call sequences of verified clean successes, values lifted to slots."""

    class Config(Record):
        """Settings.

        Attributes:
            max_calls: A longer success is no workflow worth its tokens.
        """

        max_calls: int = 24

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._lexicon = Lexicon()
        self._contradicted: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """Instructions met, and which workflows contradicted each other."""
        return {
            "lexicon": self._lexicon.state_dict(),
            "contradicted": sorted(self._contradicted),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._lexicon.load_state_dict(state["lexicon"])
        self._contradicted = set(state["contradicted"])

    def distill(
        self, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes that the clean successes among the trajectories justify."""
        usable = new(trajectories)
        self._lexicon.learn(usable)
        lifter = Lifter(self._lexicon, usable)
        found: dict[_Key, list[_Found]] = defaultdict(list)
        for trajectory in usable:
            if self._clean(trajectory):
                key, workflow = _write(trajectory, lifter.slots(trajectory))
                found[key].append(workflow)
        known = {i.id: i for i in active(bank, MemoryKind.WORKFLOW)}
        ops: list[MemoryOp] = []
        for key in sorted(found):
            decided = self._decide(key, found[key], list(known.values()))
            known = after(known, decided)
            ops += decided
        return ops

    def _clean(self, trajectory: Trajectory) -> bool:
        made = calls(trajectory)
        if not verified(trajectory) or any(result.error for _, result in made):
            return False
        return any(c.name != FINISH for c, _ in made) and len(made) <= self.config.max_calls

    def _decide(
        self, key: _Key, found: Sequence[_Found], known: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        rivals = {i.id: i for i in known if _same_work(i, key)}
        merged = dict(rivals)
        for workflow in found:
            item = _item(key, workflow)
            merged[item.id] = _supported(merged.get(item.id, item), workflow.source.id)
        dropped = self._contradictions(key, merged)
        kept = [i for i in merged.values() if i.id not in dropped]
        ops = [
            MemoryOp(kind=OpKind.RETIRE, target=i, reason=dropped[i])
            for i in sorted(dropped)
            if i in rivals
        ]
        return ops + (_crown(kept, rivals) if kept else [])

    def _contradictions(self, key: _Key, items: Mapping[str, MemoryItem]) -> dict[str, str]:
        """By id of those that differ from another in constants only: the reason to drop them."""
        shapes: dict[str, list[str]] = defaultdict(list)
        for item in items.values():
            shapes[content_hash([*key, _shape(item.content)])].append(item.id)
        self._contradicted |= {shape for shape, ids in shapes.items() if len(ids) > 1}
        reason = "successes of the same kind of task disagree in a constant"
        dropped = {i: reason for s, ids in shapes.items() if s in self._contradicted for i in ids}
        for id in sorted(dropped):
            _LOG.info("workflow dropped, %s: %s -> %s", reason, key.when, items[id].content)
        return dropped


def _write(trajectory: Trajectory, slots: Slots) -> tuple[_Key, _Found]:
    specs = {t.name: t for t in trajectory.tools}
    lines = [
        _line(slots, call.name, slots.line(call, specs.get(call.name)))
        for call, _ in calls(trajectory)
    ]
    used = {c.name for c, _ in calls(trajectory)} - {FINISH}
    toolset = tuple(sorted({*specs, *used} - {FINISH}))
    key = _Key(trajectory.task.namespace, slots.put(trajectory.task.instruction), toolset)
    return key, _Found("; ".join(lines), tuple(sorted(used)), trajectory)


def _line(slots: Slots, name: str, line: str) -> str:
    """An answer that owes nothing to the instruction is a matter of this one state of the world."""
    return name if name == FINISH and not re.search(r"\$\d", line) else line


def _same_work(item: MemoryItem, key: _Key) -> bool:
    same = item.namespace == key.namespace and item.when == key.when
    return same and set(item.tools) <= set(key.toolset)


def _item(key: _Key, found: _Found) -> MemoryItem:
    kind = MemoryKind.WORKFLOW
    return MemoryItem(
        id=stable_id(key.namespace, key.when, kind, found.tools, found.content),
        title=key.when,
        when=key.when,
        content=found.content,
        kind=kind,
        group=found.source.task.group,
        namespace=key.namespace,
        tools=found.tools,
    )


def _supported(item: MemoryItem, source: str) -> MemoryItem:
    if source in item.sources:
        return item
    more = {"sources": (*item.sources, source), "support": item.support + 1}
    return item.model_copy(update=more)


def _shape(content: str) -> str:
    """The content with constants blotted out, slots kept."""

    def blot(match: re.Match[str]) -> str:
        return '"' + " ".join(["_", *re.findall(r"\$\d+", match.group(1))]) + '"'

    return _QUOTED.sub(blot, content)


def _crown(kept: Sequence[MemoryItem], rivals: Mapping[str, MemoryItem]) -> list[MemoryOp]:
    """Keep the best workflow and end the others that are in the bank."""
    best = min(kept, key=lambda i: (-i.support, len(i.content), i.content))
    beaten = sorted(i.id for i in kept if i.id != best.id and i.id in rivals)
    why = f"{best.support} verified successes"
    if best.id in rivals:
        ended = [
            MemoryOp(kind=OpKind.RETIRE, target=i, reason=f"another has {why}") for i in beaten
        ]
        if best == rivals[best.id]:
            return ended
        return [*ended, MemoryOp(kind=OpKind.EDIT, target=best.id, item=best, reason=why)]
    if not beaten:
        return [MemoryOp(kind=OpKind.ADD, item=best, reason=why)]
    first, *rest = beaten
    ended = [MemoryOp(kind=OpKind.RETIRE, target=i, reason=f"another has {why}") for i in rest]
    return [*ended, MemoryOp(kind=OpKind.SUPERSEDE, target=first, item=best, reason=why)]
