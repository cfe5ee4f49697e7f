"""The store: the one truth of a workspace, one SQLite file.

Every method that changes something is one transaction: when it returns, the change survives a kill;
when it raises, nothing of it was kept. Records are kept whole; a vector lies beside the version of
the memory it was made from, so that every index can be rebuilt from here without embedding again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Table, func, select, update
from sqlalchemy.dialects.sqlite import insert

from instar import _tables
from instar._database import Database, parse
from instar._ledger import body_of
from instar._memory_store import Memories
from instar.errors import WorkspaceError
from instar.failpoints import reach
from instar.types import Task, Trajectory

__all__ = ["Store"]


class Store(Memories):
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

    def change_trajectory(
        self, id: str, change: Callable[[Trajectory], dict[str, Any]]
    ) -> Trajectory:
        """Set some fields of a trajectory to what they should be, given what they are.

        Returns:
            The trajectory as it is now.

        Raises:
            UnknownName: There is none of that id.
        """
        table = _tables.trajectories
        with self.database.write() as connection:
            before = parse(Trajectory, body_of(connection, table, "trajectory", id))
            changed = before.model_copy(update=change(before))
            values = {"body": changed.model_dump_json()}
            connection.execute(update(table).where(table.c.id == id).values(values))
        return changed

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
