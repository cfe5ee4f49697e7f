"""Does the agent keep a slow model busy? Concurrent episodes against a bare loop of litellm calls.

A loopback server in OpenAI's format answers after 300 ms (``--delay``). Ours: 32 House Rules
episodes at a time by the tool door, each turn a request. Rival: 32 loops at a time that send requests with
the same tools and messages of like size through `litellm.acompletion`, with nothing else to do. Both
make the same number of requests; they are alternated in one process, and requests per second compared.

    python -m benchmarks.perf.endpoint
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from agent.budget import Budget
from agent.graph import Agent
from agent.prompts import load_prompts
from benchmarks.runner import bounded
from benchmarks.worlds.house_rules import HouseRules
from instar.llm import LiteLLM
from instar.render import messages
from instar.types import Message, Sampling, Split, Task, ToolSpec

_TURNS = 6


class _Server:
    """Answers every request with a look at a record, after a delay; counts what it answered."""

    def __init__(self, delay: float) -> None:
        self.delay, self.answered, self.url = delay, 0, ""
        self._runner: web.AppRunner | None = None

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(self.delay)
        self.answered += 1
        arguments = json.dumps({"record": f"{self.answered % 900 + 100}"})
        call = {"name": "look", "arguments": arguments}
        calls = [{"id": f"c{self.answered}", "type": "function", "function": call}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        usage = {"prompt_tokens": 300, "completion_tokens": 10, "total_tokens": 310}
        head = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**head, "choices": [choice], "usage": usage})

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


async def _ours(world: HouseRules, tasks: Sequence[Task], server: _Server, at_once: int) -> float:
    """Requests per second of whole episodes."""
    model = LiteLLM("openai/slow", server.url)
    agent = Agent(model, load_prompts("standard"), budget=Budget(steps=_TURNS, loop=_TURNS + 1))
    before, began = server.answered, time.perf_counter()

    async def episode(task: Task) -> None:
        opened = await world.open(task, 0)
        await agent.run(task, opened, seed=0, generation="perf")

    await bounded(tasks, episode, at_once)
    return (server.answered - before) / (time.perf_counter() - began)


async def _rival(
    prompt: Sequence[Message], tools: Sequence[ToolSpec], n: int, server: _Server, at_once: int
) -> float:
    """Requests per second of nothing but litellm."""
    import litellm

    request: dict[str, Any] = {
        "model": "openai/slow",
        "messages": list(prompt),
        "tools": [t.schema_openai() for t in tools],
        "temperature": 0.0,
        "max_tokens": Sampling().max_tokens,
        "api_base": server.url,
        "api_key": "no-key",
        "num_retries": 0,
    }
    began = time.perf_counter()

    async def loop(_: int) -> None:
        for _turn in range(_TURNS):
            await litellm.acompletion(**request)

    await bounded(range(n), loop, at_once)
    return n * _TURNS / (time.perf_counter() - began)


async def compare(delay: float, episodes: int, at_once: int, rounds: int) -> dict[str, float]:
    """Medians over alternated rounds, and their ratio."""
    world = HouseRules(house=0, web_share=0.0)
    tasks = world.tasks(Split.PRACTISE, episodes, 0)
    opened = await world.open(tasks[0], 0)
    tools = opened.toolset.tools()
    prompt = messages(load_prompts("standard"), (), tasks[0], (), await opened.observe(), tools)
    server = _Server(delay)
    await server.start()
    try:
        await _ours(world, tasks[:at_once], server, at_once)
        await _rival(prompt, tools, at_once, server, at_once)
        pairs = [
            (
                await _ours(world, tasks, server, at_once),
                await _rival(prompt, tools, len(tasks), server, at_once),
            )
            for _ in range(rounds)
        ]
    finally:
        await server.close()
    ours, rival = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return {"ours_per_s": ours, "litellm_per_s": rival, "ratio": ratio}


def main() -> None:
    """Print the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--delay", type=float, default=0.3)
    parser.add_argument("--episodes", type=int, default=96)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found = asyncio.run(compare(given.delay, given.episodes, given.at_once, given.rounds))
    print(json.dumps({k: round(v, 3) for k, v in found.items()}))


if __name__ == "__main__":
    main()
