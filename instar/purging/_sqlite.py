"""SQLite files in a purge: nobody else has them open, and no page or log keeps what was deleted.

Rows of a deleted record stay in free pages, in the write-ahead log and in what was written before.
So deletions run with ``secure_delete``, the file is written anew by ``VACUUM``, and leaving the
write-ahead mode, which works only while nobody else has the file open, takes the log away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

from instar.errors import Busy, WorkspaceError
from instar.purging._target import Target, Words

__all__ = [
    "Threads",
    "alone",
    "episodes_of",
    "forget_threads",
    "merged",
    "sessions",
    "shrink",
    "threads_with",
    "traces",
]

_PATIENCE_SECONDS = 1.0
_MAGIC = b"SQLite format 3\0"
_PART, _OVERLAP = 2**24, 2**14
_LOOP = "evolve.checkpoints"
"""Says only where a run stood, and may be lost without loss."""

Threads = dict[str, list[str]]
"""Sessions by the name of the file that keeps their checkpoints."""


@contextmanager
def alone(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that nobody else has open; it has no write-ahead log meanwhile.

    Raises:
        Busy: Another process has it open.
        WorkspaceError: It cannot be written.
    """
    try:
        with closing(sqlite3.connect(path, _PATIENCE_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
            connection.execute("PRAGMA secure_delete = ON")
            yield connection
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        busy = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        why = "another process has it open; end it" if busy else f"{error}; mend that"
        told = f"{path} cannot be purged: {why} and type the same command again."
        raise (Busy if busy else WorkspaceError)(told) from error


def merged(one: Threads, other: Threads) -> Threads:
    """The sessions of both."""
    return {n: sorted({*one.get(n, ()), *other.get(n, ())}) for n in {**one, **other}}


def shrink(connection: sqlite3.Connection) -> None:
    """Write a file anew without its free pages."""
    connection.execute("VACUUM")


def traces(path: Path, words: Words) -> bool:
    """Whether a file, or its log, holds the words anywhere, in what was deleted too."""
    for one in (path, path.with_name(f"{path.name}-wal")):
        with one.open("rb") if one.exists() else BytesIO() as file:
            before = b""
            while part := file.read(_PART):
                if words.may_hold((before + part).decode("utf-8", "ignore")):
                    return True
                before = part[-_OVERLAP:]
    return False


# Sessions: what LangGraph's SQLite saver keeps, whoever chose the name of the file


def sessions(workspace: Path) -> Threads:
    """All sessions of which checkpoints are kept."""
    found: Threads = {}
    for path in sorted(p for p in workspace.glob("*") if _keeps_threads(p)):
        with closing(_reader(path)) as connection:
            rows = connection.execute("SELECT DISTINCT thread_id FROM checkpoints ORDER BY 1")
            found[path.name] = [str(id) for (id,) in rows]
    return found


def _keeps_threads(path: Path) -> bool:
    if not path.is_file() or path.name in ("instar.db", _LOOP):
        return False
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False
    with closing(_reader(path)) as connection:
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {"checkpoints", "writes"} <= {name for (name,) in rows}
        except sqlite3.DatabaseError:  # damaged: nothing can be taken out of it
            return False


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def threads_with(workspace: Path, target: Target, episodes: Collection[str]) -> Threads:
    """Sessions whose checkpoints hold the words, or are of episodes that go."""
    found: Threads = {}
    for name in sessions(workspace):
        holding = {
            thread
            for thread, text in _kept(workspace / name)
            if (target.words and target.words.may_hold(text)) or any(e in text for e in episodes)
        }
        if holding:
            found[name] = sorted(holding)
    return found


def episodes_of(workspace: Path, thread: str, episodes: Collection[str]) -> set[str]:
    """The episodes that the checkpoints of a session name."""
    texts = [
        text for name in sessions(workspace) for id, text in _kept(workspace / name) if id == thread
    ]
    return {e for e in episodes if any(e in text for text in texts)}


def _kept(path: Path) -> Iterator[tuple[str, str]]:
    """Session and text of each checkpoint and each write; what is no text in it does not matter."""
    query = (
        "SELECT thread_id, checkpoint FROM checkpoints UNION ALL "
        "SELECT thread_id, metadata FROM checkpoints UNION ALL SELECT thread_id, value FROM writes"
    )
    with closing(_reader(path)) as connection:
        for thread, value in connection.execute(query):
            whole = value if isinstance(value, bytes) else str(value or "").encode()
            yield str(thread), whole.decode("utf-8", "replace")


def forget_threads(workspace: Path, threads: Mapping[str, Collection[str]]) -> None:
    """Delete sessions from their files, and the checkpoints of the loop whole."""
    for name, ids in threads.items():
        with alone(workspace / name) as connection:
            for table in ("writes", "checkpoints"):
                rows = [(id,) for id in ids]
                connection.executemany(f"DELETE FROM {table} WHERE thread_id = ?", rows)
            shrink(connection)
    for tail in ("", "-wal", "-shm"):
        (workspace / f"{_LOOP}{tail}").unlink(missing_ok=True)
