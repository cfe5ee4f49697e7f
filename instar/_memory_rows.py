"""Versions of memory items in the store: which one a generation sees.

Along the path from a generation to its oldest ancestor the version nearest to the generation wins.
An item ends on a path by a version whose status says so, so that the other branches keep it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, func, select, true

from instar._database import parse
from instar._tables import memory_log, memory_versions
from instar.types import MemoryItem, MemoryStatus

__all__ = [
    "ENDED",
    "Version",
    "counting",
    "internalised",
    "last_versions",
    "latest",
    "pack",
    "past",
    "since",
    "unpack",
    "vectors",
    "visible",
]

ENDED = frozenset({MemoryStatus.RETIRED, MemoryStatus.INTERNALISED})


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


def counting(
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
    found = counting(connection, path, c.status, c.body, c.vector, ids=ids)
    return {
        id: Version(parse(MemoryItem, row.body), row.vector)
        for id, row in found.items()
        if row.status not in ENDED
    }


def internalised(connection: Connection, path: Sequence[str]) -> list[MemoryItem]:
    """What ended on a path because an adapter made it needless, in order of first writing."""
    found = counting(connection, path, memory_versions.c.status, memory_versions.c.body)
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
        for id, row in counting(connection, path, c.status, c.vector).items()
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
    found = counting(connection, path, c.body, c.vector, after=after).values()
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


def past(connection: Connection, path: Sequence[str], id: str) -> list[Any]:
    """All that a generation knows of an item, ended versions too, with the one that counts last.

    Returns:
        Rows of the table, each with its line in the log as ``line``, None where that was purged.
    """
    table, log = memory_versions, memory_log.c
    same = (log.item == table.c.id) & (log.version == table.c.version)
    query = select(table, log.row.label("line")).outerjoin(memory_log, same)
    rows = connection.execute(query.where(table.c.id == id, table.c.generation.in_(path))).all()
    place = {generation: -i for i, generation in enumerate(path)}
    return sorted(rows, key=lambda r: (place[r.generation], r.version))


def last_versions(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """Number of the last version of each item, over all branches: (id, version) names one text for good."""
    table = memory_versions
    last = select(table.c.id, func.max(table.c.version)).where(_among(ids)).group_by(table.c.id)
    return {row[0]: row[1] for row in connection.execute(last)}
