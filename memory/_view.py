"""What one generation sees, as arrays: the rows that may be recalled, and their vectors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem, MemoryStatus
from memory.index import entry_name

__all__ = ["Hit", "View"]

Hit = tuple[MemoryItem, float]
"""An item and its cosine to the query."""


class View:
    """Active items with their vectors, in the order of their writing."""

    def __init__(
        self,
        items: Sequence[MemoryItem],
        vectors: Mapping[tuple[str, int], Sequence[float]],
        dimension: int,
    ) -> None:
        self.items = [
            i for i in items if i.status is MemoryStatus.ACTIVE and (i.id, i.version) in vectors
        ]
        found = [vectors[i.id, i.version] for i in self.items]
        self.matrix = np.asarray(found, dtype=np.float32).reshape(len(found), dimension)
        names = [entry_name(i.id, v) for i, v in zip(self.items, found, strict=True)]
        self.row_of = {name: row for row, name in enumerate(names)}
        places: dict[tuple[str, frozenset[str]], list[int]] = defaultdict(list)
        for row, item in enumerate(self.items):
            places[item.namespace, frozenset(item.tools)].append(row)
        self._places = {place: np.asarray(rows) for place, rows in places.items()}

    def __len__(self) -> int:
        return len(self.items)

    def rows(
        self, namespaces: Collection[str] | None, tools: Collection[str] | None
    ) -> NDArray[np.int64]:
        """Rows in one of the namespaces whose tools are all at hand; None: whatever they are."""
        at_hand = None if tools is None else frozenset(tools)
        chosen = [
            rows
            for (namespace, needed), rows in self._places.items()
            if (namespaces is None or namespace in namespaces)
            and (at_hand is None or needed <= at_hand)
        ]
        return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)

    def scan(self, vector: Sequence[float], rows: NDArray[np.int64], n: int) -> list[Hit]:
        """The nearest among the rows by exact comparison, nearest first."""
        if not len(rows):
            return []
        whole = len(rows) == len(self)
        among = self.matrix if whole else self.matrix[rows]
        cosines = among @ np.asarray(vector, dtype=np.float32)
        # Ties by order of writing, so that the answer does not depend on the machine.
        best = np.argsort(-cosines, kind="stable")[:n]
        return [(self.items[int(rows[i])], float(cosines[i])) for i in best]
