"""A server of embeddings in OpenAI's format on loopback, which embeds like the embedder `hash`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from memory.embed import HashEmbedder


class EmbeddingServer:
    """What the server is to do, and what it was asked.

    Attributes:
        behaviour: ``ok``, ``wrong order``, ``long``, ``garbage``, ``short`` or ``zero``.
        statuses: Of the next answers, which are errors; then it behaves.
        requests: Bodies.
        keys: Headers ``Authorization``.
    """

    def __init__(self, dimension: int = 512) -> None:
        self.embedder = HashEmbedder(dimension)
        self.behaviour = "ok"
        self.statuses: list[int] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.url = ""

    def answer(self, body: dict[str, Any]) -> Any:
        vectors = self.embedder.embed(body["input"])
        scale = 7.0 if self.behaviour == "long" else 0.0 if self.behaviour == "zero" else 1.0
        data = [
            {"object": "embedding", "index": i, "embedding": [v * scale for v in vector]}
            for i, vector in enumerate(vectors)
        ]
        if self.behaviour == "wrong order":
            data.reverse()
        if self.behaviour == "short":
            data.pop()
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}


@contextmanager
def embedding_server(dimension: int = 512) -> Iterator[EmbeddingServer]:
    """The server, in threads of this process, until the block ends."""
    one = EmbeddingServer(dimension)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            one.requests.append(body)
            one.keys.append(self.headers.get("authorization"))
            status = one.statuses.pop(0) if one.statuses else 200
            if self.path != "/v1/embeddings":
                status = 404
            text, kind = json.dumps({"error": {"message": f"status {status}"}}), "application/json"
            if status == 200:
                text = json.dumps(one.answer(body))
                if one.behaviour == "garbage":
                    text, kind = "<html>Welcome</html>", "text/html"
            self.send_response(status)
            for name, value in {"content-type": kind, **one.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        one.url = f"http://127.0.0.1:{server.server_port}/v1"
        yield one
        server.shutdown()
