"""The vector index: embedded Chroma beside the store, which can always be rebuilt from it.

Embedded Chroma is not safe for several processes, so one process owns the folder by a lock on a
file; the lock goes with the process, however it ends. Entries are named after item and vector, not
after versions: a version that leaves the vector alone costs nothing here. No metadata is kept,
because a `where` is linear in Chroma and what is visible is decided by whoever asks.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

__all__ = ["IndexBroken", "VectorIndex", "entry_name"]

_LOG = logging.getLogger(__name__)
_BATCH = 1000


class IndexBroken(Exception):
    """The index cannot be used; nothing is lost, for the store has all of it."""


def entry_name(item: str, vector: Sequence[float]) -> str:
    """The name of an entry: the item, and a hash of its vector as 32-bit floats."""
    return f"{item}.{sha256(struct.pack(f'<{len(vector)}f', *vector)).hexdigest()[:12]}"


@contextmanager
def _breaking() -> Iterator[None]:
    try:
        yield
    # Chroma raises its own errors, those of its storage and plain ValueErrors for the same damage.
    except Exception as error:
        raise IndexBroken(str(error)) from error


class VectorIndex:
    """An index that this process owns; make one with `VectorIndex.open`."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock
        self._client: Any = None
        self._collection: Any = None
        self.entries: set[str] = set()

    @classmethod
    def open(cls, folder: Path) -> VectorIndex | None:
        """Own the index in a folder, or None where another owns it or it cannot be written."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "owner.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            _LOG.warning("no vector index in %s, memories are scanned instead: %s", folder, error)
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return None
        return cls(folder, lock)

    def sync(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Make the index hold exactly these entries; one that is damaged is built anew.

        Raises:
            IndexBroken: It cannot be built either.
        """
        try:
            self._sync(vectors)
        except IndexBroken as error:
            _LOG.warning("the vector index in %s is rebuilt: %s", self._folder, error)
            self._discard()
            self._sync(vectors)

    def _sync(self, vectors: Mapping[str, Sequence[float]]) -> None:
        with _breaking():
            if self._collection is None:
                self._connect()
            surplus = sorted(self.entries - set(vectors))
            for start in range(0, len(surplus), _BATCH):
                self._collection.delete(ids=surplus[start : start + _BATCH])
            self.entries -= set(surplus)
        self.add(vectors)
        if vectors:
            # Chroma reads the graph at the first question only: ask, so that damage shows now.
            self.query(next(iter(vectors.values())), 1)

    def _connect(self) -> None:
        import chromadb
        from chromadb.config import Settings

        found = sorted(self._folder.glob("chroma-*"))
        place = found[0] if found else self._folder / f"chroma-{uuid4().hex[:8]}"
        settings = Settings(anonymized_telemetry=False)
        self._client = chromadb.PersistentClient(path=str(place), settings=settings)
        self._collection = self._client.get_or_create_collection(
            "memories",
            configuration={"hnsw": {"space": "cosine"}},
            embedding_function=None,
        )
        self.entries = set(self._collection.get(include=[])["ids"])

    def _discard(self) -> None:
        # A new folder name each time: Chroma caches what it opened by path for the whole process.
        self._disconnect()
        for old in self._folder.glob("chroma-*"):
            shutil.rmtree(old, ignore_errors=True)
        self.entries = set()

    def add(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Add entries; those that are there stay.

        Raises:
            IndexBroken: They could not all be added.
        """
        missing = [name for name in vectors if name not in self.entries]
        for start in range(0, len(missing), _BATCH):
            names = missing[start : start + _BATCH]
            with _breaking():
                self._collection.add(ids=names, embeddings=[list(vectors[n]) for n in names])
            self.entries.update(names)

    def query(self, vector: Sequence[float], n: int) -> list[tuple[str, float]]:
        """The nearest entries and their cosine, nearest first.

        Raises:
            IndexBroken: It could not be asked.
        """
        if not self.entries:
            return []
        with _breaking():
            found = self._collection.query(
                query_embeddings=[list(vector)],
                n_results=min(n, len(self.entries)),
                include=["distances"],
            )
            pairs = zip(found["ids"][0], found["distances"][0], strict=True)
            return [(name, 1.0 - float(distance)) for name, distance in pairs]

    def _disconnect(self) -> None:
        client, self._client, self._collection = self._client, None, None
        if client is not None:
            with _breaking():
                client.close()

    def close(self) -> None:
        """Let another process own it."""
        try:
            self._disconnect()
        except IndexBroken as error:
            _LOG.warning("the vector index did not close cleanly: %s", error)
        os.close(self._lock)
