"""All memories and stored items embedded anew, by another embedder than the one on record, or none.

The vectors are made first, while the store stays as it is; then one transaction puts them in place
of the old ones together with the record of the embedder. Whatever interrupts it, one embedder has
made all vectors in the store. The index is derived and follows on the next opening of the bank.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from instar import _memory_rows, _store_items, _tables
from instar._database import parse
from instar.failpoints import reach
from instar.store import Store
from instar.types import MemoryItem
from memory._record import record_of
from memory.embed import Embedder, occasion

__all__ = ["Embedded", "reembed"]

_BATCH = 256

Vectors = dict[str, list[float]]


class Embedded(NamedTuple):
    """What was done: how many versions, and how many texts they are found by."""

    versions: int
    texts: int


async def reembed(
    store: Store, embedder: Embedder, progress: Callable[[int, int], None]
) -> Embedded:
    """Give every version of every memory a vector of this embedder, and put it on record.

    Args:
        store: Other processes may write to it meanwhile.
        embedder: The one from now on.
        progress: Told how many texts are done, and of how many.

    Raises:
        UserError: The embedder fails; nothing was changed.
    """
    record = await asyncio.to_thread(record_of, embedder)
    known: Vectors = {}
    while True:
        done, missing = _swap(store, known, record)
        if done is not None:
            return done
        await _embed(embedder, missing, known, progress)


async def _embed(
    embedder: Embedder, texts: list[str], known: Vectors, progress: Callable[[int, int], None]
) -> None:
    for start in range(0, len(texts), _BATCH):
        progress(start, len(texts))
        batch = texts[start : start + _BATCH]
        vectors = await asyncio.to_thread(embedder.embed, batch)
        known |= zip(batch, vectors, strict=True)
    progress(len(texts), len(texts))


def _swap(
    store: Store, known: Mapping[str, list[float]], record: dict[str, Any]
) -> tuple[Embedded | None, list[str]]:
    """Put the vectors in, if there is one for every text; else which texts lack one.

    What others have written since the last look is seen here, under the lock of the store.
    """
    with store.database.write() as connection:
        texts, kept = _texts(connection), _store_items.texts(connection)
        wanted = dict.fromkeys([*texts.values(), *(t for own in kept.values() for t in own)])
        missing = [text for text in wanted if text not in known]
        if missing:
            return None, missing
        _put(connection, {row: known[text] for row, text in texts.items()}, record)
        _store_items.embed_again(connection, kept, known)
        reach("store.reembed")
    return Embedded(len(texts), len(wanted)), []


def _texts(connection: Connection) -> dict[int, str]:
    """By row what each version is found by, of those that have a vector or should have one."""
    table = _tables.memory_versions
    query = select(table.c.row, table.c.body, table.c.vector.is_not(None).label("embedded"))
    found = ((r.row, parse(MemoryItem, r.body), r.embedded) for r in connection.execute(query))
    return {row: occasion(item) for row, item, embedded in found if embedded or item.in_use}


def _put(
    connection: Connection, vectors: Mapping[int, list[float]], record: dict[str, Any]
) -> None:
    versions, settings = _tables.memory_versions, _tables.settings
    changed = update(versions).where(versions.c.row == bindparam("at"))
    rows = [{"at": row, "new": _memory_rows.pack(vector)} for row, vector in vectors.items()]
    if rows:
        connection.execute(changed.values(vector=bindparam("new")), rows)
    written = {"name": "embedder", "value": json.dumps(record, allow_nan=False)}
    statement = insert(settings).values(written)
    again = statement.on_conflict_do_update(index_elements=["name"], set_=written)
    connection.execute(again)
