"""The store beside the memories: what an agent keeps of its own, by namespace and key.

It behaves as LangGraph's `InMemoryStore`, so that `instar_client.langgraph.InstarStore` can stand in its
place, but lasts: its items lie in the workspace's database, are in its backups, and `instar purge`
finds them. They are no memories: nothing here is recalled, judged or learnt from.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from instar import _store_items as rows
from instar.compose import Workspace
from instar.service import item_shapes as shapes
from instar.service._filters import fits, matches

__all__ = ["Items"]

Vectors = Mapping[str, Sequence[float]]
Result = shapes.Item | shapes.Found | shapes.Namespaces | None


class Items:
    """The store of a workspace.

    Args:
        workspace: Open; it stays the caller's to close.
        clock: Seconds since the epoch.
    """

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        self._workspace, self._clock = workspace, clock

    async def run(self, asked: shapes.Batch) -> shapes.Done:
        """Answer requests from what is there, then write, all or nothing.

        Raises:
            UserError: A filter has a comparison that there is not.
            WorkspaceError: Another process has embedded the workspace anew.
        """
        puts = {(*op.namespace, op.key): op for op in asked.ops if isinstance(op, shapes.Put)}
        texts = [text for op in puts.values() for text in _texts(op)]
        texts += [op.query for op in asked.ops if isinstance(op, shapes.Search) and op.query]
        vectors = await self._embedded(list(dict.fromkeys(texts)))
        return await asyncio.to_thread(self._run, asked, list(puts.values()), vectors)

    async def _embedded(self, texts: list[str]) -> Vectors:
        if not texts:
            return {}
        bank = self._workspace.bank
        bank.check_embedder()
        made = await asyncio.to_thread(bank.embedder.embed, texts)
        return dict(zip(texts, made, strict=True))

    def _run(
        self, asked: shapes.Batch, puts: Sequence[shapes.Put], vectors: Vectors
    ) -> shapes.Done:
        database = self._workspace.store.database
        with database.write() if puts else database.read() as connection:
            results = [_answer(connection, op, vectors) for op in asked.ops]
            for op in puts:
                self._put(connection, op, vectors)
        return shapes.Done(results=results)

    def _put(self, connection: Connection, op: shapes.Put, vectors: Vectors) -> None:
        if op.value is None:
            rows.remove(connection, op.namespace, op.key)
        else:
            at = self._clock()
            rows.put(connection, op.namespace, op.key, op.value, vectors, op.index, at)


def _texts(op: shapes.Put) -> list[str]:
    return [] if op.value is None else rows.texts_of(op.value, op.index)


def _answer(connection: Connection, op: shapes.Op, vectors: Vectors) -> Result:
    if isinstance(op, shapes.Get):
        found = rows.get(connection, op.namespace, op.key)
        return None if found is None else _item(found)
    if isinstance(op, shapes.Search):
        return _search(connection, op, vectors)
    if isinstance(op, shapes.List):
        return _list(connection, op)
    return None


def _search(connection: Connection, op: shapes.Search, vectors: Vectors) -> shapes.Found:
    chosen = [row for row, _ in rows.places(connection, op.prefix)]
    if op.filter:
        kept = zip(chosen, rows.read(connection, chosen), strict=True)
        chosen = [row for row, item in kept if _all(item.value, op.filter)]
    known = rows.scores(connection, op.prefix, vectors[op.query]) if op.query else {}
    chosen.sort(key=lambda row: -known.get(row, -2.0))  # stable: what has no score stays in order
    page = chosen[op.offset : op.offset + op.limit]
    items = zip(page, rows.read(connection, page), strict=True)
    return shapes.Found(items=[_item(item, known.get(row)) for row, item in items])


def _all(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(matches(value.get(name), one) for name, one in wanted.items())


def _list(connection: Connection, op: shapes.List) -> shapes.Namespaces:
    found = {
        name[: op.depth]
        for name in rows.namespaces(connection)
        if all(fits(name, match) for match in op.match)
    }
    page = sorted(found)[op.offset : op.offset + op.limit]
    return shapes.Namespaces(namespaces=[list(name) for name in page])


def _item(row: rows.Row, score: float | None = None) -> shapes.Item:
    return shapes.Item(
        namespace=list(row.namespace),
        key=row.key,
        value=row.value,
        created=row.created,
        updated=row.updated,
        score=score,
    )
