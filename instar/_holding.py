"""Quarantines that hold, whichever generation serves.

A person puts a memory into quarantine in the generation that serves. One that was made before or
beside it does not know of that, so when it comes to serve the quarantine comes over into it, as a
change of the memory in the same transaction. It is over once the memory was brought back by a change
that knew of it: by a person, or by evidence in a candidate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from instar._memory_log import UNDO, Change
from instar._memory_rows import ENDED, past, visible
from instar._memory_writing import write
from instar._tables import memory_log, memory_versions
from instar.types import MemoryStatus, OpKind

if TYPE_CHECKING:
    from instar.store import Store

__all__ = ["PERSON", "come_over", "held", "sentence"]

PERSON = "person"
"""Author of what a person decides about a memory at once."""
_SINCE = "; in quarantine since "


def come_over(
    connection: Connection,
    before: Sequence[str],
    path: Sequence[str],
    known: Iterable[int],
    at: float,
) -> tuple[list[int], list[int]]:
    """Put into quarantine what a generation that comes to serve would show all the same.

    Args:
        connection: In a transaction of the caller.
        before: The generation that served, and its ancestors.
        path: The one that serves from now on, and its ancestors.
        known: Lines of quarantines that the last such change left open: the generation that served
            may not have seen the memory at all.
        at: Seconds since the epoch.

    Returns:
        Lines of the quarantines that are open, and numbers of the changes made here.
    """
    lines = {line.item: line for line in _numbered(connection, known)} | _held(connection, before)
    seen = visible(connection, path, lines.keys())
    left, made = [], []
    for id, line in lines.items():
        if _lifted(past(connection, path, id), line.row):
            continue
        left.append(line.row)
        if id in seen and seen[id].item.status is not MemoryStatus.QUARANTINED:
            # What is pinned is never judged: it would never come back.
            changes = {"status": MemoryStatus.QUARANTINED, "pinned": False}
            reason = line.reason if _SINCE in line.reason else _since(line)
            why = {"kind": OpKind.EDIT.value, "target": id, "reason": reason}
            why |= {"author": PERSON, "at": at}
            item, vector = seen[id]
            write(connection, path[0], item.model_copy(update=changes), vector, why)
            made.append(connection.scalar(select(func.max(memory_log.c.row))) or 0)
    return left, made


def _since(line: Any) -> str:
    return f"{line.reason}{_SINCE}{line.generation}"


def held(store: Store, generation: str) -> dict[str, int]:
    """The items that are in quarantine by a person's word, as a generation sees them.

    Returns:
        By id the change that put it there.
    """
    path = store.ancestry(generation)
    with store.database.read() as connection:
        lines = _held(connection, path)
    return {id: line.row for id, line in lines.items()}


def _held(connection: Connection, path: Sequence[str]) -> dict[str, Any]:
    """The last line of each quarantine that is open on a path, by item."""
    log, kept = memory_log.c, memory_versions.c
    same = (kept.id == log.item) & (kept.version == log.version)
    query = (
        select(log.row, log.item, log.reason, log.generation)
        .join(memory_versions, same)
        .where(log.author.in_([PERSON, UNDO]), log.generation.in_(path))
        .where(kept.status == MemoryStatus.QUARANTINED.value)
        .order_by(log.row)
    )
    lines = {line.item: line for line in connection.execute(query)}
    return {
        id: line for id, line in lines.items() if not _lifted(past(connection, path, id), line.row)
    }


def _numbered(connection: Connection, rows: Iterable[int]) -> Sequence[Any]:
    """Lines of the log; those that were purged are left out."""
    log = memory_log.c
    query = select(log.row, log.item, log.reason, log.generation).order_by(log.row)
    chosen = func.json_each(json.dumps(list(rows))).table_valued("value")
    among = log.row.in_(select(chosen.c.value))
    return connection.execute(query.where(among, log.item.is_not(None))).all()


def _lifted(known: Sequence[Any], line: int) -> bool:
    """Whether an item was brought back out of quarantine after a line of the log was written.

    A version nearer to the generation counts before one of an ancestor, even where it is older: then
    it knew nothing of the quarantine.

    Args:
        known: See `past`.
    """
    back: int | None = None
    for row in reversed(known):
        if row.status == MemoryStatus.QUARANTINED:
            return back is not None and back > max(row.line or 0, line)
        # Learnt anew after its end, it was not brought back.
        back = None if row.status in ENDED else row.line
    return False


def sentence(found: Sequence[Change]) -> str:
    """What is said of quarantines that came over, and how to lift them."""
    names = ", ".join(f"{c.item} ({c.reason})" for c in found)
    numbers = " ".join(str(c.change) for c in found)
    return f"In quarantine here too: {names}. To lift it: instar memory undo {numbers}"
