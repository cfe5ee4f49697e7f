"""What the gateway adds to a call: the same calls with it and without, in turns of one run.

A server in OpenAI's format answers in a process of its own after a fixed time (``--delay``), the gateway
runs in another, and the caller in this one keeps ``--at-once`` calls going. Overhead is how much longer a call takes
than one that goes straight to the server: the difference of medians, and of 99th percentiles, in each
round; printed is the median over the rounds. Without recall there is nothing to remember; with recall
each call begins a session over a bank of ``--memories``, and is shown some. For streams it is the time to the
first token that is compared; the server sends one every 20 ms.

    python -m benchmarks.perf.gateway
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web

from instar.compose import Workspace
from instar.config import load_config
from instar.types import Generation, GenerationStatus, MemoryItem, MemoryKind, MemoryOp, OpKind

__all__ = ["compare"]

_TOKENS, _BETWEEN = 20, 0.02
_TOPICS = ["refund order", "cancel ticket", "ship parcel", "change address", "close account"]


async def _upstream(delay: float) -> None:
    """Serve for ever; the port is the first line on stdout."""

    async def chat(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        await asyncio.sleep(delay)
        head = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "It is done, and the customer was told."}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            usage = {"prompt_tokens": 300, "completion_tokens": 10, "total_tokens": 310}
            return web.json_response({**head, "choices": [choice], "usage": usage})
        out = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await out.prepare(request)
        for number in range(_TOKENS):
            delta = {"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}
            await out.write(b"data: " + json.dumps({**head, "choices": [delta]}).encode() + b"\n\n")
            await asyncio.sleep(_BETWEEN)
        await out.write(b"data: [DONE]\n\n")
        return out

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def _remember(folder: Path, n: int) -> None:
    """A workspace whose active generation has so many memories."""
    config = load_config(None, [f"workspace={json.dumps(str(folder))}"])
    async with Workspace.open(config) as workspace:
        known = Generation(
            id="g1",
            seq=1,
            parent=None,
            status=GenerationStatus.ACTIVE,
            model="scripted",
            prompts="compact",
        )
        workspace.store.add_generation(known)
        workspace.store.activate("g1")
        items = [
            MemoryItem(
                id=f"m{i}",
                title="",
                when=f"{_TOPICS[i % len(_TOPICS)]} {chr(97 + i % 26)}{chr(97 + i // 26 % 26)}",
                content="look up the state first",
                kind=MemoryKind.LESSON,
                namespace="live/gateway",
            )
            for i in range(n)
        ]
        workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=one) for one in items], "g1", "perf")


def _started(stack: ExitStack, command: list[str], error: bool) -> str:
    """Start a process that says on its first line where it listens."""
    where = {"stderr": subprocess.PIPE} if error else {"stdout": subprocess.PIPE}
    process: subprocess.Popen[str] = stack.enter_context(
        subprocess.Popen(command, text=True, env=dict(os.environ), **where)  # type: ignore[call-overload]
    )
    stack.callback(process.terminate)
    told = process.stderr if error else process.stdout
    assert told is not None
    return told.readline()


def _gateway(stack: ExitStack, folder: Path, upstream: str) -> str:
    command = [sys.executable, "-m", "instar.cli", "gateway", "--port", "0"]
    line = _started(stack, [*command, "--upstream", upstream, "--workspace", str(folder)], True)
    return line.split("OPENAI_BASE_URL=")[1].split(" ")[0]


def _body(number: int, stream: bool) -> dict[str, Any]:
    system = {"role": "system", "content": "You are the clerk of a shop. " * 40}
    user = {"role": "user", "content": f"{_TOPICS[number % len(_TOPICS)]} {number}"}
    return {"model": "m", "messages": [system, user], "stream": stream}


async def _whole(http: aiohttp.ClientSession, url: str, number: int) -> float:
    began = time.perf_counter()
    async with http.post(f"{url}/chat/completions", json=_body(number, False)) as answer:
        await answer.read()
        assert answer.status == 200
    return time.perf_counter() - began


async def _first(http: aiohttp.ClientSession, url: str, number: int) -> float:
    """Seconds to the first token; the rest is read, too."""
    began, taken = time.perf_counter(), 0.0
    async with http.post(f"{url}/chat/completions", json=_body(number, True)) as answer:
        async for _ in answer.content.iter_any():
            taken = taken or time.perf_counter() - began
    return taken


async def _many(
    call: Callable[[int], Awaitable[float]], n: int, at_once: int
) -> tuple[float, float]:
    """Median and 99th percentile over so many calls, so many at once; they begin apart."""
    found: list[float] = []

    async def loop(first: int) -> None:
        await asyncio.sleep(0.3 * first / at_once)
        for number in range(first, n, at_once):
            found.append(await call(number))

    await asyncio.gather(*(loop(i) for i in range(at_once)))
    cut = statistics.quantiles(found, n=100)
    return cut[49], cut[98]


async def _rounds(
    urls: dict[str, str], ask: Callable[..., Awaitable[float]], n: int, at_once: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
    number = 0
    # Servers close what was idle while others had their turn.
    kept = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=kept) as http:
        for turn in range(rounds + 1):
            names = list(urls)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                base, url, number = number, urls[name], number + n
                taken = await _many(lambda i: ask(http, url, base + i), n, at_once)  # noqa: B023
                if turn:  # the first warms up
                    found[name].append(taken)
    return found


def compare(delay: float, at_once: int, calls: int, rounds: int, memories: int) -> dict[str, Any]:
    """Milliseconds that the gateway adds, by what it does."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        here = [sys.executable, "-m", "benchmarks.perf.gateway", "--upstream", str(delay)]
        upstream = f"http://127.0.0.1:{_started(stack, here, False).strip()}/v1"
        known = Path(folder) / "known"
        asyncio.run(_remember(known, memories))
        urls = {
            "direct": upstream,
            "without recall": _gateway(stack, Path(folder) / "new", upstream),
            "with recall": _gateway(stack, known, upstream),
        }
        told: dict[str, Any] = {"delay_ms": 1000 * delay, "at_once": at_once}
        for what, ask in {"call": _whole, "first token": _first}.items():
            found = asyncio.run(_rounds(urls, ask, calls, at_once, rounds))
            direct = found.pop("direct")
            told[f"{what}, direct"] = _shown([(a, b) for a, b in direct])
            for name, taken in found.items():
                added = [(a - c, b - d) for (a, b), (c, d) in zip(taken, direct, strict=True)]
                told[f"{what}, {name}, added"] = _shown(added)
        return told


def _shown(pairs: list[tuple[float, float]]) -> dict[str, float]:
    names = ("p50_ms", "p99_ms")
    sides = zip(names, zip(*pairs, strict=True), strict=True)
    return {name: round(1000 * statistics.median(side), 2) for name, side in sides}


def main() -> None:
    """Print the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--delay", type=float, default=0.3)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--calls", type=int, default=640, help="in a round, of each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memories", type=int, default=1000)
    parser.add_argument("--upstream", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.upstream is not None:
        asyncio.run(_upstream(given.upstream))
        return
    found = compare(given.delay, given.at_once, given.calls, given.rounds, given.memories)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
