"""A server in OpenAI's format for tests of the gateway, which misbehaves where the model's name says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from aiohttp import web

GARBAGE = b"\x00\xff<html>no model here</html>\r\n\r\ndata: {\n\n"


class Server:
    """What it was asked, and for streams a gate that holds the second half back."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.others: list[tuple[str, str, bytes]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.left = threading.Event()
        self.fail_next = 0
        self.fixed: bytes | None = None
        self.url = ""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        raw = await request.read()
        if self.fixed is not None:
            return web.Response(body=self.fixed, content_type="text/event-stream")
        try:
            body = json.loads(raw)
            body["messages"][-1]["content"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return web.json_response({"error": {"message": "that is no request"}}, status=400)
        self.seen.append(body)
        if self.fail_next:
            self.fail_next -= 1
            return web.json_response({"error": {"message": "try later"}}, status=429)
        how = str(body.get("model"))
        if how.isdigit():
            return web.json_response({"error": {"message": f"status {how}"}}, status=int(how))
        if how == "hangs":
            await asyncio.sleep(3600)
        if how == "garbage":
            return web.Response(body=GARBAGE, content_type="text/event-stream")
        if how == "closes":
            assert request.transport is not None
            request.transport.close()
        message = answer_to(body)
        if body.get("stream"):
            return await self.stream(request, how, message)
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        choice = {"index": 0, "finish_reason": reason, "message": message}
        usage = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
        return web.json_response({**head(how), "choices": [choice], "usage": usage})

    async def stream(
        self, request: web.Request, how: str, message: dict[str, Any]
    ) -> web.StreamResponse:
        out = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await out.prepare(request)
        try:
            pieces = list(deltas(message))
            for at, delta in enumerate(pieces):
                if at == len(pieces) // 2:
                    await asyncio.to_thread(self.go_on.wait, 20)
                if how == "dies" and at == len(pieces) - 1:
                    assert request.transport is not None
                    request.transport.close()
                    return out
                await out.write(event(how, {"delta": delta, "finish_reason": None}))
            reason = "tool_calls" if message.get("tool_calls") else "stop"
            await out.write(event(how, {"delta": {}, "finish_reason": reason}))
            await out.write(b"data: [DONE]\n\n")
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise
        return out

    async def other(self, request: web.Request) -> web.Response:
        self.others.append((request.method, request.path_qs, await request.read()))
        self.headers.append(dict(request.headers))
        if request.path.endswith("/models"):
            listed = [{"id": "m", "object": "model", "created": 0, "owned_by": "us"}]
            return web.json_response({"object": "list", "data": listed})
        return web.json_response({"path": request.path}, headers={"x-own": "1"})


def head(model: str) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion", "created": 1, "model": model}


def event(model: str, choice: dict[str, Any]) -> bytes:
    body = {**head(model), "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def answer_to(body: dict[str, Any]) -> dict[str, Any]:
    """Calls a tool where there are some and none has answered; else says what it saw last."""
    last = body["messages"][-1]
    if body.get("tools") and last.get("role") == "user":
        name = body["tools"][0]["function"]["name"]
        function = {"name": name, "arguments": '{"id": 417}'}
        call = {"id": f"call-{len(body['messages'])}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    content = last.get("content")
    words = content if isinstance(content, str) else json.dumps(content)
    return {"role": "assistant", "content": f"you said {words}"[:500]}


def deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for call in message.get("tool_calls", ()):
        function = call["function"]
        named = {"name": function["name"], "arguments": ""}
        yield {"tool_calls": [{**call, "index": 0, "function": named}]}
        for letter in function["arguments"]:
            yield {"tool_calls": [{"index": 0, "function": {"arguments": letter}}]}
    for word in (message.get("content") or "").split(" "):
        yield {"content": f"{word} "}


@contextlib.contextmanager
def upstream() -> Iterator[Server]:
    """The server in a thread."""
    server, ready = Server(), threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/chat/completions", server.chat)
        app.router.add_route("*", "/v1/{rest:.*}", server.other)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=0.1).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        server.go_on.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
