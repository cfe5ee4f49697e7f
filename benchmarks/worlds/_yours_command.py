"""One command with a time limit; its output is kept to the end of it, its children end with it.

Asyncio's own subprocesses wait for the end of the output too, which a child that was left behind
may hold open for ever; so the process is asked now and then, and its output is read in passing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Ran", "run"]

_KEPT = 2000  # bytes of output
_CHUNK = 65_536
_CHUNKS = 16  # at once, so that a command that never stops talking does not keep the loop
_PAUSES = (0.001, 0.05)  # seconds between two looks, at first and at most


class Ran(NamedTuple):
    """How a command ended; without a code it was stopped at the limit."""

    code: int | None
    output: str


class _Tail:
    """The last of what a process writes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._kept = b""

    def read(self) -> bool:
        """Take what is there; whether that was anything."""
        before = self._kept
        with contextlib.suppress(BlockingIOError):
            for _ in range(_CHUNKS):
                chunk = os.read(self._pipe.fileno(), _CHUNK)
                if not chunk:
                    break
                self._kept = (self._kept + chunk)[-_KEPT:]
        return self._kept is not before

    def close(self) -> str:
        """Take the rest; all of it that was kept as text."""
        self.read()
        self._pipe.close()
        return self._kept.decode("utf-8", "replace").replace("\0", "").strip()


def _start(
    command: str | Sequence[str], folder: Path, variables: Mapping[str, str], given: str
) -> subprocess.Popen[bytes]:
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given.encode("utf-8", "replace"))
        stdin.seek(0)
        return subprocess.Popen(
            command,
            shell=isinstance(command, str),
            cwd=folder,
            env={**os.environ, **variables},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started and that stayed in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def run(
    command: str | Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    given: str,
    seconds: float,
) -> Ran:
    """Run a command to its end or to its limit; either way nothing of it goes on afterwards.

    Args:
        command: A text for the shell, or a program with its arguments.
        folder: Where it runs.
        variables: Set in addition to the environment.
        given: Its standard input.
        seconds: The limit.

    Raises:
        OSError: It cannot be started.
        ValueError: It holds a character that no command can.
    """
    process = _start(command, folder, variables, given)
    tail = _Tail(process)
    limit, pause = time.monotonic() + seconds, _PAUSES[0]
    try:
        while process.poll() is None and time.monotonic() < limit:
            await asyncio.sleep(pause)
            pause = _PAUSES[0] if tail.read() else min(2 * pause, _PAUSES[1])
        code = process.poll()
    finally:
        _end(process)
        output = tail.close()
    return Ran(code, output)
