"""What of the store goes in a purge: found record by record, and taken out in one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import Connection, delete, func, select, update

from instar._database import parse
from instar._tables import (
    adapters,
    generations,
    memory_log,
    settings,
    stages,
    store_items,
    tasks,
    trajectories,
)
from instar.purging._memories import forget_memories
from instar.purging._target import MARK, Target, Words
from instar.types import Adapter, Generation, Prompts, Task, Trajectory

__all__ = [
    "Lived",
    "kept_stages",
    "lived",
    "notes",
    "read_episode",
    "remove",
    "stored",
    "subjects",
    "tasks_known",
]


class Lived(NamedTuple):
    """What a purge has to know of an episode.

    Attributes:
        session: Id of the live session that it belongs to; its own id where it is one by itself.
        shown: Memories that were recalled for it, each with its version.
        recalls: Whether the text of one of them holds the words.
        holds: Whether anything else does.
    """

    id: str
    task: str
    instruction: str
    session: str | None
    shown: frozenset[tuple[str, int]] = frozenset()
    recalls: bool = False
    holds: bool = False


def subjects(connection: Connection) -> list[str]:
    """Names of all subjects of sessions."""
    query = select(tasks.c.namespace).where(tasks.c.namespace.startswith("live/")).distinct()
    parts = [place.split("/", 2) for place in connection.scalars(query)]
    return [part[2] for part in parts if len(part) == 3]


def read_episode(raw: dict[str, Any], written: str, words: Words | None) -> Lived:
    """An episode from its JSON, decoded and as written.

    Raises:
        KeyError: It is none.
    """
    task, live = raw["task"], raw.get("purpose") == "live"
    session = str(task.get("params", {}).get("session") or raw["id"]) if live else None
    seen = words if words is not None and words.may_hold(written) else None
    memories = raw.get("memories", ())
    return Lived(
        id=raw["id"],
        task=task["id"],
        instruction=task["instruction"],
        session=session,
        shown=frozenset((m["item"], m["version"]) for m in memories),
        recalls=seen is not None and seen.held(memories),
        holds=seen is not None and _held(raw, seen),
    )


def _held(raw: dict[str, Any], words: Words) -> bool:
    bare = {**raw, "memories": []}
    try:
        return words.held(Trajectory.model_validate(bare))
    except ValidationError:  # damaged, or of another version: every text in it counts
        return words.held(bare)


def lived(connection: Connection, words: Words | None) -> Iterator[Lived]:
    """All episodes; one that cannot be read is told by its columns."""
    table = trajectories
    for row in connection.execute(select(table.c.id, table.c.task, table.c.body)):
        try:
            yield read_episode(json.loads(row.body), row.body, words)
        except (ValueError, KeyError, TypeError):
            holds = words is not None and words.may_hold(row.body)
            yield Lived(row.id, row.task, "", None, holds=holds)


def tasks_known(connection: Connection, words: Words | None) -> dict[str, str]:
    """Instructions of tasks by id; with words only of those that hold them."""
    bodies = connection.scalars(select(tasks.c.body))
    found = (parse(Task, body) for body in bodies if words is None or words.may_hold(body))
    return {task.id: task.instruction for task in found if words is None or words.held(task)}


def kept_stages(connection: Connection) -> dict[str, dict[str, Any]]:
    """What finished stages left, by key."""
    rows = connection.execute(select(stages.c.key, stages.c.value))
    return {row.key: json.loads(row.value) for row in rows}


def stored(connection: Connection, words: Words | None) -> dict[int, str]:
    """Names, by row, of what agents keep beside their memories and what holds the words; none without."""
    if words is None:
        return {}
    rows = connection.execute(select(store_items))
    found = ((r.row, (*r.namespace.split("."), r.key), r.value) for r in rows)
    return {
        row: "/".join(named)
        for row, named, value in found
        if any(map(words.names, named)) or (words.may_hold(value) and words.held(json.loads(value)))
    }


# Taking out


def remove(
    connection: Connection,
    target: Target,
    stale: Collection[str],
    gone: Collection[str],
    at: float,
) -> None:
    """Take everything out of the tables, in the transaction of the caller.

    Args:
        connection: With ``secure_delete`` on, so that nothing stays in free pages.
        target: What goes.
        stale: Keys of stages that have to be done again.
        gone: Names of adapters that go.
        at: Seconds since the epoch, for the log.
    """
    changes = list(notes(connection, target, gone))
    for column, name, values in changes:
        connection.execute(update(column.table).where(column == name).values(values))
    _without(connection, adapters.c.name, gone)
    forget_memories(connection, target, at)  # while it can be told which of their episodes passed
    _episodes(connection, target)
    _tasks(connection, target)
    _stages(connection, target, stale)
    # Their vectors go with them.
    _without(connection, store_items.c.row, stored(connection, target.words))


def _change(connection: Connection, column: Any, name: Any, values: dict[str, Any]) -> None:
    connection.execute(update(column.table).where(column == name).values(values))


def _without(connection: Connection, column: Any, names: Collection[str | int]) -> None:
    chosen = func.json_each(json.dumps(list(names))).table_valued("value")
    connection.execute(delete(column.table).where(column.in_(select(chosen.c.value))))


def _episodes(connection: Connection, target: Target) -> None:
    table = trajectories
    _without(connection, table.c.id, target.episodes)
    _without(connection, table.c.task, target.tasks)
    for row in connection.execute(select(table.c.row, table.c.body)).all():
        try:
            before = Trajectory.model_validate_json(row.body)
        except ValidationError:
            continue
        after = target.rest_of(before)
        if after is not before:
            _change(connection, table.c.row, row.row, {"body": after.model_dump_json()})


def _tasks(connection: Connection, target: Target) -> None:
    _without(connection, tasks.c.id, target.tasks)
    for row in connection.execute(select(tasks.c.row, tasks.c.body)).all():
        task = parse(Task, row.body)
        parents = target.others(task.parents)
        if parents != task.parents:
            body = task.model_copy(update={"parents": parents}).model_dump_json()
            _change(connection, tasks.c.row, row.row, {"body": body})


def _stages(connection: Connection, target: Target, stale: Collection[str]) -> None:
    for row in connection.execute(select(stages)).all():
        before = json.loads(row.value)
        after = target.rest(before)
        if row.key in stale or target.concerns(row.key):
            connection.execute(delete(stages).where(stages.c.key == row.key))
        elif after != before:
            _change(connection, stages.c.key, row.key, {"value": json.dumps(after)})


# Notes: what stands beside the records, and stays without what goes

Note = tuple[Any, Any, dict[str, Any]]
"""A column that names rows, the name of one, and its new values."""


def notes(connection: Connection, target: Target, gone: Collection[str]) -> Iterator[Note]:
    """Changes of the log, of adapters and generations, and of settings."""
    yield from _log(connection, target)
    for row in connection.execute(select(adapters)):
        adapter = parse(Adapter, row.body)
        free = {name: target.rest(getattr(adapter, name)) for name in ("recipe", "metrics")}
        if (after := adapter.model_copy(update=free)) != adapter:
            yield adapters.c.row, row.row, {"body": after.model_dump_json()}
    for row in connection.execute(select(generations)):
        made = parse(Generation, row.body)
        served = None if made.adapter in gone else made.adapter
        texts = target.rest(made.texts.model_dump()) if made.texts else None
        rest = {"adapter": served, "verdict": target.rest(made.verdict)}
        rest |= {"texts": Prompts(**texts)} if texts else {}
        if (serving := made.model_copy(update=rest)) != made:
            yield generations.c.id, row.id, {"body": serving.model_dump_json()}
    for row in connection.execute(select(settings)):
        before = json.loads(row.value)
        if (value := target.rest(before)) != before:
            yield settings.c.name, row.name, {"value": json.dumps(value)}


def _log(connection: Connection, target: Target) -> Iterator[Note]:
    """Lines of what goes stay empty, so that no later change gets the number of one."""
    for row in connection.execute(select(memory_log)):
        values = {
            "item": row.item,
            "target": None if row.target in target.items else row.target,
            "author": MARK if target.concerns(row.author) else target.rest(row.author),
            "reason": target.rest(row.reason),
        }
        if row.item in target.items:
            values |= {"item": None, "target": None, "reason": ""}
        elif (row.item, row.version) in target.versions:
            values["reason"] = ""
        if any(getattr(row, name) != value for name, value in values.items()):
            yield memory_log.c.row, row.row, values
