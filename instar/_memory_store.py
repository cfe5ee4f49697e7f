"""The part of the store that remembers: versions of memory items, their vectors, and the log.

`instar.store` adds tasks and trajectories; use it through there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from instar import _memory_history, _memory_rows, _memory_writing, _tables
from instar._database import Database, parse
from instar._ledger import Ledger, keep_generation, path_of
from instar.failpoints import reach
from instar.types import Generation, MemoryItem, MemoryOp

__all__ = ["REWRITTEN", "Memories"]

REWRITTEN = "memory_rewritten"
"""Counter of what changes versions that are there, instead of adding some."""
_STAMP = f"""SELECT (SELECT value FROM counters WHERE name = '{REWRITTEN}'),
    (SELECT value FROM settings WHERE name = 'embedder'), (SELECT max(row) FROM memory_versions)"""


class Memories(Ledger):
    """Memory items in all their versions."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database, clock)
        self._stamp: tuple[int, tuple[Any, ...]] | None = None

    def apply(
        self,
        ops: Sequence[MemoryOp],
        generation: str,
        vectors: Mapping[str, Sequence[float]],
        author: str = "",
    ) -> list[MemoryItem]:
        """Write changes of the bank as versions of one generation, all or none.

        ``add`` needs an id that the generation does not see yet; ``edit`` makes a new version of
        the target; ``retire`` ends it; ``supersede`` ends it and adds the item; ``merge`` ends it
        and adds the item or makes a new version of it. Version and generation of an item are set
        here. A version without a vector of its own keeps the one before it.

        Args:
            ops: In order; each sees those before it.
            generation: Who the changes are visible to, with its descendants.
            vectors: By item id.
            author: Id of the method or person that asked.

        Returns:
            The versions written, those that end an item too.

        Raises:
            ValueError: A change does not fit what the generation sees.
            UnknownName: There is no such generation.
        """
        self._check_dimension(vectors)
        with self.database.write() as connection:
            path = path_of(connection, generation)
            writer = _memory_writing.Writer(connection, path, ops, vectors, author, self._clock())
            for op in ops:
                writer.apply(op)
            written = writer.finish()
            reach("store.apply")
        return written

    def undo(
        self,
        change: int | Sequence[int],
        generation: str,
        author: str = "",
        force: bool = False,
        made: Generation | None = None,
    ) -> list[MemoryItem]:
        """Take back changes of the bank, as new versions in a generation: all of them or none.

        Items become what the generation saw before: text, status and vector.

        Args:
            change: Number of one or of several, of which the newest is taken back first; see
                `instar._memory_history.changes`.
            generation: Who the new versions are visible to, with its descendants.
            author: Id of the method or person that asked.
            force: Also where an item has been changed since.
            made: The generation itself, where it is made for this: without the undo it is not there.

        Raises:
            UserError: There is no such change, a later one stands in the way and is named, or there
                is nothing left to take back.
            UnknownName: There is no such generation.
        """
        numbers = [change] if isinstance(change, int) else change
        with self.database.write() as connection:
            if made is not None:
                keep_generation(connection, made)
            path = path_of(connection, generation)
            at = self._clock()
            written = _memory_history.take_back(connection, path, numbers, author, at, force)
            reach("store.undo")
        return written

    def _check_dimension(self, vectors: Mapping[str, Sequence[float]]) -> None:
        dimension = (self.embedder() or {}).get("dimension")
        for id, vector in vectors.items():
            if dimension is not None and len(vector) != dimension:
                raise ValueError(
                    f"the vector of memory {id!r} has dimension {len(vector)}, not {dimension}"
                )

    def items(self, as_of: str | None) -> list[MemoryItem]:
        """Memory items, in order of their writing.

        Args:
            as_of: A generation: what it sees, ended items left out. None: the last version of
                every item in any branch, ended ones too.
        """
        return [version.item for version in self._versions(as_of)]

    def internalised(self, generation: str) -> list[MemoryItem]:
        """What a generation no longer shows because an adapter made it needless."""
        with self.database.read() as connection:
            return _memory_rows.internalised(connection, path_of(connection, generation))

    def vectors(self, as_of: str | None) -> dict[tuple[str, int], list[float]]:
        """Vectors of what `items` and `internalised` give, by id and version, where there is one."""
        return {key: _memory_rows.unpack(v) for key, v in self.packed_vectors(as_of).items()}

    def packed_vectors(self, as_of: str | None) -> dict[tuple[str, int], bytes]:
        """`vectors` as stored, little-endian 32-bit floats."""
        with self.database.read() as connection:
            path = None if as_of is None else path_of(connection, as_of)
            return _memory_rows.vectors(connection, path)

    def _versions(self, as_of: str | None) -> list[_memory_rows.Version]:
        with self.database.read() as connection:
            if as_of is None:
                return _memory_rows.latest(connection)
            return list(_memory_rows.visible(connection, path_of(connection, as_of)).values())

    def versions_since(
        self, as_of: str | None, after: int
    ) -> tuple[list[tuple[MemoryItem, bytes | None]], int]:
        """Versions written after a row that count for a generation, ended ones too.

        Args:
            as_of: A generation; None: the last version of every item in any branch.
            after: A row that this gave before; 0: all of them.

        Returns:
            Items with their vectors as stored, and the last row there is.
        """
        with self.database.read() as connection:
            path = None if as_of is None else path_of(connection, as_of)
            found, last = _memory_rows.since(connection, path, after)
            return [(v.item, v.vector) for v in found], last

    def memory_stamp(self) -> tuple[Any, ...]:
        """Changes whenever the memory does; by its last element alone where things were only added."""
        commits = self.database.commits()
        if self._stamp is None or self._stamp[0] != commits:
            with self.database.read() as connection:
                stamp = connection.exec_driver_sql(_STAMP).one()
            # Asked for first: what is committed in between shows in the next number.
            self._stamp = commits, tuple(stamp)
        return self._stamp[1]

    def item_versions(self, id: str) -> list[MemoryItem]:
        """All versions of an item in all branches, oldest first; empty for an unknown id."""
        table = _tables.memory_versions
        query = select(table.c.body).where(table.c.id == id).order_by(table.c.version)
        with self.database.read() as connection:
            return [parse(MemoryItem, body) for body in connection.scalars(query)]

    def memory_changes(self) -> int:
        """How many changes were ever made to the memory."""
        with self.database.read() as connection:
            return int(connection.scalar(select(func.count()).select_from(_tables.memory_log)) or 0)

    def memory_log(self, limit: int = 100, author: str | None = None) -> list[dict[str, Any]]:
        """The last changes, newest first: at, kind, target, item, version, generation, author, reason.

        Args:
            limit: At most so many.
            author: Only those of one author.
        """
        table = _tables.memory_log
        query = select(table).order_by(table.c.row.desc()).limit(limit)
        if author is not None:
            query = query.where(table.c.author == author)
        with self.database.read() as connection:
            rows = connection.execute(query).mappings()
            return [{k: v for k, v in row.items() if k != "row"} for row in rows]

    def memory_authors(self) -> dict[str, str]:
        """Id of the method or person that wrote the first version of each item, by item."""
        table = _tables.memory_log
        query = select(table.c.item, table.c.author).order_by(table.c.row.desc())
        with self.database.read() as connection:
            return {item: author for item, author in connection.execute(query) if item is not None}
