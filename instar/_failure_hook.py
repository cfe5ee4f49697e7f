"""The command that a person wants run where an unattended turn fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from instar.errors import Busy, Stopped

__all__ = ["failure_told"]

_PATIENCE = 60.0


@contextmanager
def failure_told(command: str | None, workspace: Path) -> Iterator[None]:
    """Run a command where the block fails, and let the failure go on.

    A limit that was reached and another process at work are no failures. What goes wrong with the command
    itself is said on stderr: the failure that it was to tell of matters more.

    Args:
        command: For a shell; it finds ``INSTAR_ERROR`` and ``INSTAR_WORKSPACE`` in its environment.
        workspace: Whose turn it is.
    """
    try:
        yield
    except (Stopped, Busy):
        raise
    except Exception as error:
        if command:
            _run(command, f"{type(error).__name__}: {error}", workspace)
        raise


def _run(command: str, said: str, workspace: Path) -> None:
    told = {"INSTAR_ERROR": said, "INSTAR_WORKSPACE": str(workspace.resolve())}
    try:
        done = subprocess.run(
            command,
            shell=True,
            env={**os.environ, **told},
            stdout=2,  # what a caller reads on stdout is one result
            timeout=_PATIENCE,
            check=False,
        )
        wrong = f"exit code {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        wrong = f"not done after {_PATIENCE:g} s"
    if wrong:
        sys.stderr.write(f"The command of once.on_failure went wrong: {wrong}.\n")
