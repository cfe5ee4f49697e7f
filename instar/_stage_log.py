"""Which stages are finished, with what they left: what a run that goes on finds done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert

from instar import _tables
from instar._database import Database
from instar.failpoints import reach

__all__ = ["StageLog"]


class StageLog:
    """Finished stages on record."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self._clock = clock

    def stage(self, key: str) -> dict[str, Any] | None:
        """The output of a finished stage, or None."""
        table = _tables.stages
        with self.database.read() as connection:
            value = connection.scalar(select(table.c.value).where(table.c.key == key))
        return None if value is None else dict(json.loads(value))

    def finish_stage(self, key: str, value: dict[str, Any]) -> None:
        """Say that a stage is finished, with an output of JSON values."""
        values = {"key": key, "value": json.dumps(value, allow_nan=False), "at": self._clock()}
        statement = insert(_tables.stages).values(values)
        changed = {"value": statement.excluded.value, "at": statement.excluded.at}
        with self.database.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["key"], set_=changed)
            )
            reach(f"store.stage.{key.rpartition('/')[2]}")

    def finished_at(self, key: str) -> float | None:
        """When a stage was last finished, in seconds since the epoch; None where it never was."""
        table = _tables.stages
        with self.database.read() as connection:
            return connection.scalar(select(table.c.at).where(table.c.key == key))

    def stages(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Finished stages whose key begins with a prefix, by key, first finished first."""
        table = _tables.stages
        query = select(table.c.key, table.c.value).order_by(table.c.at, table.c.key)
        with self.database.read() as connection:
            begins = func.substr(table.c.key, 1, len(prefix)) == prefix
            rows = connection.execute(query.where(begins))
            return {row.key: json.loads(row.value) for row in rows}
