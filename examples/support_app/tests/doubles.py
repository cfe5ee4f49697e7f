"""Stand-ins on loopback: a model that says what it was given to say, and a small office."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}


@contextmanager
def serving(get: Callable[[], Any], post: Callable[[Any], Any]) -> Iterator[str]:
    """A server that answers in JSON; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(get())

        def do_POST(self) -> None:
            self.answer(post(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def answer(self, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A turn of the model in which it uses a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    made = {"id": f"call-{name}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [made]}


class Model:
    """Says one line of its script after the other."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.seen: list[list[dict[str, Any]]] = []

    def complete(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(asked["messages"])
        said = self.script.pop(0)
        message = {"role": "assistant", "content": said} if isinstance(said, str) else said
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        used = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
        made = {"id": "c", "object": "chat.completion", "created": 0, "model": asked["model"]}
        return made | {"choices": [choice], "usage": used}


class Office:
    """Refunds an order that was paid, once it has been looked up."""

    def __init__(self) -> None:
        self.orders = {417: "paid", 418: "sent back"}
        self.used: list[tuple[str, Any]] = []
        self.looked_up: set[int] = set()

    def tools(self) -> list[dict[str, Any]]:
        told = {"find_order": "State of an order.", "refund": "Pay back an order."}
        return [
            {
                "type": "function",
                "function": {"name": name, "description": words, "parameters": ORDER},
            }
            for name, words in told.items()
        ]

    def use(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, order = asked["name"], asked["arguments"]["order"]
        self.used.append((name, order))
        if order not in self.orders:
            return {"text": f"There is no order {order}.", "error": True}
        if name == "find_order":
            self.looked_up.add(order)
            return {"text": f"Order {order} is {self.orders[order]}.", "error": False}
        if order not in self.looked_up:
            return {"text": f"The state of order {order} was not looked up.", "error": True}
        self.orders[order] = "refunded"
        return {"text": f"Order {order} is refunded.", "error": False}
