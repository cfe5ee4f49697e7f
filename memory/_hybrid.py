"""The words beside the likeness: a lexical index that is opened when first needed, and its ranking fused in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem, MemoryKind
from memory._fuse import fuse
from memory._view import Hit, View
from memory.index import IndexBroken
from memory.lexical import LexicalIndex

__all__ = ["Look", "Words", "fused", "sizes"]

_LOG = logging.getLogger(__name__)
_FLOOR, _STUCK = 0.5, 0.3
"""Share of a question's information that an item must cover."""
_FIRST, _MOST, _CROWD = 4, 16, 256
"""So many times as many as are wanted are looked at: first, where these do not settle it, and where
even those hold too few that say different things."""
_BEST = 2 / 61
"""What reciprocal rank fusion gives a row that stands first in both rankings."""


class Look(NamedTuple):
    """What recall looks for, and among what.

    Attributes:
        tried: Also among what is in quarantine.
        stuck: By its words too, whatever the embedder; the text then holds much beside the point.
        shed: Also among what an adapter has made needless.
        kinds: Only among these; empty: among all.
    """

    text: str
    places: Sequence[str]
    at_hand: Collection[str]
    tried: bool
    stuck: bool
    shed: bool = False
    kinds: Collection[MemoryKind] = ()


def sizes(k: int, words: bool) -> tuple[int, ...]:
    """How many are looked at for ``k``, and then, if need be; both rankings together begin with more."""
    return tuple(k * n for n in (_FIRST, _MOST, _CROWD) if n > _FIRST or not words)


class Words:
    """The lexical side of recall.

    Args:
        folder: Of the index; None: words are never looked for.
        read: Gives all items that a generation in use sees.
    """

    def __init__(self, folder: Path | None, read: Callable[[], Iterable[MemoryItem]]) -> None:
        self._folder, self._read = folder, read
        self._index: LexicalIndex | None = None
        self._known: set[tuple[str, int]] = set()
        self._covered: WeakKeyDictionary[View, int] = WeakKeyDictionary()

    def follow(self, items: Sequence[MemoryItem]) -> None:
        """Take new versions in, if the index is open; one that is not catches up when it is."""
        self._try(lambda index: index.add([i for i in items if i.in_use]))
        if self._index is not None:
            self._known |= {(i.id, i.version) for i in items}

    def nearest(
        self,
        look: Look,
        view: View,
        mask: NDArray[np.bool_],
        n: int,
    ) -> list[Hit]:
        """The items in the mask of rows that cover enough of what is looked for, best first."""
        if self._index is None and self._folder is not None:
            self._index = LexicalIndex.open(self._folder)
            self._folder = None if self._index is None else self._folder
            self._try(lambda index: index.sync(self._all))
        self._cover(view)
        found: list[Hit] = []

        def ask(index: LexicalIndex) -> None:
            def keep(id: str, version: int) -> bool:
                row = view.place_of.get((id, version))
                return row is not None and row < len(mask) and bool(mask[row])

            for id, version, share in index.query(
                look.text, n, namespaces=look.places, tools=look.at_hand, keep=keep
            ):
                if share >= (_STUCK if look.stuck else _FLOOR):
                    found.append((view.items[view.place_of[id, version]], share))

        self._try(ask)
        return found

    def _all(self) -> list[MemoryItem]:
        items = list(self._read())
        self._known = {(i.id, i.version) for i in items}
        return items

    def _cover(self, view: View) -> None:
        """Take in what is seen and was written by a process that does not look for words itself."""
        new = view.came[self._covered.get(view, 0) :]
        missing = [n for n in new if n in view.place_of and n not in self._known]
        if missing:
            self._try(lambda index: index.add(view.items[view.place_of[n]] for n in missing))
            self._known.update(missing)
        self._covered[view] = len(view.came)

    def _try(self, work: Callable[[LexicalIndex], None]) -> None:
        if self._index is None:
            return
        try:
            work(self._index)
        except IndexBroken as error:
            _LOG.warning("words are not looked for until the next opening: %s", error)
            self.close()

    def close(self) -> None:
        """Let go of the file, for good."""
        if self._index is not None:
            self._index.close()
        self._index = self._folder = None


def fused(dense: Sequence[Hit], lexical: Sequence[Hit], floor: float, margin: float) -> list[Hit]:
    """Both rankings as one, with relevance from 0 to 1; what neither finds near enough is left out.

    Args:
        dense: With their cosine, nearest first.
        lexical: With the share of the question that they cover, best first.
        floor: Cosine below which the dense ranking says nothing.
        margin: How far below the nearest one may lie in it.
    """
    nearest = max((cosine for _, cosine in dense), default=0.0)
    near = [item for item, cosine in dense if cosine >= max(floor, nearest - margin)]
    items = list({i.id: i for i in [*near, *(item for item, _ in lexical)]}.values())
    place = {item.id: at for at, item in enumerate(items)}
    ranked = fuse(
        [(place[item.id], 0.0) for item in near], [(place[i.id], share) for i, share in lexical]
    )
    return [(items[at], score / _BEST) for at, score in ranked]
