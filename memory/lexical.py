"""The lexical index: an inverted index (SQLite FTS5) beside the store, which it follows.

The vector index knows likeness; this one knows the very word: an error text, an identifier, a
number. It holds title, when and content of versions in a file of its own, which can be thrown away
and built anew. Several processes may use it at once.

A word of a question carries information, log(1 + (N - n + .5) / (n + .5)) where n of N items hold
it. The score of an item is the share of the question's information that it covers, so that 1.0 is
every word, whatever the size of the bank, and a floor makes sense. The order is that of BM25
(Robertson and Zaragoza 2009). SQLite's own ranking takes a microsecond a match and word, a hundred
milliseconds for a question of thirty words: here it gives only the rows of each word, rarest first
until enough are read, numpy adds up, and the best of them are scored by all words.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem
from memory._asked_words import AskedWords
from memory._postings import Entry, Name, Postings, damaged
from memory._words import asked, words_of
from memory.index import IndexBroken

__all__ = ["Found", "LexicalIndex"]

_LOG = logging.getLogger(__name__)
_FILE = "lexical.db"
_BATCH = 1000
_WORDS = 64
_POSTINGS, _AT_LEAST = 30_000, 2
_CANDIDATES, _RESCORED = 2048, 64
_K1, _B = 1.2, 0.75

Found = tuple[str, int, float]
"""Id and version of an item, and the share of the question's information that it covers."""


class LexicalIndex:
    """An open index; make one with `LexicalIndex.open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._postings = Postings(path)
        self._forget()

    @classmethod
    def open(cls, folder: Path) -> LexicalIndex | None:
        """Open the index in a folder, made anew where it is damaged; None where that cannot be."""
        path = folder / _FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                return cls(path)
            except sqlite3.Error as error:
                if not damaged(error):
                    raise
                _LOG.warning("the lexical index in %s is rebuilt: %s", folder, error)
                _discard(path)
                return cls(path)
        except (OSError, sqlite3.Error) as error:
            _LOG.warning("no lexical index in %s, words are not looked for: %s", folder, error)
            return None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._postings.close()

    def _forget(self) -> None:
        self._newest = self._count = self._total = 0
        self._place_of = np.zeros(0, dtype=np.int64)
        self._asked = AskedWords(self._postings)

    # Writing

    def sync(self, read: Callable[[], Iterable[MemoryItem]]) -> None:
        """Make the index hold exactly these items; one that is damaged is built anew.

        Args:
            read: Gives the items. It is called while no other process can write here, so that what
                another has just stored and added is not taken for surplus.

        Raises:
            IndexBroken: It cannot be built either.
        """
        with self._lock, _breaking():
            try:
                self._sync(read)
            except sqlite3.Error as error:
                if not damaged(error):
                    raise
                _LOG.warning("the lexical index in %s is rebuilt: %s", self._path.parent, error)
                self._postings.close()
                _discard(self._path)
                self._postings = Postings(self._path)
                self._sync(read)

    def _sync(self, read: Callable[[], Iterable[MemoryItem]]) -> None:
        self._forget()
        self._postings.check()
        with self._postings.transaction("IMMEDIATE"):
            items = {(i.id, i.version): i for i in read()}
            held = self._postings.checksums()
            same = {n for n, checksum in held.items() if n in items and checksum == _sum(items[n])}
            surplus = iter([name for name in held if name not in same])
            while names := list(islice(surplus, _BATCH)):
                self._postings.remove(names)
            missing = iter([item for name, item in items.items() if name not in same])
            while some := list(islice(missing, _BATCH)):
                self._postings.add([_entry(item) for item in some])
            if len(held) != len(same) or len(items) - len(same) > _BATCH:
                self._postings.tidy()

    def add(self, items: Iterable[MemoryItem]) -> None:
        """Add items; those that are there stay.

        Raises:
            IndexBroken: They could not all be added.
        """
        rest = iter(items)
        while some := {(i.id, i.version): i for i in islice(rest, _BATCH)}:
            with self._lock, _breaking(), self._postings.transaction("IMMEDIATE"):
                there = self._postings.holds(some)
                entries = [_entry(item) for name, item in some.items() if name not in there]
                if entries:
                    self._postings.add(entries)

    # Reading

    def query(
        self,
        text: str,
        n: int,
        *,
        namespaces: Collection[str] | None = None,
        tools: Collection[str] | None = None,
        keep: Callable[[str, int], bool] | None = None,
    ) -> list[Found]:
        """The versions that cover most of what a text says, by BM25, best first; often none.

        Args:
            text: Anything; it is taken as words, never as a query language.
            n: How many at most.
            namespaces: Only items of these; None: of all.
            tools: Only items whose tools are all among these; None: whatever they need.
            keep: Only items for whose id and version this is true.

        Raises:
            IndexBroken: It could not be asked.
        """
        if n < 1 or not (words := asked(text)):
            return []
        with self._lock, _breaking(), self._postings.transaction():
            self._catch_up()
            there = self._asked.frequencies(words)
            weights, whole = self._weighed(words, there)
            rows = self._candidates(weights, there, self._allowed(namespaces, tools))
            found = self._kept(rows, keep, max(_RESCORED, 2 * n))
        scored = [self._scored(name, said, weights, whole) for name, said in found]
        scored.sort(key=lambda s: (-s[0], -s[1][2], s[1][:2]))
        return [hit for _, hit in scored[:n]]

    def _catch_up(self) -> None:
        """Follow what was added, by whomever. What was removed still counts, and is never found."""
        newest = self._postings.newest()
        if newest < self._newest:
            self._forget()
        if newest == self._newest:
            return
        added = self._postings.since(self._newest)
        grown = np.zeros(newest + 1, dtype=np.int64)
        grown[: len(self._place_of)] = self._place_of
        grown[added[:, 0]] = added[:, 1]
        self._place_of, self._newest = grown, newest
        self._asked = AskedWords(self._postings)
        self._count += len(added)
        self._total += int(added[:, 2].sum())

    def _weighed(
        self, words: Mapping[str, bool], there: Mapping[str, int]
    ) -> tuple[dict[str, float], float]:
        """Information of the words that items hold, rarest first, and that of the whole question."""

        def information(count: int) -> float:
            return math.log1p((max(self._count, count) - count + 0.5) / (count + 0.5))

        rarest = sorted(there, key=lambda w: (there[w], w))[:_WORDS]
        weights = {word: information(there[word]) for word in rarest}
        # A question about something else must score low: words that nobody holds count as well.
        unknown = sum(counts and word not in there for word, counts in words.items())
        lost = min(unknown, _WORDS - len(weights)) * information(0)
        return weights, sum(weights.values()) + lost

    def _allowed(
        self, namespaces: Collection[str] | None, tools: Collection[str] | None
    ) -> NDArray[np.bool_] | None:
        if namespaces is None and tools is None:
            return None
        places = self._postings.places()
        allowed = np.zeros(max(places, default=0) + 1, dtype=np.bool_)
        for place, (namespace, needed) in places.items():
            allowed[place] = (namespaces is None or namespace in namespaces) and (
                tools is None or set(needed) <= set(tools)
            )
        return allowed

    def _candidates(
        self,
        weights: Mapping[str, float],
        there: Mapping[str, int],
        allowed: NDArray[np.bool_] | None,
    ) -> list[int]:
        """Rows by the information of their rare words, most first."""
        covered = np.zeros(self._newest + 1, dtype=np.float32)
        read = 0
        for at, (word, weight) in enumerate(weights.items()):
            read += there[word]
            # Common words say little and cost most; two are read where there are none but such.
            if read > _POSTINGS and at >= _AT_LEAST:
                break
            covered[self._asked.rows(word)] += weight
        if allowed is not None:
            covered *= allowed[self._place_of]
        rows = np.flatnonzero(covered)
        if len(rows) > _CANDIDATES:
            values = covered[rows]
            least = np.partition(values, -_CANDIDATES)[-_CANDIDATES]
            rows = rows[values >= least]
        # Equal ones by age, so that the answer does not depend on the machine.
        best = rows[np.argsort(-covered[rows], kind="stable")][:_CANDIDATES]
        return [int(row) for row in best]

    def _kept(
        self, rows: Sequence[int], keep: Callable[[str, int], bool] | None, wanted: int
    ) -> list[tuple[Name, list[str]]]:
        kept: list[tuple[Name, list[str]]] = []
        for start in range(0, len(rows), wanted):
            part = rows[start : start + wanted]
            entries = self._postings.entries(part)
            found = [entries[row] for row in part if row in entries]
            kept += [e for e in found if keep is None or keep(*e[0])]
            if len(kept) >= wanted:
                break
        return kept[:wanted]

    def _scored(
        self, name: Name, said: Sequence[str], weights: Mapping[str, float], whole: float
    ) -> tuple[float, Found]:
        times = Counter(word for word in said if word in weights)
        length = 1 - _B + _B * len(said) * self._count / max(1, self._total)
        rank = sum(weights[w] * n * (_K1 + 1) / (n + _K1 * length) for w, n in times.items())
        return rank, (*name, min(1.0, sum(weights[w] for w in times) / whole))


def _entry(item: MemoryItem) -> Entry:
    words = words_of(f"{item.title}\n{item.when}\n{item.content}")
    return Entry((item.id, item.version), _place(item), _sum(item), words)


def _place(item: MemoryItem) -> tuple[str, tuple[str, ...]]:
    return item.namespace, tuple(sorted(set(item.tools)))


def _sum(item: MemoryItem) -> int:
    return zlib.crc32(repr((item.title, item.when, item.content, _place(item))).encode())


def _discard(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _breaking() -> Iterator[None]:
    try:
        yield
    # An index that is out of range: words of entries that are not there.
    except (sqlite3.Error, OSError, IndexError) as error:
        raise IndexBroken(str(error)) from error
