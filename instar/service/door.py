"""The door through which an agent of somebody's own is measured: its session, and the tools of the world.

It is open while episodes run, on this machine alone. Sessions are those of the service; the tools of an
attempt lie under an address that only its agent is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from instar.compose import Workspace
from instar.errors import UserError
from instar.service import door_shapes as shapes
from instar.service.app import make_app
from instar.service.attempts import Attempt, Attempts

__all__ = ["Door", "make_door"]

_HOST = "127.0.0.1"
_GRACE = 1


def make_door(workspace: Workspace, attempts: Attempts, token: str | None = None) -> FastAPI:
    """The service for attempts, with the tools of their worlds.

    Args:
        token: What requests about sessions have to bear.
    """
    app = make_app(workspace, token, attempts)

    @app.get("/tools/{session}")
    def tools(session: str) -> list[dict[str, Any]]:
        """The tools at hand, in OpenAI's form."""
        offered = attempts.attempt(session).episode.toolset.tools()
        return [spec.schema_openai() for spec in offered]

    @app.get("/tools/{session}/observation")
    def observation(session: str) -> shapes.Seen:
        """What there is to see now."""
        return shapes.Seen(text=attempts.attempt(session).seen)

    @app.post("/tools/{session}")
    async def act(session: str, asked: shapes.Call) -> shapes.Answered:
        """Call a tool; mistakes and refusals come back as text."""
        found = await attempts.attempt(session).act(asked.name, asked.arguments)
        return shapes.Answered(text=found.text, error=found.error, observation=found.observation)

    return app


class _Server(uvicorn.Server):
    """A server that leaves Ctrl-C to the program that it is a part of, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Door:
    """A door that is opened with the first attempt; make one for each workspace.

    Args:
        workspace: Open; it stays the caller's to close.
        token: What requests about sessions have to bear.
        port: To listen on; 0 takes a free one.

    Attributes:
        attempts: The attempts that are open.
    """

    def __init__(self, workspace: Workspace, token: str | None = None, port: int = 0) -> None:
        self.attempts = Attempts(workspace)
        self.token = token
        self._app = make_door(workspace, self.attempts, token)
        self._port = port
        self._opening = asyncio.Lock()
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def url(self) -> str:
        """Its address; the first to ask opens it.

        Raises:
            UserError: The port is taken.
        """
        async with self._opening:
            if self._server is None:
                await self._open()
        return f"http://{_HOST}:{self._port}"

    def tools(self, url: str, attempt: Attempt) -> str:
        """Address of the tools of an attempt."""
        return f"{url}/tools/{attempt.lived.id}"

    async def _open(self) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((_HOST, self._port))
        except OSError as error:
            sock.close()
            raise UserError(
                f"Port {self._port} of {_HOST} cannot be used: {error.strerror}. "
                "Choose another: -o agent.port=PORT"
            ) from error
        self._port = sock.getsockname()[1]
        settings = uvicorn.Config(
            self._app, log_level="critical", lifespan="off", timeout_graceful_shutdown=_GRACE
        )
        self._server = server = _Server(settings)
        self._serving = asyncio.create_task(server.serve([sock]))
        await server.ready.wait()

    async def close(self) -> None:
        """Close it, if it was ever opened."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
