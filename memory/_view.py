"""What one generation sees, as arrays: the rows that may be recalled, and their vectors.

A view grows with the store: what was written since is put into it, instead of reading all of it
anew. Rows are in the order of first writing and keep their numbers; a row whose item has ended is
not among those that may be recalled any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem, MemoryKind, MemoryStatus
from memory.index import packed_name

__all__ = ["Hit", "View"]

Hit = tuple[MemoryItem, float]
"""An item and its cosine to the query."""
_Place = tuple[str, frozenset[str], MemoryKind, bool, bool, bool]
_ENDED = 0
_KEPT_MASKS = 8


class View:
    """Items in use with their vectors.

    Attributes:
        place_of: Rows by id and version.
        row_of: Rows by name of the entry in the index.
        named: Names of the entries of all versions that it ever had, in the order in which they came.
        came: Ids and numbers of those versions.

    Args:
        dimension: Of a vector.
        nearness: Place of each generation that is seen on the path, the oldest 0; None: of all
            generations the last version counts.
    """

    def __init__(self, dimension: int, nearness: Mapping[str, int] | None) -> None:
        self._nearness = nearness
        self._matrix = np.empty((0, dimension), dtype=np.float32)
        self._kind_of = np.empty(0, dtype=np.int32)
        self._kinds: dict[_Place, int] = {}
        self._rank: dict[str, tuple[int, int]] = {}
        self._at: dict[str, int] = {}
        self._masks: dict[object, NDArray[np.bool_]] = {}
        self.items: list[MemoryItem] = []
        self.named: list[str] = []
        self.came: list[tuple[str, int]] = []
        self._name_at: list[str] = []
        self.row_of: dict[str, int] = {}
        self.place_of: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self.items)

    def get(self, id: str) -> MemoryItem | None:
        """The version that is seen of an item; None where it is not in use."""
        row = self._at.get(id)
        return None if row is None or self._kind_of[row] == _ENDED else self.items[row]

    @property
    def matrix(self) -> NDArray[np.float32]:
        """A vector a row."""
        return self._matrix[: len(self.items)]

    def update(self, versions: Iterable[tuple[MemoryItem, bytes | None]]) -> None:
        """Put in versions, with their vectors as stored; those that are not seen are left out."""
        new = [(i, v) for i, v in versions if self._counts(i)]
        self._grow(len(self.items) + len(new))
        for item, vector in new:
            if (item.in_use or _shed(item)) and vector is not None:
                self._put(item, vector)
            elif item.id in self._at:
                self._drop(self._at[item.id])
        self._masks.clear()

    def _counts(self, item: MemoryItem) -> bool:
        near = 0 if self._nearness is None else self._nearness.get(item.generation)
        if near is None or (near, item.version) <= self._rank.get(item.id, (-1, 0)):
            return False
        self._rank[item.id] = near, item.version
        return True

    def _grow(self, size: int) -> None:
        if size > len(self._matrix):
            room = max(size, len(self._matrix) * 3 // 2) - len(self._matrix)
            self._matrix = np.pad(self._matrix, ((0, room), (0, 0)))
            self._kind_of = np.pad(self._kind_of, (0, room))

    def _put(self, item: MemoryItem, vector: bytes) -> None:
        name = packed_name(item.id, vector)
        row = self._at.setdefault(item.id, len(self.items))
        if row == len(self.items):
            self.items.append(item)
            self._name_at.append(name)
        else:
            self._drop(row)
            self.items[row], self._name_at[row] = item, name
        self.place_of[item.id, item.version] = row
        self.row_of[name] = row
        self.named.append(name)
        self.came.append((item.id, item.version))
        self._matrix[row] = np.frombuffer(vector, dtype="<f4")
        in_doubt = item.status is MemoryStatus.QUARANTINED
        fits = item.namespace, frozenset(item.tools), item.kind
        place = (*fits, item.standing, in_doubt, _shed(item))
        self._kind_of[row] = self._kinds.setdefault(place, len(self._kinds) + 1)

    def _drop(self, row: int) -> None:
        old = self.items[row]
        self._kind_of[row] = _ENDED
        self.row_of.pop(self._name_at[row], None)
        self.place_of.pop((old.id, old.version), None)

    def mask(
        self,
        namespaces: Collection[str] | None,
        tools: Collection[str] | None,
        standing: bool | None = None,
        in_doubt: bool = True,
        shed: bool = False,
        kinds: Collection[MemoryKind] = (),
    ) -> NDArray[np.bool_]:
        """Whether each row is in one of the namespaces and its tools are all at hand; None: any.

        Args:
            standing: Only what is shown whatever the task, or only what is not.
            in_doubt: Also what is in quarantine.
            shed: Also what an adapter has made needless.
            kinds: Only what is of these; empty: of any.
        """
        at_hand = None if tools is None else frozenset(tools)
        within = None if namespaces is None else frozenset(namespaces)
        asked = within, at_hand, standing, in_doubt, shed, frozenset(kinds)
        if asked not in self._masks:
            while len(self._masks) >= _KEPT_MASKS:
                self._masks.pop(next(iter(self._masks)))
            allowed = np.zeros(len(self._kinds) + 1, dtype=np.bool_)
            for (namespace, needed, kind, stands, doubtful, gone), place in self._kinds.items():
                allowed[place] = (
                    (within is None or namespace in within)
                    and (at_hand is None or needed <= at_hand)
                    and (standing is None or standing == stands)
                    and (in_doubt or not doubtful)
                    and (shed or not gone)
                    and (not kinds or kind in kinds)
                )
            self._masks[asked] = allowed[self._kind_of[: len(self.items)]]
        return self._masks[asked]

    def rows(
        self,
        namespaces: Collection[str] | None,
        tools: Collection[str] | None,
        standing: bool | None = None,
        in_doubt: bool = True,
        shed: bool = False,
        kinds: Collection[MemoryKind] = (),
    ) -> NDArray[np.int64]:
        """The rows of a `mask`."""
        return np.flatnonzero(self.mask(namespaces, tools, standing, in_doubt, shed, kinds))

    def scan(self, vector: Sequence[float], rows: NDArray[np.int64], n: int) -> list[Hit]:
        """The nearest among the rows by exact comparison, nearest first."""
        if not len(rows):
            return []
        among = self.matrix if len(rows) == len(self) else self.matrix[rows]
        cosines = among @ np.asarray(vector, dtype=np.float32)
        if len(rows) > n:
            # All that may be among the first n, equal ones too.
            near = np.flatnonzero(cosines >= np.partition(cosines, -n)[-n])
            rows, cosines = rows[near], cosines[near]
        # Ties by order of writing, so that the answer does not depend on the machine.
        best = np.argsort(-cosines, kind="stable")[:n]
        return [(self.items[int(rows[i])], float(cosines[i])) for i in best]


def _shed(item: MemoryItem) -> bool:
    return item.status is MemoryStatus.INTERNALISED
