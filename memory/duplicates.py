"""Which items say the same: they form a cluster, and are withheld, judged and shown as one.

Two items say the same if they stand in one namespace, are of one kind, are for the same occasion and
state the same rule, or have nearly the same words. None is thrown away for it: each has sources and
successes of its own, and the one that is shown may have to be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind
from memory._view import View

__all__ = ["clustered", "point", "same"]

_WORD = re.compile(r"\w+")
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
    if (one.namespace, one.kind, one.polarity) != (other.namespace, other.kind, other.polarity):
        return False
    if point(one) == point(other):
        return True
    ours, theirs = _words(one), _words(other)
    return len(ours & theirs) >= alike * len(ours | theirs)


def _words(item: MemoryItem) -> frozenset[str]:
    return frozenset(_WORD.findall(item.content.lower()))


def clustered(
    ops: Sequence[MemoryOp],
    vectors: Mapping[str, Sequence[float]],
    view: View,
    near: float,
    alike: float = 0.8,
) -> list[MemoryOp]:
    """The changes, with what they add put into the cluster of what says the same.

    Args:
        ops: In order; a later item may join an earlier one.
        vectors: Of the occasions of what is added, by id.
        view: What is there already.
        near: Cosine of two occasions from which they are the same.
        alike: See `same`.
    """
    added = [op.item for op in ops if op.kind is OpKind.ADD and op.item and not op.item.cluster]
    found: dict[str, str] = {}
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


def _put(op: MemoryOp, found: Mapping[str, str]) -> MemoryOp:
    if op.item is None or op.kind is not OpKind.ADD or op.item.id not in found:
        return op
    item = op.item.model_copy(update={"cluster": found[op.item.id]})
    return op.model_copy(update={"item": item})


def _nearest(cosines: NDArray[np.float32], near: float) -> NDArray[np.int64]:
    """Places at least so near, nearest first, the earliest first among equals."""
    places = np.flatnonzero(cosines >= near)
    order = np.argsort(-cosines[places], kind="stable")[:_LOOKED_AT]
    return places[order]
