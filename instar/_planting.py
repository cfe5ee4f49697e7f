"""A false memory planted beside the true ones, to measure what believing it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from instar.contracts import Recall
from instar.types import MemoryKind, Recalled, Recollection, Task, ToolSpec

__all__ = ["ITEM", "HasFalseAdvice", "planted"]

ITEM = "planted"
"""Stands for the id of the memory, which no bank holds."""


@runtime_checkable
class HasFalseAdvice(Protocol):
    """A world that can say something false about each of its families."""

    def advice(self, family: str) -> str:
        """Advice for a family that does not hold."""
        ...


def planted(recall: Recall, world: HasFalseAdvice) -> Recall:
    """A recall that adds false advice on the task's family to what it finds."""

    async def both(
        task: Task,
        tools: Sequence[ToolSpec],
        seed: int,
        about: str = "",
        before: Sequence[Recalled] = (),
    ) -> Recollection:
        found = await recall(task, tools, seed, about, before)
        if before:
            return found
        false = Recalled(
            label=f"m{len(found.memories) + 1}",
            item=ITEM,
            version=0,
            title=task.family,
            when=task.instruction,
            content=world.advice(task.family),
            kind=MemoryKind.LESSON,
        )
        return found.model_copy(update={"memories": (*found.memories, false)})

    return both
