"""What an agent talks to: an endpoint in OpenAI's format that passes on to another, with the service beside it.

It is plain ASGI, for what a framework costs would be most of what a call costs here. Paths of the service
are answered by `instar.service.app`; everything else below ``/v1/`` goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
import logging
import queue
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote

from fastapi import Depends
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from instar.compose import Workspace
from instar.gateway._asgi import Gone, coming, refuse, unless_gone, whole_body
from instar.gateway._beside import Beside
from instar.gateway._conversations import Call
from instar.gateway._metrics import Exposed
from instar.gateway.counts import Counts
from instar.gateway.upstream import CHAT, Answer, Asked, Fault, Headers, Upstream
from instar.service.app import guard, make_app
from instar.types import StopReason

__all__ = ["MOST_BYTES", "Gateway"]

MOST_BYTES = 20_000_000
"""Of a chat completion; other requests go on as they come."""

_V1 = "/v1"
_DONE = b"data: [DONE]"
_PATIENCE = 5.0
_LOG = logging.getLogger(__name__)


class Gateway:
    """A gateway over an open workspace; an application of ASGI while it is entered.

    Args:
        workspace: It stays the caller's to close.
        upstream: Where requests go on to.
        token: What requests have to bear; None asks for none.
        key: Goes upstream for callers that bear the token as their key, or none.
        budget: Seconds that the first call of a session may wait for memories.
        shadow: Recall and record, and show nothing.
    """

    def __init__(
        self,
        workspace: Workspace,
        upstream: Upstream,
        token: str | None = None,
        key: str | None = None,
        budget: float = 0.15,
        shadow: bool = False,
    ) -> None:
        self.counts = Counts()
        self._upstream, self._token, self._key = upstream, token, key
        self._beside = Beside(workspace, self.counts, budget, shadow)
        self.service = make_app(workspace, token, self._beside.sessions)
        self.service.state.metrics.add(Exposed(self.counts))

        @self.service.get("/v1/gateway", dependencies=[Depends(guard(token))])
        def gateway() -> dict[str, int | str]:
            """What became of the requests so far."""
            return dataclasses.asdict(self.counts)

    async def __aenter__(self) -> Self:
        await self._upstream.__aenter__()
        await self._beside.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._beside.close()
        finally:
            await self._upstream.__aexit__(kind, error, trace)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] != "http" or self._is_service(scope):
            if scope["path"].startswith("/v1/sessions/"):
                # Its session, and what was just said in it, may still be waiting to be written.
                with contextlib.suppress(TimeoutError, queue.Full):
                    await asyncio.wait_for(self._beside.settled(), _PATIENCE)
            await self.service(scope, receive, send)
            return
        try:
            await self._pass(_Request(scope, receive, send))
        except Fault as fault:
            await refuse(send, fault.status, str(fault))
        except Gone:
            self.counts.left += 1
        except _BrokenOff as error:
            # Nothing more is said, so that the caller sees the same: an answer without an end.
            _LOG.info("%s", error)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write what is waiting before the server leaves: a signal may end the process right after."""

        async def last(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await self._beside.close()
            await send(message)

        await self.service(scope, receive, last)

    def _is_service(self, scope: Scope) -> bool:
        path = scope["path"]
        if path.endswith(CHAT):
            return False
        known = (route.matches(scope)[0] for route in self.service.routes)
        return not path.startswith(f"{_V1}/") or any(match is not Match.NONE for match in known)

    async def _pass(self, request: _Request) -> None:
        key = self._key_for(request.fields)
        path = request.path
        if path == CHAT and request.method == "POST":
            await self._chat(request, key)
            return
        self.counts.others += 1
        read = asyncio.Event()
        body = coming(request.receive, read) if request.has_body else None
        if body is None:
            read.set()
        asked = Asked(request.method, path + request.query, request.headers, body, key)
        await unless_gone(request.receive, read, self._relay(asked, request.send, None))

    def _key_for(self, fields: Mapping[str, str]) -> str | None:
        """What is sent as the key instead of the caller's; None: the caller's.

        Raises:
            Fault: The token is missing or wrong.
        """
        sent = fields.get("authorization", "")
        if self._token is None or _same(fields.get("instar-token", ""), self._token):
            return None if sent else self._key
        if _same(sent, f"Bearer {self._token}"):
            return self._key or ""
        raise Fault(
            "Send the token of this gateway as the API key, or in the header Instar-Token.", 401
        )

    async def _chat(self, request: _Request, key: str | None) -> None:
        body = await whole_body(request.receive, MOST_BYTES)
        call = await self._beside.begin(request.fields, body)
        asked = Asked("POST", CHAT + request.query, request.headers, call.body, key)
        read = asyncio.Event()
        read.set()
        kept = _Kept(call)
        try:
            await unless_gone(request.receive, read, self._relay(asked, request.send, kept))
        finally:
            # Where nothing was taken down yet, it broke off: the caller left, or we are asked to.
            self._beside.end(call, kept.body, stop=StopReason.INTERRUPTED)

    async def _relay(self, asked: Asked, send: Send, kept: _Kept | None) -> None:
        """Pass a request on and its answer back, piece by piece as it comes.

        Raises:
            Fault: There is no answer.
            _BrokenOff: It has no end.
        """
        try:
            answer = await self._upstream.ask(asked)
        except Fault:
            self.counts.broken += 1
            raise
        try:
            await self._hand_over(answer, send, kept)
        except Fault as fault:
            self.counts.broken += 1
            if kept is not None:
                self._beside.end(kept.call, kept.body, stop=StopReason.FAULT)
            raise _BrokenOff(str(fault)) from fault
        finally:
            answer.close()

    async def _hand_over(self, answer: Answer, send: Send, kept: _Kept | None) -> None:
        headers = answer.headers
        if kept is not None and kept.call.session:
            headers = [*headers, (b"instar-session", kept.call.session.encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if kept is not None and answer.status != 200:
            self._beside.end(kept.call)
        async for chunk in answer.body:
            if kept is not None and kept.add(chunk, answer.length):
                # Before the last piece: what the caller asks next may go on with this conversation.
                self._beside.end(kept.call, kept.body, whole=True)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if kept is not None:
            self._beside.end(kept.call, kept.body, whole=True)
        await send({"type": "http.response.body", "body": b""})


class _BrokenOff(Exception):
    """An answer that has begun and has no end."""


class _Kept:
    """What came of the answer to a call."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def body(self) -> bytes:
        """All that came; nothing where it is too much for a reply."""
        return b"".join(self._parts) if self._size <= MOST_BYTES else b""

    def add(self, chunk: bytes, length: int | None) -> bool:
        """Keep a piece, and tell whether it is the last one."""
        self._size += len(chunk)
        if self._size > MOST_BYTES:
            self._parts.clear()
            return False
        self._parts.append(chunk)
        return self._size == length or chunk.rstrip().endswith(_DONE)


class _Request:
    """A request that goes on.

    Attributes:
        path: Below the base URL, as it was written.
        fields: Headers by their names in lower case, to be looked at.
        headers: As they came.

    Raises:
        Fault: Its path leads nowhere.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        if not path.startswith(f"{_V1}/"):
            raise Fault("The base URL of this gateway ends in /v1.", 404)
        if {".", ".."} & set(path.split("/")):
            raise Fault("A path that leads elsewhere is not passed on.", 404)
        raw = scope.get("raw_path") or quote(path).encode()
        self.path = raw.decode("latin-1").removeprefix(_V1)
        self.query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        self.method = str(scope["method"])
        self.headers: Headers = list(scope["headers"])
        self.fields = {k.decode("latin-1"): v.decode("latin-1") for k, v in self.headers}
        self.receive, self.send = receive, send

    @property
    def has_body(self) -> bool:
        """Whether one comes."""
        told = self.fields.get("content-length", "0")
        return told != "0" or "transfer-encoding" in self.fields


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
