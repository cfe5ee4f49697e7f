"""What is shown whatever the task: principles, and notes on the tools at hand.

Principles are the strategic layer of MUSE (Yang et al. 2025), which keeps ten at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from instar.types import MemoryItem, MemoryKind

__all__ = ["PRINCIPLES", "standing"]

PRINCIPLES = 10


def standing(items: Iterable[MemoryItem], worth: Mapping[str, float]) -> list[MemoryItem]:
    """Notes on tools, then at most ten principles; one of each unit, the most valued first.

    Args:
        items: Those that may be shown; of notes those whose tools are at hand.
        worth: Of units.
    """

    def order(item: MemoryItem) -> tuple[bool, float, int, str]:
        return not item.pinned, -worth.get(item.unit, 0.0), -item.support, item.id

    first: dict[str, MemoryItem] = {}
    for item in sorted(items, key=order):
        first.setdefault(item.unit, item)
    notes = [i for i in first.values() if i.kind is MemoryKind.TOOL_NOTE and i.tools]
    principles = [i for i in first.values() if i.kind is MemoryKind.PRINCIPLE]
    return [*notes, *principles[:PRINCIPLES]]
