"""The bank: what is remembered, and what of it is recalled for a task.

The store is the truth and holds the vectors; the index follows it and is made to agree on opening,
without embedding. Recall compares the instruction with the `when` of items that the generation
sees, in the task's namespace and those that are shared, whose tools are all at hand. A bank of some
thousands is compared exactly, which is faster than any index; of a larger one the index is asked for
more than is needed and the answer filtered here. Too little above the floor, or an index that lacks
something or fails, means an exact comparison again: the index saves time, and what it misses is what
HNSW misses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from instar import tracing
from instar.failpoints import reach
from instar.store import Store
from instar.types import (
    GenerationStatus,
    MemoryItem,
    MemoryKind,
    MemoryOp,
    Recalled,
    Recollection,
    Task,
    ToolSpec,
)
from memory import _traced as traced
from memory._asking import Vectors
from memory._follower import Follower, opened
from memory._guard import GUARDS, Guard
from memory._hybrid import Look, Words, fused, sizes
from memory._nearest import Nearest
from memory._rank import choose, settled
from memory._recall import recollection, within
from memory._record import check_embedder
from memory._standing import standing
from memory._view import Hit, View
from memory._views import Seen, Views
from memory._withhold import Withholding
from memory.duplicates import clustered
from memory.embed import Embedder, occasion
from memory.index import VectorIndex, entry_name

__all__ = ["GUARDS", "Bank", "Withholding"]

_AGENT_TOOLS = frozenset({"finish"})


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
        tokens: About so many are recalled at most.
        namespaces: Looked in besides the task's own.
        kinds: Only these are recalled; empty: all.
        near: Cosine from which two occasions are the same, to find items that say the same; None:
            nobody looks for them.
        lexical: Whether words are looked for besides likeness; None: unless the embedder goes by
            words itself. A second recall always looks for both.
        index_url: Of a Chroma server that holds the index instead of the folder.
        clock: Monotonic seconds, for when such a server is tried again.

    Raises:
        WorkspaceError: The store was written with another embedder.
        ConfigError: The URL is none.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        index_dir: Path | None,
        floor: float | None = None,
        k: int = 4,
        margin: float = 0.1,
        exact_below: int = 4_000,
        tokens: int = 2_000,
        namespaces: Sequence[str] = (),
        kinds: Collection[MemoryKind] = (),
        near: float | None = 0.95,
        lexical: bool | None = None,
        index_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.floor = embedder.floor if floor is None else floor
        self.k = k
        self.margin = margin
        self.tokens = tokens
        self.namespaces = tuple(namespaces)
        self.kinds = frozenset(kinds)
        self.near = near
        self.lexical = not embedder.lexical if lexical is None else lexical
        self._vectors = Vectors(lambda texts: self.embedder.embed(texts))
        self._guard = Guard(store)
        record = check_embedder(store, embedder)
        self._views = Views(store, record)
        index = opened(index_dir, index_url, record)
        self._follower = Follower(store, index, record, clock)
        self._nearest = Nearest(self._follower, self.floor, exact_below)
        self._words = Words(index_dir, self._in_use)
        self.reconcile()

    @property
    def index(self) -> VectorIndex | None:
        """The index while it can be used."""
        return self._follower.index

    def close(self) -> None:
        """Give the index free."""
        self._follower.close()
        self._words.close()

    def _in_use(self) -> Iterator[MemoryItem]:
        """What generations in use see, each version once."""
        used = (GenerationStatus.ACTIVE, GenerationStatus.CANDIDATE)
        heads = [None, *(g.id for g in self.store.generations() if g.status in used)]
        found = {(i.id, i.version): i for head in heads for i in self.store.items(head)}
        return (item for item in found.values() if item.in_use)

    # Writing

    def write(self, ops: Sequence[MemoryOp], generation: str, author: str = "") -> list[MemoryItem]:
        """Make changes in the name of a generation: the store first, then the index.

        Returns:
            The versions written, those that end an item too.

        Raises:
            ValueError: A change does not fit what the generation sees; nothing was written.
            UnknownName: There is no such generation.
            WorkspaceError: Another process has embedded the memories anew.
        """
        self.check_embedder()
        items = [op.item for op in ops if op.item is not None]
        embedded = self._vectors.of([occasion(i) for i in items])
        vectors = {i.id: v for i, v in zip(items, embedded, strict=True)}
        if self.near is not None and items:
            ops = clustered(ops, vectors, self._views.of(generation).view, self.near)
        with traced.writing(self.store, ops):
            written = self.store.apply(ops, generation, vectors, author)
        reach("memory.index")
        self._follower.follow({entry_name(i, v): v for i, v in vectors.items()})
        reach("memory.words")
        self._words.follow(written)
        return written

    def check_embedder(self) -> None:
        """See that vectors made now belong to those that are there.

        Raises:
            WorkspaceError: Another process has embedded the memories anew.
        """
        check_embedder(self.store, self.embedder)

    def undo(
        self, change: int, generation: str, author: str = "", force: bool = False
    ) -> list[MemoryItem]:
        """Take back one change in the name of a generation; see `Store.undo`."""
        with tracing.span("update_memory") as undone:
            written = self.store.undo(change, generation, author, force)
            undone.set({"gen_ai.memory.record.count": len(written)})
        # What came back may have left the index.
        self._follower.covers(self._views.of(generation).view)
        self._words.follow(written)
        return written

    def reconcile(self) -> None:
        """Make the index hold what generations in use see; it is rebuilt where it is damaged."""
        self._follower.reconcile()

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
        withholding: Withholding | None = None,
        about: str = "",
        before: Sequence[Recalled] = (),
        shed: bool = False,
    ) -> Recollection:
        """The memories for a task, best first; often none.

        Args:
            task: Its instruction is the query.
            tools: At hand in the episode; what needs others is left out.
            as_of: The generation that looks.
            seed: Of the episode; decides which memories are withheld.
            guard: Options of `GUARDS`.
            namespaces: Where to look instead of the task's own and the shared ones.
            withholding: What is chosen but not shown, and whether what is in quarantine is tried;
                None: all that is chosen is shown, and nothing in quarantine.
            about: What to look for instead of the instruction, when the episode is stuck.
            before: What it has recalled already and does not need again.
            shed: Whether what an adapter has made needless is recalled too.

        Raises:
            UnknownName: No such guard or generation.
        """
        Guard.check(guard)
        seen = self._views.of(as_of)
        places = namespaces or (task.namespace, *self.namespaces)
        at_hand = {t.name for t in tools} | _AGENT_TOOLS
        known = {m.unit or m.item for m in before}

        def wanted(item: MemoryItem) -> bool:
            return item.unit not in known and not self._guard.keeps_back(item, task, guard)

        tried = withholding is not None and withholding.tries
        text = about or task.instruction
        looked = Look(text, places, at_hand, tried, bool(about), shed, self.kinds)
        first = len(before) + 1
        with traced.searching(self.store, looked.text, as_of) as search:
            chosen = await self._chosen(seen, looked, wanted)
            within_room = within(self.tokens, chosen, before)
            found = recollection(within_room, first, withholding, seed, task.id)
            traced.recalled(search, found.memories)
        return found

    async def _chosen(
        self, seen: Seen, look: Look, wanted: Callable[[MemoryItem], bool]
    ) -> list[Hit]:
        """The best of what is near, and what always holds."""
        chosen: list[Hit] = []
        for n in sizes(self.k, look.stuck or self.lexical):
            hits, floor, margin = await self._hits(seen.view, look, n)
            fitting = [h for h in hits if wanted(h[0])]
            how = self.k, floor, margin, seen.worth
            chosen = choose(fitting, *how)
            if len(hits) < n or settled(hits[-1][1], fitting, chosen, *how):
                break
            if n > sizes(self.k, False)[0] and len(chosen) >= self.k:
                break
        rows = seen.view.rows(look.places, look.at_hand, True, look.tried, kinds=look.kinds)
        always = [seen.view.items[row] for row in rows]
        return chosen + [(i, 1.0) for i in standing(filter(wanted, always), seen.worth)]

    async def _hits(self, view: View, look: Look, n: int) -> tuple[list[Hit], float, float]:
        """What is near, with the floor and the margin that its scores are to be judged by."""
        mask = view.mask(look.places, look.at_hand, False, look.tried, look.shed, look.kinds)
        if not mask.any():
            return [], self.floor, self.margin
        known = self._vectors.known(look.text)
        vector = await asyncio.to_thread(self._vectors.asked, look.text) if known is None else known
        dense = self._nearest.among(view, vector, mask, n)
        if not (look.stuck or self.lexical):
            return dense, self.floor, self.margin
        found = await asyncio.to_thread(self._words.nearest, look, view, mask, n)
        return fused(dense, found, self.floor, self.margin), 0.0, 1.0

    def knows(self, namespaces: Sequence[str], as_of: str) -> bool:
        """Whether a generation sees anything in these namespaces or the shared ones."""
        view = self._views.of(as_of).view
        return bool(view.mask((*namespaces, *self.namespaces), None).any())

    def search(
        self, text: str, k: int = 10, as_of: str | None = None, kinds: Collection[MemoryKind] = ()
    ) -> list[Hit]:
        """The items nearest to a text, with their cosine, whatever their namespace and tools.

        Args:
            text: Compared with when the items are for.
            k: How many at most.
            as_of: The generation that looks; None: the last version of every item.
            kinds: Only these; empty: all.
        """
        view = self._views.of(as_of).view
        with traced.searching(self.store, text, as_of) as search:
            hits = view.scan(self._vectors.asked(text), view.rows(None, None, kinds=kinds), k)
            traced.found(search, hits)
        return hits

    def keep_worth(self, generation: str, units: Mapping[str, float]) -> None:
        """Keep what units are known to be worth, for the ranking in this generation.

        Args:
            units: Effect on success by unit, of those of which one is known.
        """
        self._views.keep_worth(generation, units)
