"""Which items say the same: they form a cluster, and are withheld, judged and shown as one.

Two items say the same if they stand in one namespace, are of one kind, are for the same occasion and
state the same rule, or have nearly the same words. None is thrown away for it: each has sources and
successes of its own, and the one that is shown may have to be taken back. What comes from a page, a
tool or a user never says the same as what was found out: it would pass for proven by the other's proof.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Origin
from memory._view import View

__all__ = ["clustered", "point", "same"]

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"(?<![\w$])\w*\d\w*")
_QUOTED = re.compile(r'"[^"]*"|`[^`]*`|\u201c[^\u201d]*\u201d')
_NOT = re.compile(
    r"\b(?:not|no|never|none|nothing|nobody|nor|cannot|without|avoid|unless|\w+n['\u2019]t)\b"
)
_FOUND_OUT = frozenset({Origin.ENVIRONMENT, Origin.SELF})
_NEW = frozenset({OpKind.ADD, OpKind.MERGE, OpKind.SUPERSEDE})
_LOOKED_AT = 32
_AT_ONCE = 256


def point(item: MemoryItem) -> str:
    """What an item says, the same for every call that met the same refusal."""
    if item.kind is MemoryKind.LESSON:
        call, arrow, refusal = item.content.partition(" -> ")
        return refusal if arrow else call
    return item.content


def same(one: MemoryItem, other: MemoryItem, alike: float) -> bool:
    """Whether two items for like occasions say the same.

    Args:
        alike: Share of their words that they must have in common, unless they make one point.
    """
    if _class(one) != _class(other):
        return False
    if point(one) == point(other):
        return True
    ours, theirs = _words(one), _words(other)
    near = len(ours & theirs) >= alike * len(ours | theirs)
    return near and _meant(one) == _meant(other)


def _class(item: MemoryItem) -> tuple[str, MemoryKind, int, bool]:
    return item.namespace, item.kind, item.polarity, item.origin in _FOUND_OUT


def _words(item: MemoryItem) -> frozenset[str]:
    return frozenset(_WORD.findall(item.content.lower()))


def _meant(item: MemoryItem) -> frozenset[str]:
    """What one word less or more turns into another rule: denials, numbers, what is quoted."""
    said = item.content.lower()
    return frozenset((*_NOT.findall(said), *_NUMBER.findall(said), *_QUOTED.findall(said)))


def clustered(
    ops: Sequence[MemoryOp],
    vectors: Mapping[str, Sequence[float]],
    view: View,
    near: float,
    alike: float = 0.8,
) -> list[MemoryOp]:
    """The changes, with what they add put into the cluster of what says the same.

    An item whose text an edit turns into another rule leaves its cluster, and what was observed of it,
    behind.

    Args:
        ops: In order; a later item may join an earlier one.
        vectors: Of the occasions of what is added, by id.
        view: What is there already.
        near: Cosine of two occasions from which they are the same.
        alike: See `same`.
    """
    edited = [op.item for op in ops if op.kind is OpKind.EDIT and op.item]
    turned = [i for i in edited if (old := view.get(i.id)) and not same(i, old, alike)]
    new = [op.item for op in ops if op.kind in _NEW and op.item and not op.item.cluster]
    added = new + turned
    found = {i.id: _alone(i) for i in turned}
    for namespace in dict.fromkeys(i.namespace for i in added):
        of = [i for i in added if i.namespace == namespace]
        rows = view.rows([namespace], None)
        matrix = np.asarray([vectors[i.id] for i in of], dtype=np.float32)
        there = view.matrix[rows]
        for place, item in enumerate(of):
            if place % _AT_ONCE == 0:
                # All at once would take memory by the square of their number.
                part = matrix[place : place + _AT_ONCE]
                known, among = part @ there.T, part @ matrix[: place + len(part)].T
            at = place % _AT_ONCE
            others = [view.items[int(rows[row])] for row in _nearest(known[at], near)]
            others += [of[one] for one in _nearest(among[at, :place], near)]
            match = next((i for i in others if i.id != item.id and same(item, i, alike)), None)
            if match is not None:
                found[item.id] = found.get(match.id, match.unit)
    return [_put(op, found) for op in ops]


def _alone(item: MemoryItem) -> str:
    """Name of a unit for an item that is no more what it was when others came to say the same as it."""
    return f"{item.id}.{hashlib.sha256(item.content.encode()).hexdigest()[:6]}"


def _put(op: MemoryOp, found: Mapping[str, str]) -> MemoryOp:
    if op.item is None or op.item.id not in found:
        return op
    item = op.item.model_copy(update={"cluster": found[op.item.id]})
    return op.model_copy(update={"item": item})


def _nearest(cosines: NDArray[np.float32], near: float) -> NDArray[np.int64]:
    """Places at least so near, nearest first, the earliest first among equals."""
    places = np.flatnonzero(cosines >= near)
    order = np.argsort(-cosines[places], kind="stable")[:_LOOKED_AT]
    return places[order]
