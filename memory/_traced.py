"""What the bank does as spans of OpenTelemetry, where they are on.

The store of a span is the workspace: namespaces may name somebody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from instar import tracing
from instar.store import Store
from instar.tracing import Span
from instar.types import MemoryItem, MemoryOp, OpKind, Recalled

__all__ = ["found", "recalled", "searching", "writing"]

_DELETE = "delete_memory"
_OPERATIONS = {OpKind.ADD: "create_memory", OpKind.RETIRE: _DELETE}
_UPDATE = "update_memory"


def searching(store: Store, text: str, as_of: str | None) -> Span:
    """A search, while it lasts."""
    known = {**_where(store), "instar.generation": as_of}
    begun = tracing.span("search_memory", attributes=known)
    begun.tell({"gen_ai.memory.query.text": text})
    return begun


def recalled(span: Span, memories: Sequence[Recalled]) -> None:
    """What an episode recalls, withheld ones included."""
    span.set({"gen_ai.memory.record.count": len(memories)})
    if span.content:
        told = [_record(m.item, m.content, m.when, m.relevance) for m in memories]
        span.tell({"gen_ai.memory.records": told})


def found(span: Span, hits: Iterable[tuple[MemoryItem, float]]) -> None:
    """What a search found."""
    told = [_record(item.id, item.content, item.when, score) for item, score in hits]
    span.set({"gen_ai.memory.record.count": len(told)})
    span.tell({"gen_ai.memory.records": told})


def writing(store: Store, ops: Sequence[MemoryOp]) -> ExitStack:
    """Changes, while they are made: a span for each kind, and for each memory that goes.

    One that deletes has to name its memory: without a name it would say that all of them go.
    """
    where = _where(store)
    kinds = Counter(_OPERATIONS.get(op.kind, _UPDATE) for op in ops)
    gone = [op.target for op in ops if op.kind is OpKind.RETIRE]
    del kinds[_DELETE]
    known: list[tuple[str, dict[str, Any]]] = []
    for kind, number in kinds.items():
        of = [op for op in ops if _OPERATIONS.get(op.kind, _UPDATE) == kind]
        only = (of[0].item.id if of[0].item else of[0].target) if number == 1 else None
        counted = {"gen_ai.memory.record.count": number, "gen_ai.memory.record.id": only}
        known.append((kind, {**where, **counted}))
    named = ({"gen_ai.memory.record.id": id, "gen_ai.memory.record.count": 1} for id in gone)
    known += [(_DELETE, {**where, **name}) for name in named]
    return tracing.together(known)


def _where(store: Store) -> dict[str, str]:
    return {"gen_ai.memory.store.id": store.database.path.parent.name}


def _record(id: str, content: str, when: str, score: float) -> dict[str, Any]:
    return {"id": id, "content": content, "score": score, "metadata": {"when": when}}
