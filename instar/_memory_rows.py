"""Versions of memory items in the store: which one a generation sees, and how a change is written.

Along the path from a generation to its oldest ancestor the version nearest to the generation wins.
An item ends on a path by a version whose status says so, so that the other branches keep it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, func, insert, select, true

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


def _counting(
    connection: Connection,
    path: Sequence[str] | None,
    *columns: Column[Any],
    after: int = 0,
    ids: Collection[str] | None = None,
) -> dict[str, Any]:
    """Of each item the row that counts, ended ones too, by id in order of the first writing."""
    table = memory_versions
    query = select(table.c.id, table.c.version, table.c.generation, *columns).order_by(table.c.row)
    query = query.where(_among(ids), table.c.row > after)
    if path is not None and ids is None:
        # Not beside ids: SQLite would take the index of the generation and read all of it.
        query = query.where(table.c.generation.in_(path))
    nearness = {generation: -place for place, generation in enumerate(path or ())}
    best: dict[str, tuple[tuple[int, int], Any]] = {}
    for row in connection.execute(query):
        id, version, generation = row[:3]
        if path is not None and generation not in nearness:
            continue
        rank = (nearness.get(generation, 0), version)
        if id not in best or rank > best[id][0]:
            best[id] = (rank, row)
    return {id: row for id, (_, row) in best.items()}


def _among(ids: Collection[str] | None) -> ColumnElement[bool]:
    if ids is None:
        return true()
    # As one JSON list: the number of parameters of a statement is limited.
    chosen = func.json_each(json.dumps(sorted(ids))).table_valued("value")
    return memory_versions.c.id.in_(select(chosen.c.value))


def visible(
    connection: Connection, path: Sequence[str], ids: Collection[str] | None = None
) -> dict[str, Version]:
    """What the generation at the head of ``path`` sees, by item id, in order of first writing.

    Args:
        connection: In a transaction of the caller.
        path: The generation and its ancestors.
        ids: Only these items; None: all.
    """
    c = memory_versions.c
    found = _counting(connection, path, c.status, c.body, c.vector, ids=ids)
    return {
        id: Version(parse(MemoryItem, row.body), row.vector)
        for id, row in found.items()
        if row.status not in _ENDED
    }


def internalised(connection: Connection, path: Sequence[str]) -> list[MemoryItem]:
    """What ended on a path because an adapter made it needless, in order of first writing."""
    found = _counting(connection, path, memory_versions.c.status, memory_versions.c.body)
    return [
        parse(MemoryItem, row.body)
        for row in found.values()
        if row.status == MemoryStatus.INTERNALISED
    ]


def vectors(connection: Connection, path: Sequence[str] | None) -> dict[tuple[str, int], bytes]:
    """Vectors of what a generation sees or has internalised, as stored; no path: of all branches.

    Returns:
        By id and version.
    """
    c = memory_versions.c
    return {
        (id, row.version): row.vector
        for id, row in _counting(connection, path, c.status, c.vector).items()
        if row.vector is not None and (path is None or row.status != MemoryStatus.RETIRED)
    }


def since(
    connection: Connection, path: Sequence[str] | None, after: int
) -> tuple[list[Version], int]:
    """Of what was written after a row: the version of each item that counts, ended ones too.

    Args:
        connection: In a transaction of the caller.
        path: The generation that looks, and its ancestors; None: all branches.
        after: A row of the table; 0: from the beginning.

    Returns:
        The versions, in the order of the first writing, and the last row there is.
    """
    c = memory_versions.c
    found = _counting(connection, path, c.body, c.vector, after=after).values()
    last = connection.scalar(select(func.max(c.row))) or 0
    return [Version(parse(MemoryItem, row.body), row.vector) for row in found], last


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
    """Collects changes for one generation; each change sees those before it.

    Args:
        connection: In a transaction of the caller.
        path: The generation and its ancestors.
        ops: All that will be applied; only the items that they name are read.
        vectors: By item id.
        author: Who asked.
        at: Seconds since the epoch.
    """

    def __init__(
        self,
        connection: Connection,
        path: Sequence[str],
        ops: Sequence[MemoryOp],
        vectors: Mapping[str, Sequence[float]],
        author: str,
        at: float,
    ) -> None:
        named = {op.target for op in ops if op.target is not None}
        named |= {op.item.id for op in ops if op.item is not None}
        self.connection = connection
        self.generation = path[0]
        self.seen = visible(connection, path, named)
        self._last = _last_versions(connection, named)
        self._rows = Rows(path[0])
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
        self._last[item.id] = last = self._last.get(item.id, 0) + 1
        item = self._rows.add(item, last, vector, why)
        self.written.append(item)
        return item

    def finish(self) -> list[MemoryItem]:
        """Write them; the versions written are returned, those that end an item too."""
        self._rows.write(self.connection)
        return self.written


class Rows:
    """Versions of items with their lines in the log, to be written at once: that is ten times faster.

    Args:
        generation: Who they are visible to, with its descendants.
    """

    def __init__(self, generation: str) -> None:
        self._generation = generation
        self._versions: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []

    def add(
        self, item: MemoryItem, version: int, vector: bytes | None, why: Mapping[str, Any]
    ) -> MemoryItem:
        """Add a version; its number and generation are set here."""
        named = {"version": version, "generation": self._generation}
        item = item.model_copy(update=named)
        kept = {"id": item.id, "status": item.status.value, "body": item.model_dump_json()}
        self._versions.append({**kept, **named, "vector": vector})
        self._lines.append({"item": item.id, **named, **why})
        return item

    def write(self, connection: Connection) -> None:
        """Write them in their order."""
        if self._versions:
            connection.execute(insert(memory_versions), self._versions)
            connection.execute(insert(memory_log), self._lines)


def _last_versions(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    # Counted over all branches: (id, version) names one text for good.
    table = memory_versions
    last = select(table.c.id, func.max(table.c.version)).where(_among(ids)).group_by(table.c.id)
    return {row[0]: row[1] for row in connection.execute(last)}


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
    rows = Rows(generation)
    last = _last_versions(connection, [item.id]).get(item.id, 0)
    item = rows.add(item, last + 1, vector, why)
    rows.write(connection)
    return item
