"""Rows of the store that an agent keeps beside its memories: JSON values by namespace and key.

A namespace is written with points between its labels, which hold none. Each item may have vectors, one
for each text that it is found by; which texts these are is kept with it, so that they can be made anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, true
from sqlalchemy.dialects.sqlite import insert as upsert

from instar._memory_rows import pack
from instar._tables import store_items, store_vectors

__all__ = [
    "Row",
    "embed_again",
    "get",
    "namespaces",
    "places",
    "put",
    "read",
    "remove",
    "scores",
    "texts",
    "texts_of",
]

_AFTER_POINT = chr(ord(".") + 1)


class Row(NamedTuple):
    """An item.

    Attributes:
        created: Seconds since the epoch, of the first time that its key was written.
        updated: Of the last time.
    """

    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    created: float
    updated: float


def put(
    connection: Connection,
    namespace: Sequence[str],
    key: str,
    value: Mapping[str, Any],
    vectors: Mapping[str, Sequence[float]],
    paths: Sequence[str],
    at: float,
) -> None:
    """Write an item; one that is there keeps its place and when it was made.

    Args:
        connection: In a transaction of the caller.
        value: JSON.
        vectors: By text, of all that `texts_of` gives.
        paths: Of the texts that it is found by.
        at: Seconds since the epoch.
    """
    written = {
        "value": json.dumps(value, ensure_ascii=False, allow_nan=False),
        "paths": json.dumps(list(paths), ensure_ascii=False),
        "updated": at,
    }
    named = {"namespace": ".".join(namespace), "key": key, "created": at}
    kept = upsert(store_items).values({**named, **written})
    kept = kept.on_conflict_do_update(index_elements=["namespace", "key"], set_=written)
    row = connection.execute(kept.returning(store_items.c.row)).scalar_one()
    _put_vectors(connection, row, [vectors[text] for text in texts_of(value, paths)])


def _put_vectors(connection: Connection, row: int, vectors: Sequence[Sequence[float]]) -> None:
    connection.execute(delete(store_vectors).where(store_vectors.c.item == row))
    if vectors:
        rows = [{"item": row, "vector": pack(vector)} for vector in vectors]
        connection.execute(insert(store_vectors), rows)


def remove(connection: Connection, namespace: Sequence[str], key: str) -> None:
    """Take out an item with its vectors, if there is one."""
    connection.execute(delete(store_items).where(_is(namespace, key)))


def get(connection: Connection, namespace: Sequence[str], key: str) -> Row | None:
    """An item, or None."""
    row = connection.execute(select(store_items).where(_is(namespace, key))).first()
    return None if row is None else _row(row)


def places(connection: Connection, prefix: Sequence[str]) -> list[tuple[int, str]]:
    """Row and namespace of all items under a prefix: namespaces, and items in each, as they came."""
    c = store_items.c
    query = select(c.row, c.namespace).where(_under(prefix)).order_by(c.row)
    found = [(row.row, row.namespace) for row in connection.execute(query)]
    first: dict[str, int] = {}
    for row, namespace in found:
        first.setdefault(namespace, row)
    return sorted(found, key=lambda one: (first[one[1]], one[0]))


def read(connection: Connection, rows: Sequence[int]) -> Iterator[Row]:
    """Items by their rows, in that order."""
    query = select(store_items).where(_among(store_items.c.row, rows))
    found = {row.row: _row(row) for row in connection.execute(query)}
    return (found[row] for row in rows)


def namespaces(connection: Connection) -> list[tuple[str, ...]]:
    """All that hold an item."""
    query = select(store_items.c.namespace).distinct()
    return [tuple(name.split(".")) for name in connection.scalars(query)]


def scores(
    connection: Connection, prefix: Sequence[str], asked: Sequence[float]
) -> dict[int, float]:
    """Cosine of each item under a prefix that has a vector, of its nearest one, by row."""
    query = (
        select(store_vectors.c.item, store_vectors.c.vector)
        .join(store_items, store_items.c.row == store_vectors.c.item)
        .where(_under(prefix))
        .order_by(store_vectors.c.row)
    )
    found = connection.execute(query).all()
    if not found:
        return {}
    matrix = np.frombuffer(b"".join(row.vector for row in found), "<f4").reshape(len(found), -1)
    best: dict[int, float] = {}
    for row, score in zip(found, _cosines(matrix, np.asarray(asked, "<f4")).tolist(), strict=True):
        best[row.item] = max(score, best.get(row.item, score))
    return best


def _cosines(matrix: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(asked)
    products: NDArray[np.float32] = matrix @ asked
    products /= np.where(lengths > 0, lengths, 1)
    return products


# Texts


def texts_of(value: Mapping[str, Any], paths: Sequence[str]) -> list[str]:
    """The texts of a value that it is found by, in the way of LangGraph's own stores."""
    from langgraph.store.base import get_text_at_path

    return [text for path in paths for text in get_text_at_path(dict(value), path)]


def texts(connection: Connection) -> dict[int, list[str]]:
    """By row all texts that items are found by."""
    c = store_items.c
    rows = connection.execute(select(c.row, c.value, c.paths).where(c.paths != "[]"))
    return {r.row: texts_of(json.loads(r.value), json.loads(r.paths)) for r in rows}


def embed_again(
    connection: Connection, found: Mapping[int, Sequence[str]], known: Mapping[str, list[float]]
) -> None:
    """Put other vectors in the place of all.

    Args:
        connection: In a transaction of the caller.
        found: What `texts` gave.
        known: Vectors by text.
    """
    for row, own in found.items():
        _put_vectors(connection, row, [known[text] for text in own])


def _row(row: Any) -> Row:
    place = tuple(row.namespace.split("."))
    return Row(place, row.key, json.loads(row.value), row.created, row.updated)


def _is(namespace: Sequence[str], key: str) -> ColumnElement[bool]:
    c = store_items.c
    return (c.namespace == ".".join(namespace)) & (c.key == key)


def _under(prefix: Sequence[str]) -> ColumnElement[bool]:
    if not prefix:
        return true()
    name, c = ".".join(prefix), store_items.c
    # As a range, which uses the index: what begins with the prefix and a point.
    within = (c.namespace > f"{name}.") & (c.namespace < f"{name}{_AFTER_POINT}")
    return or_(c.namespace == name, within)


def _among(column: Any, rows: Sequence[int]) -> ColumnElement[bool]:
    # As one JSON list: the number of parameters of a statement is limited.
    chosen = func.json_each(json.dumps(list(rows))).table_valued("value")
    found: ColumnElement[bool] = column.in_(select(chosen.c.value))
    return found
