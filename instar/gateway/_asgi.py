"""What plain ASGI leaves to be done: bodies read, callers that leave, refusals in OpenAI's form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.types import Receive, Send

from instar.gateway.upstream import Fault

__all__ = ["Gone", "coming", "refuse", "unless_gone", "whole_body"]

_KINDS = {401: "authentication_error", 404: "not_found_error", 413: "invalid_request_error"}


_DISCARDED = 3
"""Times the limit: so much of a body is read off the wire before it is refused."""


class Gone(Exception):
    """The caller has left."""


async def coming(receive: Receive, read: asyncio.Event) -> AsyncIterator[bytes]:
    """The body of a request as it comes.

    Args:
        read: Set when nothing more of it will come.

    Raises:
        Gone: The caller left before it was sent.
    """
    try:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk
    finally:
        read.set()


async def whole_body(receive: Receive, most: int) -> bytes:
    """The body of a request.

    Raises:
        Gone: The caller left before it was sent.
        Fault: It is longer than that.
    """
    parts, size = [], 0
    async for chunk in coming(receive, asyncio.Event()):
        size += len(chunk)
        if size <= most:
            parts.append(chunk)
        # What is somewhat too long is still read off the wire: hung up with bytes of the sender's
        # unread, a connection is reset, and the reset may reach it before the refusal does.
        elif size > _DISCARDED * most:
            break
    if size > most:
        raise Fault(f"A chat completion may have {most:,} bytes.", 413)
    return b"".join(parts)


async def unless_gone(
    receive: Receive, read: asyncio.Event, work: Coroutine[Any, Any, None]
) -> None:
    """Do something for a caller for as long as it is there.

    Args:
        read: Set once the body of the request has been read.

    Raises:
        Gone: It left, and the work was cancelled.
    """
    doing = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_until_gone(receive, read))
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise Gone
        doing.result()
    finally:
        watching.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait((doing,))


async def _until_gone(receive: Receive, read: asyncio.Event) -> None:
    await read.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


async def refuse(send: Send, status: int, said: str) -> None:
    """Answer with an error as OpenAI's clients read it."""
    kind = _KINDS.get(status, "upstream_error" if status >= 500 else "invalid_request_error")
    body = json.dumps({"error": {"message": said, "type": kind, "param": None, "code": None}})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
