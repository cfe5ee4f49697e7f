"""The part of the store that says where a workspace stands: generations, adapters, stages.

`instar.store` adds tasks, trajectories and memory; use it through there.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, Table, delete, exists, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError

from instar import _tables
from instar._database import parse
from instar._holding import come_over
from instar._memory_log import Change, numbered
from instar._stage_log import StageLog
from instar.errors import UnknownName
from instar.failpoints import reach
from instar.types import Adapter, Generation, GenerationStatus

__all__ = ["Ledger", "body_of", "count", "keep_generation", "path_of"]

_NAMES_IN_ERRORS = 20


class Ledger(StageLog):
    """Generations, adapters, finished stages, counters and the embedder on record."""

    # Generations

    def add_generation(self, generation: Generation) -> None:
        """Keep a generation; one that is known stays as it is.

        Raises:
            ValueError: Its parent is unknown, or it would be a second active one.
        """
        try:
            with self.database.write() as connection:
                keep_generation(connection, generation)
        except IntegrityError as error:
            raise ValueError(
                f"generation {generation.id} needs a known parent, and one generation only is active"
            ) from error

    def withdraw(self, id: str) -> None:
        """Take back a candidate that was added and in which nothing was written."""
        own, written = _tables.generations.c, _tables.memory_versions.c.generation
        empty = ~exists().where(written == id)
        candidate = own.status == GenerationStatus.CANDIDATE.value
        with self.database.write() as connection:
            connection.execute(delete(_tables.generations).where(own.id == id, candidate, empty))

    def generation(self, id: str) -> Generation:
        """One generation.

        Raises:
            UnknownName: There is none of that id.
        """
        with self.database.read() as connection:
            return _generation(connection, id)

    def generations(self) -> list[Generation]:
        """All generations, oldest first."""
        table = _tables.generations
        query = select(table.c.body).order_by(table.c.seq, table.c.id)
        with self.database.read() as connection:
            return [parse(Generation, body) for body in connection.scalars(query)]

    def ancestry(self, id: str) -> list[str]:
        """The generation and its ancestors, itself first.

        Raises:
            UnknownName: There is none of that id.
        """
        with self.database.read() as connection:
            return path_of(connection, id)

    def active(self) -> Generation | None:
        """The generation that serves, if there is one."""
        with self.database.read() as connection:
            return _active(connection)

    def activate(self, id: str) -> Generation:
        """Make a generation the active one; the one before it is retired, its quarantines hold.

        Raises:
            UnknownName: There is none of that id.
        """
        with self.database.write() as connection:
            chosen = _generation(connection, id)
            before = _active(connection)
            if before is not None and before.id != id:
                _put(connection, before.model_copy(update={"status": GenerationStatus.RETIRED}))
                _set(connection, "served", [*(_get(connection, "served") or []), before.id])
                _hold(connection, before.id, id, self._clock())
            chosen = chosen.model_copy(update={"status": GenerationStatus.ACTIVE})
            _put(connection, chosen)
            reach("store.activate")
        return chosen

    def go_back(self) -> Generation | None:
        """Make the generation active that served before, as often as there is one; None where not."""
        with self.database.write() as connection:
            before = _active(connection)
            served = _get(connection, "served")
            if served is None and before is not None and before.parent is not None:
                served = [before.parent]  # a workspace from before this was written down
            if not served or before is None:
                return None
            chosen = _generation(connection, served.pop())
            _put(connection, before.model_copy(update={"status": GenerationStatus.RETIRED}))
            chosen = chosen.model_copy(update={"status": GenerationStatus.ACTIVE})
            _put(connection, chosen)
            _set(connection, "served", served)
            _hold(connection, before.id, chosen.id, self._clock())
        return chosen

    def came_over(self) -> list[Change]:
        """Quarantines that the active generation took over from the one that served before it."""
        with self.database.read() as connection:
            made = (_get(connection, "held") or {}).get("made", ())
            return [c for number in made if (c := numbered(connection, number)) is not None]

    def served(self) -> list[str]:
        """Generations that one can go back to, the last of them last."""
        with self.database.read() as connection:
            return list(_get(connection, "served") or [])

    def set_status(
        self, id: str, status: GenerationStatus, verdict: dict[str, JsonValue] | None = None
    ) -> Generation:
        """Change the status of a generation, and its verdict if one is given.

        Raises:
            UnknownName: There is none of that id.
            ValueError: Another one is active; use `activate`.
        """
        try:
            with self.database.write() as connection:
                changes: dict[str, Any] = {"status": status}
                if verdict is not None:
                    changes["verdict"] = verdict
                changed = _generation(connection, id).model_copy(update=changes)
                _put(connection, changed)
        except IntegrityError as error:
            raise ValueError("another generation is active; use activate") from error
        return changed

    # Adapters

    def add_adapter(self, adapter: Adapter) -> None:
        """Keep the record of an adapter; one that is known stays as it is."""
        statement = insert(_tables.adapters).values(
            name=adapter.name, body=adapter.model_dump_json()
        )
        with self.database.write() as connection:
            connection.execute(statement.on_conflict_do_nothing(index_elements=["name"]))

    def change_adapter(self, adapter: Adapter) -> None:
        """Put another record in the place of the one of the same name, if there is one."""
        table = _tables.adapters
        changed = update(table).where(table.c.name == adapter.name)
        with self.database.write() as connection:
            connection.execute(changed.values(body=adapter.model_dump_json()))

    def adapter(self, name: str) -> Adapter:
        """One adapter.

        Raises:
            UnknownName: There is none of that name.
        """
        with self.database.read() as connection:
            body = body_of(connection, _tables.adapters, "adapter", name, key="name")
        return parse(Adapter, body)

    def adapters(self) -> list[Adapter]:
        """All adapters, oldest first."""
        table = _tables.adapters
        with self.database.read() as connection:
            bodies = connection.scalars(select(table.c.body).order_by(table.c.row))
            return [parse(Adapter, body) for body in bodies]

    # Counters, the embedder

    def counter(self, name: str) -> int:
        """The next number of a counter that lasts, from 1."""
        with self.database.write() as connection:
            return count(connection, name)

    def embedder(self) -> dict[str, Any] | None:
        """Name, dimension and weights hash of the embedder on record, if there is one."""
        with self.database.read() as connection:
            value = _get(connection, "embedder")
        return None if value is None else dict(value)

    def set_embedder(self, embedder: dict[str, Any]) -> None:
        """Put an embedder on record, in place of the one before it."""
        with self.database.write() as connection:
            _set(connection, "embedder", embedder)


def count(connection: Connection, name: str) -> int:
    """The next number of a counter that lasts, in a transaction of the caller."""
    table = _tables.counters
    statement = insert(table).values(name=name, value=1)
    counted = statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": table.c.value + 1}
    ).returning(table.c.value)
    return int(connection.execute(counted).scalar_one())


def _get(connection: Connection, name: str) -> Any:
    table = _tables.settings
    value = connection.scalar(select(table.c.value).where(table.c.name == name))
    return None if value is None else json.loads(value)


def _set(connection: Connection, name: str, value: Any) -> None:
    written = json.dumps(value, allow_nan=False)
    statement = insert(_tables.settings).values(name=name, value=written)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": written})
    )


def body_of(connection: Connection, table: Table, kind: str, name: str, key: str = "id") -> str:
    """The JSON of one record; `UnknownName` lists the nearest names there are."""
    body = connection.scalar(select(table.c.body).where(table.c[key] == name))
    if body is None:
        raise UnknownName(kind, name, _nearest(name, connection.scalars(select(table.c[key]))))
    return str(body)


def keep_generation(connection: Connection, generation: Generation) -> None:
    """Keep a generation, in a transaction of the caller; one that is known stays as it is."""
    values = {
        "id": generation.id,
        "seq": generation.seq,
        "parent": generation.parent,
        "status": generation.status.value,
        "body": generation.model_dump_json(),
    }
    statement = insert(_tables.generations).values(values)
    connection.execute(statement.on_conflict_do_nothing(index_elements=["id"]))


def path_of(connection: Connection, id: str) -> list[str]:
    """A generation and its ancestors, itself first."""
    table = _tables.generations
    parents = {row.id: row.parent for row in connection.execute(select(table.c.id, table.c.parent))}
    if id not in parents:
        raise UnknownName("generation", id, _nearest(id, parents))
    path: list[str] = []
    at: str | None = id
    while at is not None:
        path.append(at)
        at = parents[at]
    return path


def _nearest(name: str, names: Iterable[str]) -> list[str]:
    known = list(names)
    if len(known) <= _NAMES_IN_ERRORS:
        return known
    return difflib.get_close_matches(name, known, n=_NAMES_IN_ERRORS, cutoff=0.0)


def _generation(connection: Connection, id: str) -> Generation:
    return parse(Generation, body_of(connection, _tables.generations, "generation", id))


def _active(connection: Connection) -> Generation | None:
    table = _tables.generations
    query = select(table.c.body).where(table.c.status == GenerationStatus.ACTIVE.value)
    body = connection.scalar(query)
    return None if body is None else parse(Generation, body)


def _hold(connection: Connection, before: str, chosen: str, at: float) -> None:
    served, path = (path_of(connection, id) for id in (before, chosen))
    known = (_get(connection, "held") or {}).get("open", ())
    left, made = come_over(connection, served, path, known, at)
    _set(connection, "held", {"open": left, "made": made})


def _put(connection: Connection, generation: Generation) -> None:
    table = _tables.generations
    changes = {"status": generation.status.value, "body": generation.model_dump_json()}
    connection.execute(update(table).where(table.c.id == generation.id).values(changes))
