"""What a person took back is not learnt again.

A distiller sees what a generation sees, so what a person ended (by an undo, or by an import that named
it no more) looks new to it, and its id is the same again. Such a memory comes back by a person alone:
the undo taken back, or an import.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from instar._database import parse
from instar._holding import PERSON
from instar._memory_log import UNDO
from instar._memory_rows import counting
from instar._tables import memory_log, memory_versions
from instar.types import MemoryItem, MemoryOp, MemoryStatus, OpKind

if TYPE_CHECKING:
    from instar.store import Store

__all__ = ["allowed", "still_held"]

_LOG = logging.getLogger(__name__)
_IMPORT = "import"
_Text = tuple[str, str, str]


def allowed(store: Store, generation: str, ops: Sequence[MemoryOp]) -> list[MemoryOp]:
    """The changes of a distiller without those that would bring back what a person took back.

    Args:
        store: Whose memory.
        generation: The one that the changes are for.
        ops: In order; one to an item that is refused before it goes with it.
    """
    path = store.ancestry(generation)
    with store.database.read() as connection:
        gone = _taken_back(connection, path)
    if not gone:
        return list(ops)
    # What somebody kept in the same words is there: the other was taken back as its double.
    texts = {_text(i) for i in gone.values()} - {_text(i) for i in store.items(generation)}
    refused = set(gone)
    kept = []
    for op in ops:
        if op.target in refused:
            continue
        if op.item is not None and (op.item.id in refused or _text(op.item) in texts):
            refused |= {op.item.id} if op.kind is not OpKind.EDIT else set()
            _LOG.info("memory refused, a person took it back: %s", op.item.id)
        else:
            kept.append(op)
    return kept


def _text(item: MemoryItem) -> _Text:
    when, content = (" ".join(t.split()).casefold() for t in (item.when, item.content))
    return item.namespace, when, content


def _taken_back(connection: Connection, path: Sequence[str]) -> dict[str, MemoryItem]:
    """Items that a person ended on a path and that nobody brought back there, by id."""
    log = memory_log.c
    ended = counting(connection, path, memory_versions.c.status, memory_versions.c.body)
    ended = {id: r for id, r in ended.items() if r.status == MemoryStatus.RETIRED}
    query = select(log.item, log.version).where(log.author.in_([UNDO, PERSON, _IMPORT]))
    by_person = {(line.item, line.version) for line in connection.execute(query)}
    return {
        id: parse(MemoryItem, row.body)
        for id, row in ended.items()
        if (id, row.version) in by_person
    }


def still_held(store: Store, generation: str, ops: Sequence[MemoryOp]) -> list[MemoryOp]:
    """The changes of a distiller, who lifts no quarantine: it may have read before there was one."""
    held = {i.id for i in store.items(generation) if i.status is MemoryStatus.QUARANTINED}
    return [
        op.model_copy(
            update={"item": op.item.model_copy(update={"status": MemoryStatus.QUARANTINED})}
        )
        if op.item is not None and op.item.id in held
        else op
        for op in ops
    ]
