"""What of a recollection is told to an agent."""

from __future__ import annotations

from collections.abc import Sequence

from instar.render import memory_line
from instar.service import shapes
from instar.types import Prompts, Recalled, Recollection

__all__ = ["telling"]


def telling(
    found: Recollection, k: int | None, shadow: bool, prompts: Prompts
) -> tuple[shapes.Recalled, tuple[Recalled, ...]]:
    """What is answered, and which memories are to be kept as shown or withheld.

    In shadow nothing is shown, and by no draw: it must not look like a memory that was withheld.

    Args:
        k: How many at most.
        prompts: The texts between which memories are fenced.
    """
    kept = found.memories[:k]
    new = () if shadow else kept
    memories = [
        shapes.Memory(
            label=m.label,
            id=m.item,
            title=m.title,
            when=m.when,
            content=m.content,
            relevance=m.relevance,
        )
        for m in kept
        if m.shown
    ]
    text = _fenced(prompts, [memory_line(m) for m in new if m.shown])
    return shapes.Recalled(memories=memories, text=text, shadow=shadow), new


def _fenced(prompts: Prompts, lines: Sequence[str]) -> str:
    parts = [prompts.memory_open, *lines, prompts.memory_close, prompts.after_memory]
    return "\n".join(part for part in parts if part) if lines else ""
