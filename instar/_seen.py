"""Where memories are, for somebody who looks where there are none."""

from __future__ import annotations

from instar.store import Store
from instar.types import GenerationStatus

__all__ = ["nothing"]


def nothing(store: Store, generation: str | None) -> str:
    """What is said of a generation that sees no memories: the newest one that does, if there is one."""
    others = (g for g in store.generations() if g.id != generation)
    known = [g.id for g in others if g.status is not GenerationStatus.REJECTED]
    for id in reversed(known):
        if n := len(store.items(id)):
            return (
                f"{generation} sees no memories. {id} holds {n}: "
                f"instar memory list --generation {id}, or instar generations promote {id}"
            )
    return "Nothing is remembered yet."
