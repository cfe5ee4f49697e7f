"""The vector index: a Chroma collection beside the store, which can always be rebuilt from it.

Chroma embedded in the process has its files in the workspace (`open`); a Chroma server keeps them
itself and serves several processes (`connect`). Entries are named after item and vector, not after
versions: a version that leaves the vector alone costs nothing here. No metadata is kept with them,
because a `where` is linear in Chroma and what is visible is decided by whoever asks.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SPACE",
    "IndexBroken",
    "IndexChanged",
    "Vector",
    "VectorIndex",
    "breaking",
    "entry_name",
    "packed_name",
]

Vector = Sequence[float] | NDArray[np.float32]
_SHOWN = 200
SPACE = {"hnsw": {"space": "cosine"}}


class IndexBroken(Exception):
    """The index cannot be used; nothing is lost, for the store has all of it."""


class IndexChanged(IndexBroken):
    """Another process took entries out of it: what it is thought to hold must be read again."""


def entry_name(item: str, vector: Sequence[float]) -> str:
    """The name of an entry: the item, and a hash of its vector as 32-bit floats."""
    return packed_name(item, struct.pack(f"<{len(vector)}f", *vector))


def packed_name(item: str, vector: bytes) -> str:
    """`entry_name` of a vector as stored."""
    return f"{item}.{sha256(vector).hexdigest()[:12]}"


@contextmanager
def breaking() -> Iterator[None]:
    """Whatever Chroma fails with becomes an `IndexBroken`."""
    try:
        yield
    except IndexBroken:
        raise
    # Chroma raises its own errors, those of its storage, of HTTP and plain ValueErrors alike.
    except Exception as error:
        # Some of its messages hold whole vectors.
        told = " ".join(str(error).split())[:_SHOWN]
        raise IndexBroken(told or type(error).__name__) from error


class VectorIndex(ABC):
    """An index; make one with `VectorIndex.open` or `VectorIndex.connect`.

    Attributes:
        shared: Whether other processes write into it too.
        entries: Names of what it holds, as far as is known here.
    """

    shared: ClassVar[bool] = False
    batch: ClassVar[int] = 1000

    def __init__(self) -> None:
        self._client: Any = None
        self._collection: Any = None
        self.entries: set[str] = set()

    @staticmethod
    def open(folder: Path) -> VectorIndex | None:
        """Own the index in a folder, or None where another owns it or it cannot be written."""
        from memory._chroma_embedded import EmbeddedIndex

        return EmbeddedIndex.own(folder)

    @staticmethod
    def connect(url: str, collection: str, embedder: Mapping[str, Any]) -> VectorIndex:
        """An index on a server, which is asked for the first time by `refresh` or `sync`.

        Args:
            url: Of the Chroma server.
            collection: The name that this workspace has there.
            embedder: Its record in the store; a collection of another one is made anew.

        Raises:
            ConfigError: The URL is none.
        """
        from memory._chroma_server import ServerIndex

        return ServerIndex(url, collection, embedder)

    @abstractmethod
    def refresh(self) -> None:
        """Learn what it holds by now.

        Raises:
            IndexBroken: It could not be asked.
        """

    @abstractmethod
    def sync(self, vectors: Mapping[str, Vector]) -> None:
        """Make the index hold exactly these entries.

        Raises:
            IndexBroken: It could not be done.
        """

    def add(self, vectors: Mapping[str, Vector]) -> None:
        """Add entries; those that are there stay.

        Raises:
            IndexBroken: They could not all be added.
        """
        missing = [name for name in vectors if name not in self.entries]
        for start in range(0, len(missing), self.batch):
            names = missing[start : start + self.batch]
            with breaking():
                self._put(names, np.asarray([vectors[n] for n in names], dtype=np.float32))
            self.entries.update(names)

    @abstractmethod
    def _put(self, names: list[str], vectors: NDArray[np.float32]) -> None:
        """Add entries that are not there, as far as is known."""

    def _remove(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), self.batch):
            with breaking():
                self._collection.delete(ids=list(names[start : start + self.batch]))
        self.entries -= set(names)

    def query(self, vector: Vector, n: int) -> list[tuple[str, float]]:
        """The nearest entries and their cosine, nearest first.

        Raises:
            IndexBroken: It could not be asked.
        """
        if not self.entries:
            return []
        with breaking():
            found = self._collection.query(
                query_embeddings=np.asarray([vector], dtype=np.float32),
                n_results=min(n, len(self.entries)),
                include=["distances"],
            )
            pairs = zip(found["ids"][0], found["distances"][0], strict=True)
            return [(name, 1.0 - float(distance)) for name, distance in pairs]

    def _disconnect(self) -> None:
        client, self._client, self._collection = self._client, None, None
        if client is not None:
            with breaking():
                client.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""
