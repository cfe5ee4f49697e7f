"""The store: the one truth of a workspace, one SQLite file.

Every method that changes something is one transaction: when it returns, the change survives a kill;
when it raises, nothing of it was kept. Records are kept whole; a vector lies beside the version of
the memory it was made from, so that every index can be rebuilt from here without embedding again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects.sqlite import insert

from instar import _memory_history, _memory_rows, _tables
from instar._database import Database, parse
from instar._ledger import Ledger, body_of, path_of
from instar.errors import WorkspaceError
from instar.failpoints import reach
from instar.types import MemoryItem, MemoryOp, Task, Trajectory

__all__ = ["Store"]


class Store(Ledger):
    """An open store; make one with `Store.open`, close it or use it as a context manager."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database, clock)
        self._damaged: set[str] = set()

    @classmethod
    def open(cls, path: Path, create: bool = True, clock: Callable[[], float] = time.time) -> Store:
        """Open the store in a file that ends in ``.db``, or in ``instar.db`` of a folder.

        Raises:
            WorkspaceError: There is none and none may be made, it is of another schema version,
                damaged, locked, or the disk is full.
        """
        is_file = path.suffix == ".db" and not path.is_dir()
        return cls(Database(path if is_file else path / "instar.db", create), clock)

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def check(self) -> str | None:
        """What is wrong in the file, or None; reads all of it."""
        return self.database.check()

    @property
    def damaged(self) -> int:
        """How many unreadable trajectories have been met and skipped."""
        return len(self._damaged)

    # Tasks and trajectories

    def save_tasks(self, tasks: Sequence[Task]) -> None:
        """Keep tasks; those that are known stay as they are."""
        with self.database.write() as connection:
            for task in tasks:
                _save_task(connection, task)

    def task(self, id: str) -> Task:
        """One task.

        Raises:
            UnknownName: There is none of that id.
        """
        return parse(Task, self._body(_tables.tasks, "task", id))

    def tasks(
        self, *, namespace: str | None = None, split: str | None = None, origin: str | None = None
    ) -> list[Task]:
        """Tasks in the order in which they were saved."""
        table = _tables.tasks
        wanted = {"namespace": namespace, "split": split, "origin": origin}
        query = select(table.c.body).order_by(table.c.row)
        for name, value in wanted.items():
            if value is not None:
                query = query.where(table.c[name] == value)
        with self.database.read() as connection:
            return [parse(Task, body) for body in connection.scalars(query)]

    def save_trajectory(self, trajectory: Trajectory, stage: str = "") -> None:
        """Keep a trajectory and its task; one that is known stays as it is."""
        with self.database.write() as connection:
            _save_task(connection, trajectory.task)
            values = {
                "id": trajectory.id,
                "task": trajectory.task.id,
                "namespace": trajectory.task.namespace,
                "seed": trajectory.seed,
                "generation": trajectory.generation,
                "purpose": trajectory.purpose,
                "stage": stage,
                "body": trajectory.model_dump_json(),
            }
            statement = insert(_tables.trajectories).values(values)
            connection.execute(statement.on_conflict_do_nothing(index_elements=["id"]))
            reach("store.trajectory")

    def trajectory(self, id: str) -> Trajectory:
        """One trajectory.

        Raises:
            UnknownName: There is none of that id.
        """
        return parse(Trajectory, self._body(_tables.trajectories, "trajectory", id))

    def trajectories(
        self,
        *,
        generation: str | None = None,
        purpose: str | None = None,
        namespace: str | None = None,
        stage: str | None = None,
        ids: Iterable[str] | None = None,
    ) -> list[Trajectory]:
        """Trajectories by task and seed, whatever the order in which they were saved.

        One that cannot be read is skipped and counted in `damaged`.
        """
        table = _tables.trajectories
        wanted = {
            "generation": generation,
            "purpose": purpose,
            "namespace": namespace,
            "stage": stage,
        }
        query = select(table.c.id, table.c.body)
        for name, value in wanted.items():
            if value is not None:
                query = query.where(table.c[name] == value)
        if ids is not None:
            # As one JSON list: the number of parameters of a statement is limited.
            chosen = func.json_each(json.dumps(list(ids))).table_valued("value")
            query = query.where(table.c.id.in_(select(chosen.c.value)))
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(table.c.task, table.c.seed, table.c.id)).all()
        return [t for row in rows if (t := self._readable(row.id, row.body)) is not None]

    def _body(self, table: Table, kind: str, id: str) -> str:
        with self.database.read() as connection:
            return body_of(connection, table, kind, id)

    def _readable(self, id: str, body: str) -> Trajectory | None:
        try:
            return parse(Trajectory, body)
        except WorkspaceError:
            self._damaged.add(id)
            return None

    # Memory

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
            writer = _memory_rows.Writer(connection, path, vectors, author, self._clock())
            for op in ops:
                writer.apply(op)
            reach("store.apply")
        return writer.written

    def undo(
        self, change: int, generation: str, author: str = "", force: bool = False
    ) -> list[MemoryItem]:
        """Take back one change of the bank, as new versions in a generation.

        Items become what the generation saw before: text, status and vector.

        Args:
            change: Its number; see `instar._memory_history.changes`.
            generation: Who the new versions are visible to, with its descendants.
            author: Id of the method or person that asked.
            force: Also where an item has been changed since.

        Raises:
            UserError: There is no such change, or a later one stands in the way and is named.
            UnknownName: There is no such generation.
        """
        with self.database.write() as connection:
            path = path_of(connection, generation)
            at = self._clock()
            written = _memory_history.take_back(connection, path, change, author, at, force)
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

    def vectors(self, as_of: str | None) -> dict[tuple[str, int], list[float]]:
        """Vectors of what `items` gives, by id and version, where there is one."""
        return {
            (version.item.id, version.item.version): _memory_rows.unpack(version.vector)
            for version in self._versions(as_of)
            if version.vector is not None
        }

    def _versions(self, as_of: str | None) -> list[_memory_rows.Version]:
        with self.database.read() as connection:
            if as_of is None:
                return _memory_rows.latest(connection)
            return list(_memory_rows.visible(connection, path_of(connection, as_of)).values())

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


def _save_task(connection: Connection, task: Task) -> None:
    values = {
        "id": task.id,
        "namespace": task.namespace,
        "split": task.split.value,
        "origin": task.origin,
        "body": task.model_dump_json(),
    }
    statement = insert(_tables.tasks).values(values)
    connection.execute(statement.on_conflict_do_nothing(index_elements=["id"]))
