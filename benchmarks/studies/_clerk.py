"""An agent that is not Instar's: it is joined by `instar_client`, and imports nothing else of Instar.

    python -m benchmarks.studies._clerk                    # the request on stdin, the answer on stdout
    python -m benchmarks.studies._clerk --serve PORT       # POST /solve {"instruction", "session", "tools_url"}
    python -m benchmarks.studies._clerk --model PORT       # its policy alone, as an OpenAI-compatible model

Its tools are those of an office, which it asks for what there is (GET) and sends its calls to (POST).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import instar_client

from benchmarks.studies._clerk_policy import bare, planned, worded

__all__ = ["main", "replied", "solve"]

NAME = "clerk"
_TURNS = 20
_SECONDS = 30.0


def replied(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The policy as a model: the next message of the assistant, in OpenAI's form."""
    told = "\n".join(str(m["content"]) for m in messages if m["role"] == "system")
    asked = [str(m["content"]) for m in messages if m["role"] == "user"]
    plan, label = planned(told.split("\n"), bare(asked[-1].split("\n")[-1]))
    made = [c for m in messages for c in m.get("tool_calls") or ()]
    if len(made) >= len(plan):
        return {"role": "assistant", "content": "It is done."}
    name, *values = worded(plan[len(made)])
    called = {"name": name, "arguments": json.dumps(_named(name, values, tools))}
    call = {"id": f"c{len(made)}", "type": "function", "function": called}
    said = f"follow [{label}]" if label else ""
    return {"role": "assistant", "content": said, "tool_calls": [call]}


def _named(name: str, values: list[str], tools: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Values by the names that the tool gives its arguments."""
    offered = {t["function"]["name"]: t["function"]["parameters"]["properties"] for t in tools}
    return dict(zip(offered.get(name, ()), values, strict=False))


def solve(request: str, tools_url: str) -> dict[str, Any]:
    """Do what is asked by the tools of an office; the answer, and the session for its outcome."""
    office = _office()
    tools = office.get(tools_url).json()
    session = instar_client.session(NAME, request, tools=tools, model=NAME)
    told = session.recall().text
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": told},
        {"role": "user", "content": request},
    ]
    begun = len(messages)
    used = 0
    for _ in range(_TURNS):
        used += sum(len(str(m)) for m in messages) // 4
        messages.append(replied(messages, tools))
        for call in messages[-1].get("tool_calls", ()):
            messages.append(_answer(office, tools_url, call))
        if messages[-1]["role"] == "assistant":
            break
    session.report(messages[begun:], prompt_tokens=used, completion_tokens=8 * len(messages))
    instar_client.client().flush(_SECONDS)
    return {"answer": messages[-1]["content"], "session": session.id}


@functools.cache
def _office() -> httpx.Client:
    """One for all threads: what is dear about a client is to make it."""
    return httpx.Client(timeout=_SECONDS)


def _answer(office: httpx.Client, tools_url: str, call: Mapping[str, Any]) -> dict[str, Any]:
    made = call["function"]
    body = {"name": made["name"], "arguments": json.loads(made["arguments"])}
    said = office.post(tools_url, json=body).json()
    status = {"status": "error"} if said["error"] else {}
    return {"role": "tool", "tool_call_id": call["id"], "content": said["text"], **status}


def _served(asked: Mapping[str, Any]) -> dict[str, Any]:
    with instar_client.use_session(asked.get("session")):
        return solve(asked["instruction"], asked["tools_url"])


def _completed(asked: Mapping[str, Any]) -> dict[str, Any]:
    message = replied(asked["messages"], asked.get("tools") or ())
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    used = {"prompt_tokens": len(str(asked["messages"])) // 4, "completion_tokens": 8}
    used["total_tokens"] = sum(used.values())
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": NAME}
    return {**body, "choices": [choice], "usage": used}


def _serve(port: int, answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    """Answer posted JSON until the process is ended; the port is printed when it is open."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, body = 200, b""
            try:
                body = json.dumps(answer(asked)).encode()
            except Exception as error:  # noqa: BLE001  Told to whoever asked.
                status, body = 500, json.dumps({"error": repr(error)}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", port), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def main() -> None:
    """Answer one request, or serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--serve", type=int, metavar="PORT")
    parser.add_argument("--model", type=int, metavar="PORT")
    given = parser.parse_args()
    if given.serve is not None:
        _serve(given.serve, _served)
    elif given.model is not None:
        _serve(given.model, _completed)
    else:
        print(solve(sys.stdin.read().strip(), os.environ["INSTAR_TOOLS_URL"])["answer"])


if __name__ == "__main__":
    main()
