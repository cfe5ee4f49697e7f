"""An endpoint in OpenAI's format on loopback: a function answers, at once or in chunks one by one."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Message = dict[str, Any]
_COMMON = {"id": "c", "created": 0, "model": "double"}


@contextlib.contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on a free port; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def calling(name: str, **arguments: Any) -> Message:
    """A message in which the model uses a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"call-{name}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@dataclass
class Endpoint:
    """What answers, and what it was asked.

    Attributes:
        answer: The next message to given ones.
        gate: Is asked before each chunk of a stream but the first.
    """

    answer: Callable[[list[Message]], Message]
    gate: Callable[[], Any] = lambda: None
    seen: list[list[Message]] = field(default_factory=list)

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """The endpoint on loopback; its base URL."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.seen.append(asked["messages"])
                message = endpoint.answer(asked["messages"])
                self.send_response(200)
                stream = bool(asked.get("stream"))
                kind = "text/event-stream" if stream else "application/json"
                self.send_header("Content-Type", kind)
                self.end_headers()
                if not stream:
                    self.wfile.write(json.dumps(_whole(message)).encode())
                    return
                for number, chunk in enumerate(_chunks(message)):
                    if number:
                        endpoint.gate()
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                    self.wfile.flush()
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *_: Any) -> None:
                pass

        with listening(Handler) as url:
            yield f"{url}/v1"


def _reason(message: Message) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _whole(message: Message) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": _reason(message)}
    used = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    return _COMMON | {"object": "chat.completion", "choices": [choice], "usage": used}


def _chunks(message: Message) -> Iterator[dict[str, Any]]:
    """A message word by word, or its calls at once, and then why it ended."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _COMMON | {"object": "chat.completion.chunk", "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for number, call in enumerate(message.get("tool_calls") or ()):
        yield chunk({"tool_calls": [call | {"index": number}]})
    for word in (message["content"] or "").split():
        yield chunk({"content": f"{word} "})
    yield chunk({}, _reason(message))
