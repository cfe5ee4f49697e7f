"""The index on a Chroma server, which several processes use at once.

The workspace has one collection there, whose metadata name the embedder: one of another embedder is
thrown away, for the store has all that is in it. Whoever takes entries out first changes a mark in the
metadata; who asks looks at the mark afterwards, and so never takes an answer for whole from which
another process has taken something. Every request has a time limit, which Chroma's client lacks.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from instar._urls import EXAMPLE, split
from instar.errors import ConfigError
from memory.index import SPACE, IndexBroken, IndexChanged, Vector, VectorIndex, breaking

__all__ = ["ServerIndex", "collection_name", "server_version"]

_LOG = logging.getLogger(__name__)
_ANSWER_SECONDS = 2.0
_WRITE_SECONDS = 15.0
_MARK = "mark"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]+[a-zA-Z0-9]")


class ServerIndex(VectorIndex):
    """A collection on a server; make one with `VectorIndex.connect`."""

    shared: ClassVar[bool] = True
    batch: ClassVar[int] = 250

    def __init__(self, url: str, collection: str, embedder: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            split(url)
        except ValueError as error:
            raise ConfigError(
                f"memory.index_url {url!r} is no address of a server: write it as {EXAMPLE}"
            ) from error
        self._url, self._name = url, collection
        self._embedder = {f"embedder_{key}": value for key, value in embedder.items()}
        self._mark = ""

    def refresh(self) -> None:
        """Learn what it holds by now; the collection is made where there is none.

        Raises:
            IndexBroken: The server does not answer, or refuses.
        """
        with breaking():
            if self._client is None:
                self._client = _connected(self._url)
            self._allow(_WRITE_SECONDS)
            self._collection = self._own_collection()
            # The mark is older than the list, so that what goes meanwhile is noticed.
            self._mark = str((self._collection.metadata or {}).get(_MARK, ""))
            self.entries = set(self._collection.get(include=[])["ids"])

    def _allow(self, seconds: float) -> None:
        """Limit the time for the next requests; the client has no public way to say so."""
        self._client._server._session.timeout = seconds

    def _own_collection(self) -> Any:
        found = self._made()
        if self._embedder.items() <= (found.metadata or {}).items():
            return found
        _LOG.info("the collection %s is of another embedder and made anew", self._name)
        self._client.delete_collection(self._name)
        return self._made()

    def _made(self) -> Any:
        """The collection; metadata count only where it is made, one that is there keeps its own."""
        return self._client.get_or_create_collection(
            self._name,
            metadata={**self._embedder, _MARK: uuid4().hex},
            configuration=SPACE,
            embedding_function=None,
        )

    def sync(self, vectors: Mapping[str, Vector]) -> None:
        """Make the collection hold exactly these entries, of those known since `refresh`.

        Raises:
            IndexBroken: The server does not answer, or refuses.
        """
        if self._collection is None:
            self.refresh()
        surplus = sorted(self.entries - vectors.keys())
        if surplus:
            with breaking():
                self._allow(_WRITE_SECONDS)
                self._mark = uuid4().hex
                self._collection.modify(metadata={**self._embedder, _MARK: self._mark})
            self._remove(surplus)
        self.add(vectors)

    def _put(self, names: list[str], vectors: NDArray[np.float32]) -> None:
        self._allow(_WRITE_SECONDS)
        # Another process may have put them there.
        self._collection.upsert(ids=names, embeddings=vectors)

    def query(self, vector: Vector, n: int) -> list[tuple[str, float]]:
        """The nearest entries and their cosine, nearest first.

        Raises:
            IndexBroken: The server does not answer, or refuses.
            IndexChanged: Another process took entries out since `refresh`.
        """
        with breaking():
            self._allow(_ANSWER_SECONDS)
        found = super().query(vector, n)
        with breaking():
            there = self._client.get_collection(self._name, embedding_function=None)
        if (there.metadata or {}).get(_MARK, "") != self._mark:
            raise IndexChanged(f"another process took entries out of {self._name}")
        return found

    def close(self) -> None:
        """Let go of the connection; `refresh` makes another."""
        self.entries = set()
        with suppress(IndexBroken):
            self._disconnect()


def server_version(url: str) -> str:
    """What the server says that it is.

    Raises:
        IndexBroken: It does not answer.
    """
    with breaking():
        client = _connected(url)
        version = str(client.get_version())
        client.close()
    return version


def _connected(url: str) -> Any:
    """Chroma's client; making it already asks the server, without a time limit of its own."""
    import chromadb
    from chromadb.config import Settings

    parts = split(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    # Host and port are given twice, because Chroma else takes them from the environment.
    settings = Settings(
        anonymized_telemetry=False, chroma_server_host=url, chroma_server_http_port=port
    )

    def connect() -> Any:
        return chromadb.HttpClient(host=url, port=port, ssl=secure, settings=settings)

    return _in_time(connect, _ANSWER_SECONDS)


def _in_time(make: Callable[[], Any], seconds: float) -> Any:
    """What is made, waited for so long only; the thread that makes it goes on by itself.

    Raises:
        TimeoutError: It took longer.
    """
    made: Future[Any] = Future()

    def work() -> None:
        try:
            made.set_result(make())
        # Whatever it is is raised where the result is asked for.
        except Exception as error:  # noqa: BLE001
            made.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        return made.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {seconds:g} s") from error


def collection_name(folder: Path) -> str:
    """The name of this workspace's collection, drawn once and kept in a folder.

    A copy of a workspace has the name too: it then shares the collection with the original, which
    is slow where they differ, but not wrong.

    Raises:
        OSError: It cannot be kept there.
        ValueError: What stands there is no name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "collection"
    if not kept.exists():
        fresh = folder / f"collection.{uuid4().hex[:8]}"
        fresh.write_text(f"instar-{uuid4().hex[:16]}\n")
        # Of two processes that begin at once one is first, and the other takes its name.
        with suppress(FileExistsError):
            os.link(fresh, kept)
        fresh.unlink()
    name = kept.read_text().strip()
    if not _NAME.fullmatch(name):
        raise ValueError(f"{kept} holds no name of a collection: remove it")
    return name
