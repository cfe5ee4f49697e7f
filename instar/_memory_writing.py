"""Writing versions of memory items: what a change makes of them, and its line in the log.

An item ends on a path by a version whose status says so, so that the other branches keep it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert

from instar._memory_rows import ENDED, Version, last_versions, pack, visible
from instar._tables import memory_log, memory_versions
from instar.types import MemoryItem, MemoryOp, MemoryStatus, OpKind

__all__ = ["Rows", "Writer", "write"]


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
        self._last = last_versions(connection, named)
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
        if item.status in ENDED:
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
    last = last_versions(connection, [item.id]).get(item.id, 0)
    item = rows.add(item, last + 1, vector, why)
    rows.write(connection)
    return item
