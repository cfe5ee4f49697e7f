"""Keeps the index in step with the store, and answers whether it can be relied on.

The store is written first and the index follows. An index of one's own that fails is given up until
the next opening. A server that fails is left alone for a while, longer each time, and then brought
up to date from the store: what was written meanwhile is in there. Nobody waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from instar.store import Store
from instar.types import GenerationStatus
from memory._view import View
from memory.index import IndexBroken, IndexChanged, VectorIndex, packed_name

__all__ = ["Follower", "opened"]

_LOG = logging.getLogger(__name__)
_IN_USE = frozenset({GenerationStatus.ACTIVE, GenerationStatus.CANDIDATE})
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 320.0
_CAUGHT_UP = 1000
"""So many entries are put into the index while somebody waits for a recall; more only on opening."""


def opened(folder: Path | None, url: str | None, embedder: Mapping[str, Any]) -> VectorIndex | None:
    """The index in a folder, or on a server with its name kept in the folder.

    Args:
        folder: None: there is no index.
        url: Of a Chroma server, None for an index in the folder.
        embedder: Its record in the store.

    Returns:
        None where there is none to be had.

    Raises:
        ConfigError: The URL is none.
    """
    if folder is None:
        return None
    if url is None:
        return VectorIndex.open(folder)
    from memory._chroma_server import collection_name

    try:
        name = collection_name(folder)
    except (OSError, ValueError) as error:
        _LOG.warning("no vector index on a server, memories are compared exactly: %s", error)
        return None
    return VectorIndex.connect(url, name, embedder)


class Follower:
    """The index of a store.

    Args:
        store: What it follows.
        index: Owned from here on; None: there is none.
        embedder: The record of the embedder whose vectors are written.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        index: VectorIndex | None,
        embedder: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._index, self._embedder = store, index, dict(embedder)
        self._clock = clock
        self._in_step = False
        self._again: float | None = None
        self._wait = _FIRST_WAIT
        self._told = False
        self._covered: WeakKeyDictionary[View, int] = WeakKeyDictionary()

    @property
    def index(self) -> VectorIndex | None:
        """The index while it can be used; one that is to be tried again is tried when it is time."""
        if self._again is not None and self._clock() >= self._again:
            self.reconcile()
        return self._index if self._in_step else None

    def reconcile(self) -> None:
        """Make the index hold what generations in use see; it is rebuilt where it is damaged."""
        index, self._in_step, self._again = self._index, False, None
        self._covered.clear()
        if index is None or not self._is_ours():
            return
        try:
            # Before the store is read: whatever others have put there is in the store by then.
            index.refresh()
            index.sync(self._wanted())
        except IndexBroken as error:
            self.drop(error)
            return
        if self._told:
            _LOG.info("the index server answers again")
        self._in_step, self._wait, self._told = True, _FIRST_WAIT, False

    def _is_ours(self) -> bool:
        """Whether the store's vectors are of our embedder still."""
        if self._store.embedder() == self._embedder:
            return True
        _LOG.warning("the memories were embedded anew by another process: start this one again")
        return False

    def _wanted(self) -> dict[str, NDArray[np.float32]]:
        heads = [None, *(g.id for g in self._store.generations() if g.status in _IN_USE)]
        return {
            packed_name(item, vector): np.frombuffer(vector, dtype="<f4")
            for head in heads
            for (item, _), vector in self._store.packed_vectors(head).items()
        }

    def follow(self, entries: Mapping[str, Sequence[float] | NDArray[np.float32]]) -> None:
        """Add what the store has been given."""
        index = self.index
        if index is None:
            return
        try:
            index.add(entries)
        except IndexBroken as error:
            self.drop(error)

    def covers(self, view: View) -> bool:
        """Whether the index holds all that is seen; a few entries from elsewhere are added to it."""
        index = self.index
        if index is None:
            return False
        new = [n for n in view.named[self._covered.get(view, 0) :] if n in view.row_of]
        missing = [name for name in new if name not in index.entries]
        if len(missing) > _CAUGHT_UP:
            return False
        if missing:
            self.follow({name: view.matrix[view.row_of[name]] for name in missing})
        if not self._in_step:
            return False
        self._covered[view] = len(view.named)
        return True

    def drop(self, error: IndexBroken) -> None:
        """Do without the index, for a while or for good."""
        self._in_step = False
        if self._index is None or not self._index.shared:
            _LOG.warning("memories are compared exactly until the next opening: %s", error)
            self.close()
        elif isinstance(error, IndexChanged):
            self._again = self._clock()
        else:
            self._rest(self._index, error)

    def _rest(self, index: VectorIndex, error: IndexBroken) -> None:
        index.close()
        self._again = self._clock() + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        if not self._told:
            _LOG.warning(
                "memories are compared exactly until the index server answers again: %s", error
            )
        self._told = True

    def close(self) -> None:
        """Give the index free."""
        if self._index is not None:
            self._index.close()
        self._index, self._in_step, self._again = None, False, None
