"""What one generation sees, as arrays: the rows that may be recalled, and their vectors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem, MemoryStatus
from memory._standing import STANDING
from memory.index import entry_name

__all__ = ["Hit", "View"]

Hit = tuple[MemoryItem, float]
"""An item and its cosine to the query."""

_Place = tuple[str, frozenset[str], bool, bool]


class View:
    """Items in use with their vectors, in the order of their writing."""

    def __init__(
        self,
        items: Sequence[MemoryItem],
        vectors: Mapping[tuple[str, int], Sequence[float]],
        dimension: int,
    ) -> None:
        self.items = [i for i in items if i.in_use and (i.id, i.version) in vectors]
        found = [vectors[i.id, i.version] for i in self.items]
        self.matrix = np.asarray(found, dtype=np.float32).reshape(len(found), dimension)
        names = [entry_name(i.id, v) for i, v in zip(self.items, found, strict=True)]
        self.place_of = {(i.id, i.version): row for row, i in enumerate(self.items)}
        self.row_of = {name: row for row, name in enumerate(names)}
        places: dict[_Place, list[int]] = defaultdict(list)
        for row, item in enumerate(self.items):
            in_doubt = item.status is MemoryStatus.QUARANTINED
            place = item.namespace, frozenset(item.tools), item.kind in STANDING, in_doubt
            places[place].append(row)
        self._places = {place: np.asarray(rows) for place, rows in places.items()}

    def __len__(self) -> int:
        return len(self.items)

    def rows(
        self,
        namespaces: Collection[str] | None,
        tools: Collection[str] | None,
        standing: bool | None = None,
        in_doubt: bool = True,
    ) -> NDArray[np.int64]:
        """Rows in one of the namespaces whose tools are all at hand; None: whatever they are.

        Args:
            standing: Only what is shown whatever the task, or only what is not.
            in_doubt: Also what is in quarantine.
        """
        at_hand = None if tools is None else frozenset(tools)
        chosen = [
            rows
            for (namespace, needed, stands, doubtful), rows in self._places.items()
            if (namespaces is None or namespace in namespaces)
            and (at_hand is None or needed <= at_hand)
            and (standing is None or standing == stands)
            and (in_doubt or not doubtful)
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
