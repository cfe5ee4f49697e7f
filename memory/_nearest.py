"""The rows nearest to a vector: by exact comparison, or by the index where that saves time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memory._follower import Follower
from memory._view import Hit, View
from memory.index import IndexBroken, VectorIndex

__all__ = ["Nearest"]


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
        self, view: View, vector: Sequence[float], rows: NDArray[np.int64], n: int
    ) -> list[Hit]:
        """At most ``n`` of the rows, nearest first."""
        index = self._follower.index
        # Where most rows are filtered away the index would find mostly others.
        if index is not None and self._exact_below <= len(rows) >= len(view) / 4:
            hits = self._asked(index, view, vector, rows, n)
            if hits is not None:
                return hits
        return view.scan(vector, rows, n)

    def _asked(
        self,
        index: VectorIndex,
        view: View,
        vector: Sequence[float],
        rows: NDArray[np.int64],
        wanted: int,
    ) -> list[Hit] | None:
        """What the index finds among the rows; None where that cannot be relied on."""
        if not self._follower.covers(view):
            return None
        try:
            found = index.query(vector, wanted)
        except IndexBroken as error:
            self._follower.drop(error)
            return None
        allowed = np.zeros(len(view), dtype=np.bool_)
        allowed[rows] = True
        seen = [(view.row_of[name], c) for name, c in found if name in view.row_of]
        hits = [(view.items[row], cosine) for row, cosine in seen if allowed[row]]
        exhausted = bool(found) and found[-1][1] < self._floor
        return hits if exhausted or len(hits) >= wanted // 2 else None
