"""The index in the workspace: Chroma embedded in this process.

Embedded Chroma is not safe for several processes, so one process owns the folder by a lock on a
file; the lock goes with the process, however it ends. What a kill in the middle of Chroma's writing
leaves is not read but built anew, see `memory._seal`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from memory._seal import Seal
from memory.index import SPACE, IndexBroken, Vector, VectorIndex, breaking

__all__ = ["EmbeddedIndex"]

_LOG = logging.getLogger(__name__)


class EmbeddedIndex(VectorIndex):
    """An index that this process owns; make one with `VectorIndex.open`."""

    def __init__(self, folder: Path, lock: int) -> None:
        super().__init__()
        self._folder = folder
        self._lock = lock
        self._seal = Seal(folder)

    @classmethod
    def own(cls, folder: Path) -> EmbeddedIndex | None:
        """The index in a folder, or None where another owns it or it cannot be written."""
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

    def refresh(self) -> None:
        """Nothing: nobody else writes into it."""

    def sync(self, vectors: Mapping[str, Vector]) -> None:
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

    def _sync(self, vectors: Mapping[str, Vector]) -> None:
        if self._collection is None:
            with breaking():
                if not self._seal.holds():
                    raise IndexBroken("its files are not as they were left")
                self._connect()
        self._remove(sorted(self.entries - vectors.keys()))
        self.add(vectors)
        if vectors:
            # Chroma reads the graph at the first question only: ask, so that damage shows now.
            self.query(next(iter(vectors.values())), 1)
        with breaking():
            self._seal.renew()

    def _connect(self) -> None:
        import chromadb
        from chromadb.config import Settings

        found = sorted(self._folder.glob("chroma-*"))
        place = found[0] if found else self._folder / f"chroma-{uuid4().hex[:8]}"
        settings = Settings(anonymized_telemetry=False)
        self._client = chromadb.PersistentClient(path=str(place), settings=settings)
        self._collection = self._client.get_or_create_collection(
            "memories", configuration=SPACE, embedding_function=None
        )
        self.entries = set(self._collection.get(include=[])["ids"])

    def _discard(self) -> None:
        # A new folder name each time: Chroma caches what it opened by path for the whole process.
        self._disconnect()
        for old in self._folder.glob("chroma-*"):
            shutil.rmtree(old, ignore_errors=True)
        self.entries = set()

    def _put(self, names: list[str], vectors: NDArray[np.float32]) -> None:
        self._collection.add(ids=names, embeddings=vectors)
        self._seal.renew()

    def close(self) -> None:
        """Let another process own it."""
        try:
            self._disconnect()
        except IndexBroken as error:
            _LOG.warning("the vector index did not close cleanly: %s", error)
        os.close(self._lock)
