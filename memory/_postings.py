"""The file of the lexical index: which words stand in which entries, in SQLite's FTS5.

Words come ready made, so that FTS5 has only to split at spaces. It keeps neither text nor positions,
which makes it small and fast; the words of an entry stand in a table beside it, to be taken out and
to be counted again. Rows are numbered upwards and never used twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Entry", "Name", "Place", "Postings", "damaged"]

_VERSION = 1
_BUSY_SECONDS = 30
_SCHEMA = f"""
CREATE TABLE places (place INTEGER PRIMARY KEY, namespace TEXT, tools TEXT, UNIQUE (namespace, tools));
CREATE TABLE entries (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, version INTEGER, place INTEGER, size INTEGER,
    checksum INTEGER, words TEXT, UNIQUE (id, version));
CREATE VIRTUAL TABLE inverted USING fts5 (
    words, content='', columnsize=0, detail=none, tokenize="ascii tokenchars '_.-'");
CREATE VIRTUAL TABLE frequencies USING fts5vocab (inverted, row);
PRAGMA user_version = {_VERSION};
"""

Name = tuple[str, int]
"""Id and version."""
Place = tuple[str, tuple[str, ...]]
"""Namespace and the tools that are needed."""


class Entry(NamedTuple):
    """What is kept of an item; the checksum tells whether it is still the same text."""

    name: Name
    place: Place
    checksum: int
    words: Sequence[str]


def damaged(error: sqlite3.Error) -> bool:
    """Whether a new file would help: not against a lock, a full disk or a missing permission."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


class Postings:
    """An open file.

    Raises:
        sqlite3.Error: It cannot be opened, is damaged or was made by another version.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        ask = self._connection.execute
        ask("PRAGMA journal_mode = WAL")
        # What a loss of power takes away is put back when the store is opened.
        ask("PRAGMA synchronous = NORMAL")
        ask("PRAGMA cache_size = -16384")
        ask("PRAGMA journal_size_limit = 4194304")
        with self.transaction("IMMEDIATE"):
            (version,) = ask("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    ask(statement)
            elif version != _VERSION:
                raise sqlite3.DatabaseError(f"it is of version {version}, not {_VERSION}")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def transaction(self, kind: str = "DEFERRED") -> Iterator[None]:
        """One state of the file throughout; with ``IMMEDIATE`` nobody else writes meanwhile."""
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # Writing: in a transaction of the caller

    def checksums(self) -> dict[Name, int]:
        """All entries by name, with the checksum of each."""
        rows = self._connection.execute("SELECT id, version, checksum FROM entries")
        return {(id, version): checksum for id, version, checksum in rows}

    def holds(self, names: Collection[Name]) -> set[Name]:
        """Which of the names there are."""
        rows = self._connection.execute(
            "SELECT e.id, e.version FROM json_each(?) j JOIN entries e"
            " ON e.id = json_extract(j.value, '$[0]') AND e.version = json_extract(j.value, '$[1]')",
            (json.dumps(list(names)),),
        )
        return set(rows)

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries whose names there are not yet."""
        first = self.newest() + 1
        joined = [(row, " ".join(entry.words)) for row, entry in enumerate(entries, first)]
        places = {place: self._place(place) for place in {e.place for e in entries}}
        self._connection.executemany(
            "INSERT INTO entries (row, id, version, place, size, checksum, words)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (row, *e.name, places[e.place], len(e.words), e.checksum, words)
                for (row, words), e in zip(joined, entries, strict=True)
            ],
        )
        self._connection.executemany("INSERT INTO inverted (rowid, words) VALUES (?, ?)", joined)

    def remove(self, names: Collection[Name]) -> None:
        """Take entries out."""
        rows = self._connection.execute(
            "SELECT e.row, e.words FROM json_each(?) j JOIN entries e"
            " ON e.id = json_extract(j.value, '$[0]') AND e.version = json_extract(j.value, '$[1]')",
            (json.dumps(list(names)),),
        ).fetchall()
        self._connection.executemany(
            "INSERT INTO inverted (inverted, rowid, words) VALUES ('delete', ?, ?)", rows
        )
        self._connection.executemany("DELETE FROM entries WHERE row = ?", [(r,) for r, _ in rows])

    def tidy(self) -> None:
        """Merge what many additions left apart."""
        self._connection.execute("INSERT INTO inverted (inverted) VALUES ('optimize')")

    def check(self) -> None:
        """Look through the file.

        Raises:
            sqlite3.DatabaseError: It is damaged.
        """
        (found,) = self._connection.execute("PRAGMA quick_check (1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def _place(self, place: Place) -> int:
        given = (place[0], json.dumps(place[1]))
        self._connection.execute(
            "INSERT OR IGNORE INTO places (namespace, tools) VALUES (?, ?)", given
        )
        (number,) = self._connection.execute(
            "SELECT place FROM places WHERE namespace = ? AND tools = ?", given
        ).fetchone()
        return int(number)

    # Reading

    def newest(self) -> int:
        """The highest row that was ever given."""
        found = self._connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"
        ).fetchone()
        return int(found[0]) if found else 0

    def since(self, row: int) -> NDArray[np.int64]:
        """Row, place and number of words of the entries after a row, one entry a line."""
        rows = self._connection.execute(
            "SELECT row, place, size FROM entries WHERE row > ? ORDER BY row", (row,)
        ).fetchall()
        return np.asarray(rows, dtype=np.int64).reshape(len(rows), 3)

    def places(self) -> dict[int, Place]:
        """Places by number."""
        rows = self._connection.execute("SELECT place, namespace, tools FROM places")
        return {place: (namespace, tuple(json.loads(tools))) for place, namespace, tools in rows}

    def frequencies(self, words: Collection[str]) -> dict[str, int]:
        """In how many entries each word stands; words in none are left out."""
        rows = self._connection.execute(
            "SELECT f.term, f.doc FROM json_each(?) j JOIN frequencies f ON f.term = j.value",
            (json.dumps(list(words)),),
        )
        return {word: int(count) for word, count in rows}

    def rows(self, word: str) -> NDArray[np.int64]:
        """The rows in which a word stands."""
        # As one text: a Python object for each row would take four times as long.
        (joined,) = self._connection.execute(
            "SELECT group_concat(rowid) FROM inverted WHERE inverted MATCH ?", (f'"{word}"',)
        ).fetchone()
        return np.fromstring(joined or "", dtype=np.int64, sep=",")

    def entries(self, rows: Sequence[int]) -> dict[int, tuple[Name, list[str]]]:
        """Names and words by row."""
        found = self._connection.execute(
            "SELECT e.row, e.id, e.version, e.words FROM json_each(?) j JOIN entries e"
            " ON e.row = j.value",
            (json.dumps(list(rows)),),
        )
        return {row: ((id, version), words.split(" ")) for row, id, version, words in found}
