"""What a grammar of calls costs and what it gives: tokens a second, and the share of answers that are a valid call.

The requests are those of whole House Rules episodes, as in `benchmarks.perf.serving`. One engine
answers them with ``model.constrained`` and one without, at temperature 0 and 1, in a changing order;
ratios are those of a round, and their median is printed. Answers differ with the grammar and so do
their lengths: tokens a second compare the work, not the episodes. A valid call names a tool that was
offered and has what it requires and nothing that it does not know; types are not looked at.

    python -m benchmarks.perf.constrained
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.perf.serving import Asked, Served, record
from benchmarks.runner import bounded
from instar.llm_local import LocalEngine
from instar.types import Reply, Sampling, ToolSpec

__all__ = ["answered", "measure", "valid"]

_MOST = 160
"""Tokens of an answer at most, as in the default settings."""


def valid(reply: Reply, tools: Sequence[ToolSpec]) -> bool:
    """Whether an answer is nothing but sound calls of tools that were offered."""
    specs = {t.name: t.parameters for t in tools}
    return bool(reply.calls) and all(
        call.name in specs
        and set(specs[call.name].get("required", ()))
        <= set(call.arguments)
        <= set(specs[call.name].get("properties", {}))
        for call in reply.calls
    )


async def answered(
    folder: Path, asked: Sequence[Asked], at_once: int, constrained: bool, temperature: float
) -> Served:
    """All requests, some at a time; what was said is whether it is a valid call."""
    engine = LocalEngine(folder, device="cpu", constrained=constrained)
    model = engine.client()
    # Loading is not serving.
    await model.complete([{"role": "user", "content": "Hello."}], (), Sampling(max_tokens=1))
    served = Served(0.0, 0, [()] * len(asked))
    began = time.perf_counter()

    async def answer(i: int) -> None:
        sampling = Sampling(temperature=temperature, max_tokens=_MOST, seed=i)
        reply = await model.complete(asked[i].messages, asked[i].tools, sampling)
        served.tokens += reply.usage.completion_tokens
        served.said[i] = (valid(reply, asked[i].tools),)

    await bounded(range(len(asked)), answer, at_once)
    served.seconds = time.perf_counter() - began
    await engine.close()
    return served


async def measure(
    folder: Path, asked: Sequence[Asked], at_once: int, rounds: int, temperature: float
) -> dict[str, float]:
    """Both at one temperature; the first round warms up and is left out.

    Returns:
        Tokens a second and the share of valid calls, free and constrained, and the ratio of speeds.
    """
    taken: dict[bool, list[Served]] = {False: [], True: []}
    for turn in range(rounds + 1):
        for constrained in (False, True) if turn % 2 else (True, False):
            served = await answered(folder, asked, at_once, constrained, temperature)
            if turn:
                taken[constrained].append(served)
    found: dict[str, float] = {}
    for constrained, name in ((False, "free"), (True, "constrained")):
        found[f"{name}_tokens_per_s"] = statistics.median(s.speed for s in taken[constrained])
        found[f"{name}_valid"] = statistics.mean(ok for s in taken[constrained] for (ok,) in s.said)
    pairs = zip(taken[True], taken[False], strict=True)
    found["constrained/free"] = statistics.median(a.speed / b.speed for a, b in pairs)
    return found


async def _all(episodes: int, at_once: int, rounds: int) -> dict[str, Any]:
    from finetune.pocket import MODEL_DIR

    asked = await record(MODEL_DIR, episodes, at_once)
    found: dict[str, Any] = {"requests": len(asked)}
    for temperature in (0.0, 1.0):
        measured = await measure(MODEL_DIR, asked, at_once, rounds, temperature)
        found[f"temperature {temperature:g}"] = {k: round(v, 3) for k, v in measured.items()}
    return found


def main() -> None:
    """Print the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(_all(given.episodes, given.at_once, given.rounds))))


if __name__ == "__main__":
    main()
