"""Versions of memory items in the store: which one a generation sees, and how a change is written.

Along the path from a generation to its oldest ancestor the version nearest to the generation wins.
An item ends on a path by a version whose status says so, so that the other branches keep it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select

from instar._database import parse
from instar._tables import memory_log, memory_versions
from instar.types import MemoryItem, MemoryOp, MemoryStatus, OpKind

__all__ = ["Version", "Writer", "latest", "pack", "unpack", "visible", "write"]

_ENDED = frozenset({MemoryStatus.RETIRED, MemoryStatus.INTERNALISED})


class Version(NamedTuple):
    """One row: the item, and its vector as stored."""

    item: MemoryItem
    vector: bytes | None


def pack(vector: Sequence[float]) -> bytes:
    """A vector as little-endian 32-bit floats."""
    return struct.pack(f"<{len(vector)}f", *vector)


def unpack(data: bytes) -> list[float]:
    """A vector from its bytes."""
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def visible(connection: Connection, path: Sequence[str]) -> dict[str, Version]:
    """What the generation at the head of ``path`` sees, by item id, in order of first writing."""
    table = memory_versions
    rows = connection.execute(
        select(table.c.id, table.c.version, table.c.generation, table.c.body, table.c.vector)
        .where(table.c.generation.in_(path))
        .order_by(table.c.row)
    )
    nearness = {generation: -place for place, generation in enumerate(path)}
    best: dict[str, tuple[tuple[int, int], str, bytes | None]] = {}
    for row in rows:
        rank = (nearness[row.generation], row.version)
        if row.id not in best or rank > best[row.id][0]:
            best[row.id] = (rank, row.body, row.vector)
    versions = {
        key: Version(parse(MemoryItem, body), vector) for key, (_, body, vector) in best.items()
    }
    return {key: v for key, v in versions.items() if v.item.status not in _ENDED}


def latest(connection: Connection) -> list[Version]:
    """The last version of every item in any branch, ended ones too."""
    table = memory_versions
    newest = select(table.c.id, func.max(table.c.version).label("version")).group_by(table.c.id)
    last_rows = newest.subquery()
    rows = connection.execute(
        select(table.c.body, table.c.vector)
        .join(last_rows, (table.c.id == last_rows.c.id) & (table.c.version == last_rows.c.version))
        .order_by(table.c.row)
    )
    return [Version(parse(MemoryItem, row.body), row.vector) for row in rows]


class Writer:
    """Writes changes for one generation; each change sees those before it.

    Args:
        connection: In a transaction of the caller.
        path: The generation and its ancestors.
        vectors: By item id.
        author: Who asked.
        at: Seconds since the epoch.
    """

    def __init__(
        self,
        connection: Connection,
        path: Sequence[str],
        vectors: Mapping[str, Sequence[float]],
        author: str,
        at: float,
    ) -> None:
        self.connection = connection
        self.generation = path[0]
        self.seen = visible(connection, path)
        self.vectors = vectors
        self.author = author
        self.at = at
        self.written: list[MemoryItem] = []

    def apply(self, op: MemoryOp) -> None:
        """Write one change.

        Raises:
            ValueError: It does not fit what the generation sees.
        """
        if op.kind is OpKind.ADD:
            self._add(op)
        elif op.kind is OpKind.EDIT:
            self._put(self._item(op).model_copy(update={"id": self._target(op).id}), op)
        elif op.kind is OpKind.RETIRE:
            self._end(self._target(op), op)
        else:
            self._replace(op)

    def _add(self, op: MemoryOp) -> None:
        item = self._item(op)
        if item.id in self.seen:
            raise ValueError(f"cannot add memory {item.id!r}: it exists; edit it")
        self._put(item, op)

    def _replace(self, op: MemoryOp) -> None:
        """Supersede or merge: the target ends, unless it is itself what the item goes on as."""
        item, target = self._item(op), self._target(op)
        if op.kind is OpKind.SUPERSEDE and item.id != target.id and item.id in self.seen:
            raise ValueError(f"cannot supersede by memory {item.id!r}: it exists; merge into it")
        if item.id != target.id:
            self._end(target, op)
        self._put(item, op)

    def _item(self, op: MemoryOp) -> MemoryItem:
        if op.item is None:
            raise ValueError(f"a memory change of kind {op.kind.value!r} needs an item")
        return op.item

    def _target(self, op: MemoryOp) -> MemoryItem:
        if op.target not in self.seen:
            raise ValueError(f"no memory {op.target!r} is visible to {self.generation}")
        return self.seen[op.target].item

    def _end(self, item: MemoryItem, op: MemoryOp) -> None:
        self._write(item.model_copy(update={"status": MemoryStatus.RETIRED}), None, op)
        del self.seen[item.id]

    def _put(self, item: MemoryItem, op: MemoryOp) -> None:
        given = self.vectors.get(item.id)
        before = self.seen.get(item.id)
        vector = pack(given) if given is not None else before.vector if before else None
        item = self._write(item, vector, op)
        if item.status in _ENDED:
            self.seen.pop(item.id, None)
        else:
            self.seen[item.id] = Version(item, vector)

    def _write(self, item: MemoryItem, vector: bytes | None, op: MemoryOp) -> MemoryItem:
        told = {"kind": op.kind.value, "target": op.target, "reason": op.reason}
        why = {**told, "author": self.author, "at": self.at}
        item = write(self.connection, self.generation, item, vector, why)
        self.written.append(item)
        return item


def write(
    connection: Connection,
    generation: str,
    item: MemoryItem,
    vector: bytes | None,
    why: Mapping[str, Any],
) -> MemoryItem:
    """Write a version of an item, with a line in the log.

    Args:
        connection: In a transaction of the caller.
        generation: Who it is visible to, with its descendants.
        item: Its version and generation are set here.
        vector: As stored.
        why: ``at, kind, target, author`` and ``reason`` of the log.

    Returns:
        The version as written.
    """
    table = memory_versions
    last = connection.scalar(select(func.max(table.c.version)).where(table.c.id == item.id))
    # Counted over all branches: (id, version) names one text for good.
    item = item.model_copy(update={"version": (last or 0) + 1, "generation": generation})
    named = {"version": item.version, "generation": generation}
    kept = {"id": item.id, "status": item.status.value, "body": item.model_dump_json()}
    connection.execute(insert(table).values(**kept, **named, vector=vector))
    connection.execute(insert(memory_log).values(item=item.id, **named, **why))
    return item
