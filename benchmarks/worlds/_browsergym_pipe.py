"""A child process that answers JSON lines, with a time limit for each answer.

Whatever goes wrong with it (it dies, says something that is no answer, takes too long) is an
`EpisodeFault`, and then the process is killed with everything that it started; the next episode
gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instar.errors import EpisodeFault, UserError

__all__ = ["Child", "Children", "Refused"]

_LONGEST = 64 * 2**20


class Refused(Exception):
    """The child says that something is missing: a kind and a message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


class Child:
    """One process.

    Args:
        command: What to run; it gets a session of its own.
        environment: All its variables.
        seconds: How long an answer may take.

    Raises:
        UserError: There is no such program.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> None:
        self._seconds = seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._rest = b""
        self._asked = 0
        try:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise UserError(f"{command[0]} cannot be run: {error.strerror}") from error
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.poll() is None

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask and wait for the answer; blocks.

        Raises:
            Refused: The child says what is missing.
            EpisodeFault: It failed; it has been killed.
        """
        self._asked += 1
        until = time.monotonic() + self._seconds
        try:
            self._write(json.dumps({"id": self._asked, "do": do, **arguments}), until)
            answer = self._read(until)
            if "error" in answer:
                kind, message = answer["error"]
                if kind != "fault":
                    raise Refused(str(kind), str(message))
                raise EpisodeFault(f"BrowserGym: {str(message)[:500]}")
            return answer["ok"]
        except (EpisodeFault, OSError, ValueError, KeyError, TypeError) as error:
            fault = self._explain(error)
            self.kill()
            raise fault from error

    async def asked(self, do: str, **arguments: Any) -> Any:
        """Ask without blocking the loop; a cancelled question ends the child."""
        try:
            return await asyncio.to_thread(self.ask, do, **arguments)
        except asyncio.CancelledError:
            self._slay()  # the thread finds the end of the pipe and does the rest
            raise

    def _write(self, line: str, until: float) -> None:
        data = line.encode() + b"\n"
        while data:
            _, ready, _ = select.select([], [self._in], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise EpisodeFault("BrowserGym does not listen")
            data = data[os.write(self._in, data) :]

    def _read(self, until: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._out], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise EpisodeFault(f"BrowserGym gave no answer in {self._seconds:g} s")
            data = os.read(self._out, 2**16)
            if not data or len(self._rest) > _LONGEST:
                raise EpisodeFault("BrowserGym has ended" if not data else "an endless answer")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        if not isinstance(answer, dict) or answer.get("id") != self._asked:
            raise ValueError("not the answer to what was asked")
        return answer

    def _explain(self, error: Exception) -> EpisodeFault:
        if isinstance(error, EpisodeFault) and "has ended" not in str(error):
            return error
        if isinstance(error, ValueError | KeyError | TypeError):
            return EpisodeFault(f"BrowserGym answered with garbage: {error}")
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        return EpisodeFault(": ".join(["BrowserGym has ended", *last])[:500])

    def end(self) -> None:
        """Let it close what it has open, then make sure that it is gone."""
        if self.alive:
            with contextlib.suppress(EpisodeFault, Refused):
                self.ask("close")
        self.kill()

    def kill(self) -> None:
        """Kill it and all that it started."""
        self._slay()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _slay(self) -> None:
        started = _descendants(self.pid) if self.alive else []
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _descendants(pid: int) -> list[int]:
    """All processes below one; a browser leaves the group that it was started in."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # The name in brackets may hold anything; the fields after it are state and parent.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


class Children:
    """Processes for one episode each at a time; made when needed, kept for the next episode.

    Args:
        command: What to run.
        environment: All its variables.
        seconds: How long an answer may take.
        limit: How many episodes may run at the same time; others wait.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], seconds: float, limit: int
    ) -> None:
        self._command, self._environment, self._seconds = command, environment, seconds
        self._idle: list[Child] = []
        self._all: list[Child] = []
        self._free = asyncio.Semaphore(limit)

    def one(self) -> Child:
        """A process that nobody uses; hand it back with `back`."""
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
        self._all = [c for c in self._all if c.alive]
        self._all.append(Child(self._command, self._environment, self._seconds))
        return self._all[-1]

    def back(self, child: Child) -> None:
        """Take back a process; one that failed is forgotten."""
        if child.alive:
            self._idle.append(child)

    async def take(self) -> Child:
        """A process for an episode, as soon as fewer than the limit are running."""
        await self._free.acquire()
        try:
            return self.one()
        except BaseException:
            self._free.release()
            raise

    def release(self, child: Child) -> None:
        """The episode is over."""
        self.back(child)
        self._free.release()

    def end(self) -> None:
        """End all."""
        for child in self._all:
            child.end()
        self._all, self._idle = [], []
