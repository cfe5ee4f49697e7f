"""One process evolves a workspace at a time; the lock goes with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from instar.errors import Busy

__all__ = ["exclusive"]


@contextmanager
def exclusive(workspace: Path) -> Iterator[None]:
    """Hold a workspace for writing until the block ends.

    Raises:
        Busy: Another process holds it.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / "instar.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise Busy(
                f"{workspace} is in use by process {file.read().strip() or 'unknown'}. "
                "Wait until it is done, or type --workspace with another folder."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
