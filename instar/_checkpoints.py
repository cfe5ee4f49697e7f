"""The file in which the graph of a turn keeps where it is."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

__all__ = ["checkpoints", "forget"]


@asynccontextmanager
async def checkpoints(path: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Checkpoints in a file; a damaged one is begun anew, as the store knows what is done."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    if not _readable(path):
        forget(path)
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        yield saver


def _readable(path: Path) -> bool:
    if not path.exists():
        return True
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def forget(path: Path) -> None:
    """Take the file away: the turn is over, or it cannot be read."""
    for tail in ("", "-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
