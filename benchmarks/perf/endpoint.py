"""Does the agent keep a slow model busy? Concurrent episodes against a bare loop of litellm calls.

A loopback server in OpenAI's format answers after 300 ms (``--delay``). Ours: 32 House Rules
episodes at a time by the tool door, each turn a request. Rival: 32 loops at a time that send what the
turns of such an episode send through `litellm.acompletion`, with nothing else to do. Both
make the same number of requests; they are alternated in one process, and requests per second compared.

    python -m benchmarks.perf.endpoint
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
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
from instar.types import Split, Task

_TURNS = 6


class _Server:
    """Answers every request with a look at a record, after a delay; counts what it answered."""

    def __init__(self, delay: float) -> None:
        self.delay, self.answered, self.url = delay, 0, ""
        self.last: dict[str, Any] = {}
        self._runner: web.AppRunner | None = None

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(self.delay)
        self.answered, self.last = self.answered + 1, body
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


async def _turns(world: HouseRules, task: Task, server: _Server) -> list[dict[str, Any]]:
    """What an episode of ours sends, turn by turn."""
    model, sent = LiteLLM("openai/slow", server.url), []
    for turns in range(1, _TURNS + 1):
        agent = Agent(model, load_prompts("standard"), budget=Budget(steps=turns, loop=_TURNS + 1))
        await agent.run(task, await world.open(task, 0), seed=0, generation="perf")
        sent.append({k: server.last[k] for k in ("messages", "tools", "temperature", "max_tokens")})
    return sent


async def _rival(turns: Sequence[dict[str, Any]], n: int, server: _Server, at_once: int) -> float:
    """Requests per second of nothing but litellm."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True

    fixed: dict[str, Any] = {
        "model": "openai/slow",
        "api_base": server.url,
        "api_key": "no-key",
        "num_retries": 0,
        # Else litellm wants `mcp` as soon as there are tools, and looks for it in every call.
        "_skip_mcp_handler": True,
    }
    began = time.perf_counter()

    async def loop(_: int) -> None:
        for turn in turns:
            await litellm.acompletion(**fixed, **turn)

    await bounded(range(n), loop, at_once)
    return n * len(turns) / (time.perf_counter() - began)


async def compare(delay: float, episodes: int, at_once: int, rounds: int) -> dict[str, float]:
    """Medians over alternated rounds, and their ratio."""
    world = HouseRules(house=0, web_share=0.0)
    tasks = world.tasks(Split.PRACTISE, episodes, 0)
    server = _Server(delay)
    await server.start()
    try:
        turns = await _turns(world, tasks[0], server)
        await _ours(world, tasks[:at_once], server, at_once)
        await _rival(turns, at_once, server, at_once)
        pairs = [
            (
                await _ours(world, tasks, server, at_once),
                await _rival(turns, len(tasks), server, at_once),
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
