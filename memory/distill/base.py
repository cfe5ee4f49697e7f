"""What distillers share: the contract, which trajectories count, and ids that stay the same.

An id is a hash of what an item says and where, so that the same lesson learnt twice is one item and
a repeated distillation of the same trajectories changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from instar.contracts import Distiller as Contract
from instar.types import (
    MemoryItem,
    MemoryKind,
    MemoryOp,
    OpKind,
    Origin,
    Result,
    ScoreSource,
    Split,
    Status,
    ToolCall,
    ToolSpec,
    Trajectory,
    content_hash,
)

__all__ = [
    "FINISH",
    "Contract",
    "active",
    "after",
    "calls",
    "least_trusted",
    "new",
    "origin_behind",
    "stable_id",
    "verified",
]

FINISH = "finish"
"""The call with which an agent says that it is done; at hand through every toolset."""

_TRUSTED = frozenset({ScoreSource.ENVIRONMENT, ScoreSource.PROGRAM})
_TRUST = (Origin.WEB_PAGE, Origin.TOOL, Origin.USER, Origin.SELF, Origin.ENVIRONMENT)
"""From the least trusted on."""


def verified(trajectory: Trajectory) -> bool:
    """Whether it is a success by the word of the environment or of a program."""
    return trajectory.score.status is Status.PASS and trajectory.score.source in _TRUSTED


def new(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """Those of practise tasks, each once, in an order that does not depend on how they came."""
    by_id = {t.id: t for t in trajectories if t.task.split is Split.PRACTISE}
    return [by_id[key] for key in sorted(by_id)]


def calls(trajectory: Trajectory) -> list[tuple[ToolCall, Result]]:
    """All calls that were answered, in order."""
    steps = trajectory.steps
    return [pair for s in steps for pair in zip(s.calls, s.results, strict=False)]


def origin_behind(tools: Iterable[ToolSpec]) -> Origin:
    """Class of the least trusted text that comes from some tools.

    Behind a tool that reaches a network stand pages; of one that does not say what it touches, as that
    of somebody else's agent, nobody knows whose words come back.
    """
    told = [tool.effects for tool in tools if tool.name != FINISH]
    if any("network" in effects for effects in told):
        return Origin.WEB_PAGE
    return Origin.ENVIRONMENT if all(told) else Origin.TOOL


def least_trusted(origins: Iterable[Origin]) -> Origin:
    """The class of a text made of several."""
    return min(origins, key=_TRUST.index)


def active(bank: Iterable[MemoryItem], kind: MemoryKind) -> list[MemoryItem]:
    """Items of a kind that are in use."""
    return [i for i in bank if i.kind is kind and i.in_use]


def stable_id(
    namespace: str, when: str, kind: MemoryKind, tools: Sequence[str], content: str
) -> str:
    """The id of what is said about a kind of task in a namespace."""
    return content_hash([namespace, when, kind.value, sorted(tools), content])


def after(bank: Mapping[str, MemoryItem], ops: Iterable[MemoryOp]) -> dict[str, MemoryItem]:
    """Items by id as they are once the changes are made."""
    items = dict(bank)
    for op in ops:
        if op.target is not None and op.kind in (OpKind.RETIRE, OpKind.SUPERSEDE):
            items.pop(op.target, None)
        if op.item is not None:
            items[op.item.id] = op.item
    return items
