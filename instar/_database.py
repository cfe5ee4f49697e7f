"""One SQLite file: opened, brought to its version, read and written in transactions.

Write-ahead log with full synchronisation, so that what a transaction has committed survives a
kill and a loss of power. Every fault of the file becomes a `WorkspaceError` that says what to do.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from instar import migrations
from instar.errors import WorkspaceError
from instar.types import Record

__all__ = ["Database", "parse"]

_BUSY_SECONDS = 30

R = TypeVar("R", bound=Record)


class Database:
    """An open database file of this version.

    Args:
        path: The file.
        create: Whether to make it, and the folders above it, where it does not exist.

    Raises:
        WorkspaceError: There is none, or it cannot be used.
    """

    def __init__(self, path: Path, create: bool) -> None:
        self.path = path
        if not path.exists():
            if not create:
                raise WorkspaceError(
                    f"There is no workspace at {path.parent}. "
                    f"Make one: instar init --workspace {path.parent}"
                )
            _make_folder(path.parent)
        self.engine = _engine(path)
        self._watch: sqlite3.Connection | None = None
        # SQLite lets those who wait for its lock poll, the longer the later; a queue is fair.
        self._writing = threading.Lock()
        try:
            self._bring_to_version()
        except BaseException:
            self.engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the file throughout."""
        with _faults(self.path), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in one transaction: all of the block is kept, or nothing of it."""
        with _faults(self.path), self._writing, self.engine.connect() as connection:
            connection = connection.execution_options(instar_write=True)
            with connection.begin():
                yield connection

    def commits(self) -> int:
        """Changes with every commit, of whomever; asked in microseconds."""
        if self._watch is None:
            self._watch = sqlite3.connect(self.path, _BUSY_SECONDS, check_same_thread=False)
        with _faults(self.path):
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def check(self) -> str | None:
        """What SQLite finds wrong in the file, or None."""
        with self.read() as connection:
            found = str(connection.exec_driver_sql("PRAGMA quick_check").scalar_one())
        return None if found == "ok" else found

    def close(self) -> None:
        """Let go of the file."""
        if self._watch is not None:
            self._watch.close()
        self.engine.dispose()

    def _bring_to_version(self) -> None:
        with self.read() as connection:
            version = _version(connection)
        if version is None or version in migrations.EARLIER:
            with self.write() as connection:
                # Another process may have done it since.
                if _version(connection) == version:
                    _migrate(connection)
                version = _version(connection)
        if version != migrations.VERSION:
            raise WorkspaceError(
                f"{self.path} has schema version {version}, this Instar reads {migrations.VERSION}. "
                "Use the Instar that wrote it, or another workspace: --workspace DIR"
            )


def parse(kind: type[R], body: str) -> R:
    """A record from its JSON.

    Raises:
        WorkspaceError: It is not of the kind.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors()[0]["msg"]
        raise WorkspaceError(
            f"A stored {kind.__name__} cannot be read ({wrong}): {body[:60]!r}. "
            "Put back a copy of instar.db, or use another workspace: --workspace DIR"
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"The folder {folder} cannot be made ({error.strerror}). "
            "Choose another workspace: --workspace DIR"
        ) from error


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # The driver's own transactions leave out DDL; ours begin in `_begin`.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("instar_write", False)
        # A read that turns into a write may fail although it waited; taking the lock first may not.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _version(connection: Connection) -> str | None:
    """Version of the schema; None in an empty file."""
    rows = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {str(row[0]) for row in rows}
    if not tables:
        return None
    if "alembic_version" not in tables:
        return "unknown"
    version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(version)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(migrations.__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorcode", None)
        remedy = _REMEDIES.get(code & 0xFF) if code is not None else None
        if remedy is None:
            raise
        raise WorkspaceError(f"{path}: {cause}. {remedy}") from error


_KEPT = "Nothing stored before is lost."
_DAMAGED = (
    "The file is damaged. Put back a copy of it, or save what can be read with: "
    "sqlite3 instar.db .recover | sqlite3 saved.db"
)
_REMEDIES = {
    sqlite3.SQLITE_FULL: f"Free space on its disk and start again. {_KEPT}",
    sqlite3.SQLITE_IOERR: f"The disk failed; look at its space and its health. {_KEPT}",
    sqlite3.SQLITE_BUSY: "Another process holds it; wait for that one or stop it, then start again.",
    sqlite3.SQLITE_LOCKED: "Another process holds it; wait for that one or stop it, then start again.",
    sqlite3.SQLITE_READONLY: "It may not be written; mend its permissions with: chmod u+w",
    sqlite3.SQLITE_CANTOPEN: "It cannot be opened; look at its permissions, or use --workspace DIR",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
