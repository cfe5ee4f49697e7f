"""The rows nearest to a vector: by exact comparison, or by the index where that saves time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memory._follower import Follower
from memory._view import Hit, View
from memory.index import IndexBroken, VectorIndex

__all__ = ["Nearest"]

_LEAST = 0.25
"""Share of the rows from which on the index is asked: it finds others as well, that many times more."""


class Nearest:
    """Finds rows.

    Args:
        follower: Has the index, while it can be used.
        floor: Cosine below which nothing is of interest.
        exact_below: So many rows are compared exactly rather than asked of the index.
    """

    def __init__(self, follower: Follower, floor: float, exact_below: int) -> None:
        self._follower, self._floor, self._exact_below = follower, floor, exact_below

    def among(
        self, view: View, vector: Sequence[float], mask: NDArray[np.bool_], n: int
    ) -> list[Hit]:
        """At most ``n`` of the rows in the mask, nearest first."""
        rows = int(np.count_nonzero(mask))
        index = self._follower.index
        # Where most rows are filtered away the index would find mostly others.
        if index is not None and self._exact_below <= rows >= len(view) * _LEAST:
            hits = self._asked(index, view, vector, mask, n, rows / len(view))
            if hits is not None:
                return hits
        return view.scan(vector, np.flatnonzero(mask), n)

    def _asked(
        self,
        index: VectorIndex,
        view: View,
        vector: Sequence[float],
        mask: NDArray[np.bool_],
        wanted: int,
        share: float,
    ) -> list[Hit] | None:
        """What the index finds among the rows; None where that cannot be relied on."""
        if not self._follower.covers(view):
            return None
        n = math.ceil(wanted / share)
        try:
            found = index.query(vector, n)
        except IndexBroken as error:
            self._follower.drop(error)
            return None
        if len(found) < min(n, len(index.entries)):
            # In the graph of HNSW some entries cannot be reached: here they would be all it lacks.
            return None
        seen = [(view.row_of[name], c) for name, c in found if name in view.row_of]
        # What has come since the mask was made is not in it.
        hits = [(view.items[r], cosine) for r, cosine in seen if r < len(mask) and mask[r]]
        exhausted = bool(found) and found[-1][1] < self._floor
        return hits if exhausted or len(hits) >= wanted // 2 else None
