"""Memories in a purge: what was learnt from episodes that go, version by version.

A memory goes whole where it has no other source, or where one of its versions holds the words. Of
any other memory a version that was learnt from what goes alone keeps its number and loses its text,
so that no later version gets its number; a generation that showed it sees again what it saw before.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from instar._database import parse
from instar._ledger import path_of
from instar._memory_rows import Version
from instar._memory_writing import write
from instar._tables import memory_versions, trajectories
from instar.purging._target import MARK, Target, Words
from instar.types import MemoryItem, MemoryStatus, OpKind, Status

__all__ = ["Learnt", "forget_memories", "learnt_from"]

_TABLE = memory_versions.c
_Place = tuple[str, str]
"""A memory, and a generation that wrote versions of it."""


class Learnt(NamedTuple):
    """What was learnt from episodes.

    Attributes:
        items: Ids of memories of which nothing stays.
        versions: Those that go of memories of which others stay, by id and number.
        lessened: Ids of memories that stay and lose a source or a version.
    """

    items: frozenset[str]
    versions: frozenset[tuple[str, int]]
    lessened: frozenset[str]


def learnt_from(connection: Connection, words: Words | None, episodes: set[str]) -> Learnt:
    """What goes with episodes, and with words that a memory holds."""
    sources: dict[str, dict[int, set[str]]] = defaultdict(dict)
    items: set[str] = set()
    versions: set[tuple[str, int]] = set()
    lessened: set[str] = set()
    for row in connection.execute(select(_TABLE.body)):
        item = parse(MemoryItem, row.body)
        sources[item.id][item.version] = set(item.sources)
        if words is not None and words.may_hold(row.body) and words.held(item):
            items.add(item.id)
    for id, by_version in sources.items():
        behind: set[str] = set().union(*by_version.values())
        if id in items or not behind & episodes:
            continue
        if behind <= episodes:
            items.add(id)
        else:
            lessened.add(id)
            versions |= {(id, n) for n, of in by_version.items() if of and of <= episodes}
    return Learnt(frozenset(items), frozenset(versions), frozenset(lessened))


def forget_memories(connection: Connection, target: Target, at: float) -> None:
    """Take out what goes; what loses a source gets a new version, and old ones no longer name it.

    Args:
        connection: In the transaction of the caller.
        target: What goes.
        at: Seconds since the epoch, for the log.
    """
    chosen = func.json_each(json.dumps(sorted(target.items))).table_valued("value")
    connection.execute(delete(memory_versions).where(_TABLE.id.in_(select(chosen.c.value))))
    passed = _passed(connection, target)
    newest: dict[_Place, Version] = {}
    concerned: set[_Place] = set()
    for row in connection.execute(select(memory_versions).order_by(_TABLE.version)).all():
        item = parse(MemoryItem, row.body)
        place = item.id, item.generation
        if (item.id, item.version) in target.versions:
            _change(connection, row.row, _emptied(item), None)
            # What had ended stays so, whatever was seen before it.
            (concerned.add if item.in_use else concerned.discard)(place)
            continue
        rest = item.model_copy(update={"sources": target.others(item.sources)})
        newest[place] = Version(item, row.vector)
        concerned.discard(place)
        if rest != item:
            _change(connection, row.row, rest, row.vector)
            left = item.support - len(passed.intersection(item.sources))
            fewer = {"support": max(0, min(left, len(rest.sources)))}
            newest[place] = Version(rest.model_copy(update=fewer), row.vector)
            concerned.add(place)
    for id, generation in sorted(concerned):
        path = path_of(connection, generation)
        seen = next((newest[id, g] for g in path if (id, g) in newest), None)
        if seen is not None:
            _write(connection, generation, seen, at)


def _passed(connection: Connection, target: Target) -> set[str]:
    """The successes among the episodes that go."""
    kept = trajectories.c
    query = select(kept.id).where(func.json_extract(kept.body, "$.score.status") == Status.PASS)
    chosen = func.json_each(json.dumps(sorted(target.episodes))).table_valued("value")
    return set(connection.scalars(query.where(kept.id.in_(select(chosen.c.value)))))


def _emptied(item: MemoryItem) -> MemoryItem:
    texts = dict.fromkeys(("title", "when", "content"), MARK)
    nothing = {"group": "", "tools": (), "sources": (), "support": 0, "pinned": False}
    return item.model_copy(update={**texts, **nothing, "status": MemoryStatus.RETIRED})


def _change(connection: Connection, row: int, item: MemoryItem, vector: bytes | None) -> None:
    values = {"body": item.model_dump_json(), "status": item.status.value, "vector": vector}
    connection.execute(update(memory_versions).where(_TABLE.row == row).values(values))


def _write(connection: Connection, generation: str, seen: Version, at: float) -> None:
    why = {"kind": OpKind.EDIT.value, "target": seen.item.id, "author": "purge", "at": at}
    write(connection, generation, seen.item, seen.vector, {**why, "reason": "sources were purged"})
