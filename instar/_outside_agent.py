"""How an agent of somebody's own is asked to do a task: as a command, or at the URL where it is served."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from typing import IO, NamedTuple

__all__ = ["Address", "Asked", "Command", "Ended"]

_ANSWER = 100_000
_SAID = 500


class Asked(NamedTuple):
    """What an agent is told.

    Attributes:
        instruction: What to do.
        session: The prepared session that it takes up.
        url: Of the service that has the session.
        token: What requests to it bear; may be empty.
        tools_url: Where the tools of the world are.
        folder: Where it may work with files; empty where the task has no such place.
        seed: Of the episode, for agents that draw.
    """

    instruction: str
    session: str
    url: str
    token: str
    tools_url: str
    folder: str
    seed: int

    def variables(self) -> dict[str, str]:
        """For the environment of a command."""
        found = {
            "INSTAR_URL": self.url,
            "INSTAR_TOKEN": self.token,
            "INSTAR_SESSION": self.session,
            "INSTAR_TOOLS_URL": self.tools_url,
            "INSTAR_INSTRUCTION": self.instruction,
            "INSTAR_FOLDER": self.folder,
            "INSTAR_EPISODE_SEED": str(self.seed),
        }
        return {name: value.replace("\0", "") for name, value in found.items()}


class Ended(NamedTuple):
    """How it ended: an answer, or what went wrong."""

    answer: str = ""
    fault: str = ""


class Command:
    """An agent that is a command: the instruction is its standard input, its answer what it prints.

    Args:
        command: A text for the shell.
        seconds: When it is ended, with all that it has started.
    """

    def __init__(self, command: str, seconds: float) -> None:
        self._command, self._seconds = command, seconds

    async def run(self, asked: Asked) -> Ended:
        """Let it do a task."""
        # Files, because a pipe stays open as long as something that the command has left behind.
        with tempfile.TemporaryFile() as given, _file() as out, _file() as error:
            given.write(asked.instruction.encode("utf-8", "replace"))
            given.seek(0)
            try:
                code = await self._code(asked, given, out, error)
            except OSError as problem:
                return Ended(fault=f"the agent cannot be started: {problem.strerror}")
            answer = _read(out, 0, _ANSWER)
            if code is None:
                return Ended(answer, f"the agent did not end within {self._seconds:g} s")
            if code:
                said = _read(error, -_SAID, _SAID)
                how = (
                    f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                )
                return Ended(answer, f"the agent {how}{f': {said}' if said else ''}")
            return Ended(answer)

    async def close(self) -> None:
        """Nothing is held between tasks."""

    async def _code(
        self, asked: Asked, given: IO[bytes], out: IO[bytes], error: IO[bytes]
    ) -> int | None:
        """Its exit code; None where it had to be ended."""
        process = await asyncio.create_subprocess_shell(
            self._command,
            stdin=given,
            stdout=out,
            stderr=error,
            env={**os.environ, **asked.variables()},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._seconds):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


class Address:
    """An agent that is served: a request is posted to it, and its answer comes back.

    It gets JSON with ``instruction``, ``session``, ``tools_url``, ``folder`` and ``seed``, and answers
    with JSON that has an ``answer``; the session is in the header ``Instar-Session`` too.

    Args:
        url: Where to post.
        seconds: When it is given up.
    """

    def __init__(self, url: str, seconds: float) -> None:
        import httpx

        self._url, self._seconds = url, seconds
        self._http = httpx.AsyncClient(timeout=None)

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def run(self, asked: Asked) -> Ended:
        """Let it do a task."""
        import httpx

        body = asked._asdict()
        del body["url"], body["token"]  # those it was started with
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._http.post(
                    self._url, json=body, headers={"Instar-Session": asked.session}
                )
        except TimeoutError:
            return Ended(fault=f"the agent did not answer within {self._seconds:g} s")
        except httpx.HTTPError as error:
            return Ended(fault=f"the agent at {self._url} cannot be reached: {error!r}")
        if found.status_code >= 400:
            return Ended(fault=f"the agent answered with {found.status_code}: {found.text[:_SAID]}")
        try:
            return Ended(str(found.json()["answer"])[:_ANSWER])
        except (ValueError, TypeError, KeyError):
            return Ended(fault=f"the agent answered without an answer: {found.text[:_SAID]}")


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _read(file: IO[bytes], start: int, most: int) -> str:
    """A part of a file as text; a negative start counts from its end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size + start) if start < 0 else start)
    return file.read(most).decode("utf-8", "replace").replace("\0", "").strip()
