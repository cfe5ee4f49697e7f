"""What ``instar purge`` does: takes an episode, a session or a text out of everything that lasts.

A task goes with its episodes, an episode with the memories that were learnt from nothing else, and
with the versions of others that were. A memory with other sources stays and no longer names it; an
episode that was shown a memory that goes
stays without its text. Training rows go by whole datasets, the index is made anew, adapters are
named: what was trained cannot be taken out of weights.

Files come first and the store last, and what is left to do is kept in the store, so that a purge
that was interrupted anywhere ends when it, or another one, is run again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from instar import _tables
from instar._database import Database
from instar._ledger import count
from instar._lock import exclusive
from instar._memory_store import REWRITTEN
from instar.failpoints import reach
from instar.purging import _files as files
from instar.purging import _sqlite as sqlite
from instar.purging import _store as kept
from instar.purging._files import Rewrite
from instar.purging._plan import Found, Plan, Wish, plan

__all__ = ["Found", "Rewrite", "Wish", "find", "left", "purge"]

_MARKER = "purging"
"""Name under which the store keeps what an interrupted purge has still to do."""


def find(workspace: Path, wish: Wish) -> Found:
    """What a purge would take out; nothing is changed.

    Raises:
        WorkspaceError: There is no workspace, or it cannot be read.
        UserError: No such task or session, or several; or an adapter that is to go serves.
    """
    return _planned(workspace, wish).found


def purge(workspace: Path, wish: Wish, rewrite: Rewrite) -> Found:
    """Take it out of everything; what was taken out.

    Args:
        workspace: The folder; no other process may have it open.
        wish: What goes.
        rewrite: Writes the pages of a finished run anew.

    Raises:
        WorkspaceError: There is no workspace, or another process uses it.
        UserError: As for `find`.
    """
    with _read(workspace):
        pass  # before a lock is made in a folder that is none of ours
    with exclusive(workspace):
        todo = _planned(workspace, wish)
        for name in ("instar.db", *todo.threads):
            with sqlite.alone(workspace / name):
                pass  # before the first file goes
        if todo.found not in (Found(), Found(unfinished=True)):
            _remove_files(workspace, todo, rewrite)
            reach("purge.files")
            _remove_records(workspace, todo)
            reach("purge.store")
        _finish(workspace)
    return todo.found


def left(workspace: Path, wish: Wish) -> list[str]:
    """Files of the workspace that hold the text and are somebody's own, such as its settings."""
    return files.strangers(workspace, wish.words) if wish.words else []


# Doing


def _remove_files(workspace: Path, todo: Plan, rewrite: Rewrite) -> None:
    files.drop_index(workspace)
    files.drop_adapters(workspace, todo.gone)
    for run in todo.found.runs:
        files.clean_run(workspace / "runs" / run, todo.target, rewrite)
    files.drop_datasets(workspace, todo.found.datasets)


def _remove_records(workspace: Path, todo: Plan) -> None:
    database = Database(workspace / "instar.db", create=False)
    try:
        with database.write() as connection:
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
            kept.remove(connection, todo.target, todo.stale, todo.gone, time.time())
            count(connection, REWRITTEN)
            threads = sqlite.merged(_marked(connection) or {}, todo.threads)
            row = {"name": _MARKER, "value": json.dumps(threads)}
            statement = insert(_tables.settings).values(row)
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))
    finally:
        database.close()


def _marked(connection: Connection) -> sqlite.Threads | None:
    """Sessions that an interrupted purge has still to forget; None where none was interrupted."""
    table = _tables.settings
    value = connection.scalar(select(table.c.value).where(table.c.name == _MARKER))
    return None if value is None else dict(json.loads(value))


def _finish(workspace: Path) -> None:
    """What comes after the records: sessions, then the file without its free pages."""
    with _read(workspace) as connection:
        threads = _marked(connection)
    if threads is None:
        return
    sqlite.forget_threads(workspace, threads)
    with sqlite.alone(workspace / "instar.db") as alone:
        sqlite.shrink(alone)
        reach("purge.shrink")
        alone.execute("DELETE FROM settings WHERE name = ?", (_MARKER,))


def _planned(workspace: Path, wish: Wish) -> Plan:
    with _read(workspace) as connection:
        return plan(workspace, wish, connection, _marked(connection))


@contextmanager
def _read(workspace: Path) -> Iterator[Connection]:
    database = Database(workspace / "instar.db", create=False)
    try:
        with database.read() as connection:
            yield connection
    finally:
        database.close()
