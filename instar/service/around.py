"""What every request passes on its way to a route: it is counted and traced, and its body is limited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from instar import tracing

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from instar.service.metrics import Metrics

__all__ = ["MOST_BYTES", "Limited", "Watched"]

MOST_BYTES = 2_000_000
BODY_SECONDS = 20.0
"""So long a body may be on its way."""
MOST_DISCARDED = 32 * MOST_BYTES
"""A body up to this long is read off the wire and thrown away before it is refused."""

_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
_NOWHERE = "none"
_LONGEST_NAME = 100


class Watched:
    """Counts requests, and makes spans of them.

    Args:
        app: What answers.
        metrics: Where they are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        # Anybody may send any word as a method.
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        with tracing.request(method, headers) as span:
            try:
                await self._app(scope, receive, sent)
            finally:
                route = getattr(scope.get("route"), "path", _NOWHERE)
                seconds = time.perf_counter() - began
                self._metrics.request(method, route, status, seconds)
                self._tell(span, scope, method, route, status)

    @staticmethod
    def _tell(span: tracing.Span, scope: Scope, method: str, route: str, status: int) -> None:
        session = scope.get("path_params", {}).get("session")
        span.set(
            {
                "http.request.method": method,
                "http.route": route if route != _NOWHERE else None,
                "http.response.status_code": status,
                "gen_ai.conversation.id": session[:_LONGEST_NAME] if session else None,
            }
        )
        if status >= 500:
            span.failed(str(status))


class Limited:
    """Refuses bodies that are too long, do not say how long they are, or do not arrive.

    Args:
        app: What is given a body once it is there.
        seconds: How long that may take.
    """

    def __init__(self, app: ASGIApp, seconds: float = BODY_SECONDS) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"")
        refusal = None
        if scope["method"] == "POST" and not told.isdigit():
            refusal = _refusal(411, "Say how long the request is: Content-Length.")
        elif told and int(told) > MOST_BYTES:
            refusal = _refusal(413, f"A request may have {MOST_BYTES:,} bytes.")
            # Closed with bytes of the sender's unread, a connection is reset, and the reset may reach
            # the sender before the refusal does.
            if int(told) <= MOST_DISCARDED:
                await _discard(receive, self._seconds)
        elif told:
            try:
                async with asyncio.timeout(self._seconds):
                    receive = await _whole(receive)
            except TimeoutError:
                refusal = _refusal(408, f"The request took longer than {self._seconds:g} seconds.")
        await (refusal or self._app)(scope, receive, send)


def _refusal(status: int, text: str) -> JSONResponse:
    # What is left of the body is not read, so the connection can serve no other request.
    return JSONResponse({"error": text}, status, {"Connection": "close"})


async def _discard(receive: Receive, seconds: float) -> None:
    """Read a body to its end, or for so long, and keep nothing of it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body"):
                pass


async def _whole(receive: Receive) -> Receive:
    """Read a body to its end; what is returned gives it as one."""
    body, message = b"", await receive()
    while message["type"] == "http.request" and message.get("more_body"):
        body += message.get("body", b"")
        message = await receive()
    waiting: list[Message] = [message]
    if message["type"] == "http.request":
        waiting = [{**message, "body": body + message.get("body", b"")}]

    async def again() -> Message:
        return waiting.pop(0) if waiting else await receive()

    return again
