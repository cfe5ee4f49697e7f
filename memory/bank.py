"""The bank: what is remembered, and what of it is recalled for a task.

The store is the truth and holds the vectors; the index follows it and is made to agree on opening,
without embedding. Recall compares the instruction with the `when` of items that the generation
sees, in the task's namespace, whose tools are all at hand. A bank of some thousands is compared
exactly, which is faster than any index; of a larger one the index is asked for more than is needed
and the answer filtered here. Too little above the floor, or an index that lacks something or fails,
means an exact comparison again: the index saves time, and what it misses is what HNSW misses.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.errors import UnknownName, WorkspaceError
from instar.failpoints import reach
from instar.store import Store
from instar.types import (
    GenerationStatus,
    MemoryItem,
    MemoryOp,
    Recalled,
    Task,
    ToolSpec,
)
from memory._rank import choose
from memory._view import Hit, View
from memory.embed import Embedder
from memory.index import IndexBroken, VectorIndex, entry_name

__all__ = ["GUARDS", "Bank"]

_LOG = logging.getLogger(__name__)
_AGENT_TOOLS = frozenset({"finish"})
_OVERFETCH = 16
_CACHED_TEXTS = 8192
_CACHED_VIEWS = 4

GUARDS = frozenset({"same_task", "same_family"})
"""Options of evaluation: leave out what was learnt from the same task, or from its family."""


class Bank:
    """Memories in a store, with an index beside it.

    Args:
        store: Open; it stays the caller's to close.
        embedder: The one that the store was written with.
        index_dir: Folder of the index; None: always compare exactly.
        floor: Cosine below which nothing is recalled; None: the embedder's own.
        k: At most so many are recalled.
        margin: How far below the nearest a memory may lie.
        exact_below: So many rows are compared exactly rather than asked of the index.

    Raises:
        WorkspaceError: The store was written with another embedder.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        index_dir: Path | None,
        floor: float | None = None,
        k: int = 4,
        margin: float = 0.1,
        exact_below: int = 10_000,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.floor = embedder.floor if floor is None else floor
        self.k = k
        self.margin = margin
        self.exact_below = exact_below
        self._texts: dict[str, list[float]] = {}
        self._learnt: dict[str, tuple[str, str]] = {}
        self._views: dict[str | None, tuple[Any, View]] = {}
        self._check_embedder()
        self.index = VectorIndex.open(index_dir) if index_dir else None
        self.reconcile()

    def close(self) -> None:
        """Give the index free."""
        if self.index is not None:
            self.index.close()
            self.index = None

    def _check_embedder(self) -> None:
        ours = {
            "name": self.embedder.name,
            "dimension": self.embedder.dimension,
            "weights_hash": self.embedder.weights_hash,
        }
        theirs = self.store.embedder()
        if theirs is None:
            self.store.set_embedder(ours)
        elif theirs != ours:
            raise WorkspaceError(
                f"This workspace's memories were embedded by {theirs.get('name')!r}"
                f" ({theirs.get('weights_hash')}), not by {ours['name']!r} ({ours['weights_hash']}):"
                f" set memory.embedder to {theirs.get('name')!r}, or start another workspace with"
                " instar init"
            )

    # Writing

    def write(self, ops: Sequence[MemoryOp], generation: str, author: str = "") -> list[MemoryItem]:
        """Make changes in the name of a generation: the store first, then the index.

        Returns:
            The versions written, those that end an item too.

        Raises:
            ValueError: A change does not fit what the generation sees; nothing was written.
            UnknownName: There is no such generation.
        """
        items = [op.item for op in ops if op.item is not None]
        embedded = self._embed([_key(i) for i in items])
        vectors = {i.id: v for i, v in zip(items, embedded, strict=True)}
        written = self.store.apply(ops, generation, vectors, author)
        reach("memory.index")
        self._views.clear()
        self._follow({entry_name(i, v): v for i, v in vectors.items()})
        return written

    def _follow(self, entries: dict[str, list[float]]) -> None:
        if self.index is None:
            return
        try:
            self.index.add(entries)
        except IndexBroken as error:
            self._drop_index(error)

    def reconcile(self) -> None:
        """Make the index hold what generations in use see; it is rebuilt where it is damaged."""
        if self.index is None:
            return
        used = (GenerationStatus.ACTIVE, GenerationStatus.CANDIDATE)
        heads = [None, *(g.id for g in self.store.generations() if g.status in used)]
        entries = {
            entry_name(item, vector): vector
            for head in heads
            for (item, _), vector in self.store.vectors(head).items()
        }
        try:
            self.index.sync(entries)
        except IndexBroken as error:
            self._drop_index(error)

    def _drop_index(self, error: IndexBroken) -> None:
        _LOG.warning("memories are compared exactly until the next opening: %s", error)
        self.close()

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        missing = [t for t in dict.fromkeys(texts) if t not in self._texts]
        fresh = dict(zip(missing, self.embedder.embed(missing), strict=True)) if missing else {}
        known = self._texts | fresh
        self._texts = known if len(known) <= _CACHED_TEXTS else fresh
        return [known[t] for t in texts]

    # Reading

    async def recall(
        self,
        task: Task,
        tools: Sequence[ToolSpec],
        *,
        as_of: str,
        seed: int,
        guard: frozenset[str] = frozenset(),
        namespaces: Sequence[str] | None = None,
        withhold: float = 0.0,
    ) -> list[Recalled]:
        """The memories for a task, best first; often none.

        Args:
            task: Its instruction is the query.
            tools: At hand in the episode; what needs others is left out.
            as_of: The generation that looks.
            seed: Of the episode; decides which memories are withheld.
            guard: Options of `GUARDS`.
            namespaces: Where to look instead of the task's own.
            withhold: Probability with which each memory is chosen but not shown.

        Raises:
            UnknownName: No such guard or generation.
        """
        for name in sorted(guard - GUARDS):
            raise UnknownName("guard", name, GUARDS)
        view = self._view(as_of)
        at_hand = {t.name for t in tools} | _AGENT_TOOLS
        rows = view.rows(namespaces or [task.namespace], at_hand)
        if not len(rows):
            return []
        vector = (await asyncio.to_thread(self._embed, [task.instruction]))[0]
        hits = [
            h for h in self._nearest(view, vector, rows) if not self._kept_back(h[0], task, guard)
        ]
        chosen = choose(hits, self.k, self.floor, self.margin)
        return [
            _recalled(place, hit, withhold, random.Random(f"{seed}/{task.id}/{hit[0].id}").random())
            for place, hit in enumerate(chosen, 1)
        ]

    def search(self, text: str, k: int = 10, as_of: str | None = None) -> list[Hit]:
        """The items nearest to a text, with their cosine, whatever their namespace and tools.

        Args:
            text: Compared with when the items are for.
            k: How many at most.
            as_of: The generation that looks; None: the last version of every item.
        """
        view = self._view(as_of)
        return view.scan(self._embed([text])[0], view.rows(None, None), k)

    def _view(self, as_of: str | None) -> View:
        # Another process may have written: the newest change in the log says so.
        stamp = self.store.memory_log(1)
        held = self._views.get(as_of)
        if held is not None and held[0] == stamp:
            return held[1]
        view = View(self.store.items(as_of), self.store.vectors(as_of), self.embedder.dimension)
        self._views.pop(as_of, None)
        while len(self._views) >= _CACHED_VIEWS:
            self._views.pop(next(iter(self._views)))
        self._views[as_of] = (stamp, view)
        return view

    def _nearest(self, view: View, vector: Sequence[float], rows: NDArray[np.int64]) -> list[Hit]:
        wanted = self.k * _OVERFETCH
        if self.index is not None and self.exact_below <= len(rows) >= len(view) / 4:
            hits = self._asked(self.index, view, vector, set(rows.tolist()), wanted)
            if hits is not None:
                return hits
        return view.scan(vector, rows, wanted)

    def _asked(
        self,
        index: VectorIndex,
        view: View,
        vector: Sequence[float],
        rows: Collection[int],
        wanted: int,
    ) -> list[Hit] | None:
        """What the index finds among the rows; None where that cannot be relied on."""
        if not view.row_of.keys() <= index.entries:
            return None
        try:
            found = index.query(vector, wanted)
        except IndexBroken as error:
            self._drop_index(error)
            return None
        seen = [(view.row_of[name], c) for name, c in found if name in view.row_of]
        hits = [(view.items[row], cosine) for row, cosine in seen if row in rows]
        exhausted = bool(found) and found[-1][1] < self.floor
        return hits if exhausted or len(hits) >= wanted // 2 else None

    def _kept_back(self, item: MemoryItem, task: Task, guard: frozenset[str]) -> bool:
        if not guard or not item.sources:
            return False
        unknown = [s for s in item.sources if s not in self._learnt]
        for t in self.store.trajectories(ids=unknown) if unknown else ():
            self._learnt[t.id] = (t.task.id, t.task.family)
        learnt = [self._learnt[s] for s in item.sources if s in self._learnt]
        return ("same_task" in guard and any(id == task.id for id, _ in learnt)) or (
            "same_family" in guard and any(family == task.family for _, family in learnt)
        )


def _key(item: MemoryItem) -> str:
    """The text by which an item is found."""
    return item.when if item.title in ("", item.when) else f"{item.when} {item.title}"


def _recalled(place: int, hit: Hit, withhold: float, draw: float) -> Recalled:
    item, cosine = hit
    return Recalled(
        label=f"m{place}",
        item=item.id,
        version=item.version,
        title=item.title,
        when=item.when,
        content=item.content,
        kind=item.kind,
        shown=draw >= withhold,
        propensity=1.0 - withhold,
        relevance=min(1.0, cosine),
    )
