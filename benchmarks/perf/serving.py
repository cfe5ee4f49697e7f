"""Tokens a second of the local model: ours, against transformers' own ``generate``, alone and in batches.

The requests are those of whole House Rules episodes by the tool door, played by pocket and written
down. Ours answers them with so many at a time (``--at-once``). The rivals have the same weights and
the same greedy choice: ``generate`` one by one, which keeps its cache within an answer, and ``generate``
on left-padded batches of the same number, sorted by length so that little is padded. All three answer all
requests in each round, in a changing order; ratios are those of a round, and their median is printed.
Answers are compared too: batched floating point may round a near tie the other way.

    python -m benchmarks.perf.serving
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agent.budget import Budget
from agent.graph import Agent
from agent.prompts import load_prompts
from benchmarks.runner import bounded
from benchmarks.worlds.house_rules import HouseRules
from instar._toolparse import parse_reply
from instar.llm_local import LocalEngine
from instar.types import Message, Reply, Sampling, Split, ToolSpec

__all__ = ["Asked", "Rival", "Served", "compare", "ours", "record"]

_MOST = 96
"""Tokens of an answer at most, for all alike; those of pocket have about twenty."""


@dataclass(frozen=True)
class Asked:
    """One request as an episode made it."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]


@dataclass
class Served:
    """What a server made of all requests: seconds, tokens of its answers, and the answers by request."""

    seconds: float
    tokens: int
    said: list[tuple[Any, ...]]

    @property
    def speed(self) -> float:
        """Tokens of answers a second."""
        return self.tokens / self.seconds


Serve: TypeAlias = Callable[[Sequence[Asked]], Awaitable[Served]]


class _Recorder:
    """A chat model that writes down what it is asked."""

    def __init__(self, engine: LocalEngine) -> None:
        self._inner = engine.client()
        self.name, self.provider = self._inner.name, self._inner.provider
        self.asked: list[Asked] = []

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        """Answer once; see `ChatModel`."""
        self.asked.append(Asked(tuple(messages), tuple(tools)))
        return await self._inner.complete(messages, tools, sampling)


async def record(folder: Path, episodes: int, at_once: int) -> list[Asked]:
    """The requests of some practise episodes, in the order in which they were made."""
    engine = LocalEngine(folder, device="cpu")
    world = HouseRules(house=0, web_share=0.0)
    model = _Recorder(engine)
    agent = Agent(model, load_prompts("standard"), budget=Budget())

    async def episode(task: Any) -> None:
        await agent.run(task, await world.open(task, 0), seed=0, generation="perf")

    await bounded(world.tasks(Split.PRACTISE, episodes, 0), episode, at_once)
    await engine.close()
    return model.asked


async def ours(folder: Path, asked: Sequence[Asked], at_once: int) -> Served:
    """All requests by a local engine that has seen none of them, some at a time."""
    engine = LocalEngine(folder, device="cpu")
    model, sampling = engine.client(), Sampling(max_tokens=_MOST)
    # Loading is not serving.
    await model.complete([{"role": "user", "content": "Hello."}], (), Sampling(max_tokens=1))
    said: list[tuple[Any, ...]] = [()] * len(asked)
    tokens = 0
    began = time.perf_counter()

    async def answer(i: int) -> None:
        nonlocal tokens
        reply = await model.complete(asked[i].messages, asked[i].tools, sampling)
        tokens += reply.usage.completion_tokens
        said[i] = _plain(reply.content, reply.calls)

    await bounded(range(len(asked)), answer, at_once)
    served = Served(time.perf_counter() - began, tokens, said)
    await engine.close()
    return served


class Rival:
    """The same weights by transformers' ``generate``.

    Args:
        folder: A transformers model folder.
        rows: Requests of one call.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self._rows = rows

    async def serve(self, asked: Sequence[Asked]) -> Served:
        """All requests."""
        return await asyncio.to_thread(self._serve, asked)

    def _serve(self, asked: Sequence[Asked]) -> Served:
        said: list[tuple[Any, ...]] = [()] * len(asked)
        tokens = 0
        began = time.perf_counter()
        prompts = [self._render(one) for one in asked]
        order = sorted(range(len(asked)), key=lambda i: len(prompts[i]))
        for first in range(0, len(order), self._rows):
            chosen = order[first : first + self._rows]
            for i, new in zip(chosen, self._generate([prompts[i] for i in chosen]), strict=True):
                tokens += len(new)
                text = self._tokenizer.decode(new).removesuffix(self._tokenizer.eos_token)
                said[i] = _plain(*parse_reply(text, asked[i].tools))
        return Served(time.perf_counter() - began, tokens, said)

    def _render(self, one: Asked) -> str:
        tools = [t.schema_openai() for t in one.tools] or None
        text: str = self._tokenizer.apply_chat_template(
            list(one.messages), tools=tools, add_generation_prompt=True, tokenize=False
        )
        return text

    def _generate(self, prompts: Sequence[str]) -> list[list[int]]:
        """The new tokens of each row, its stop token included."""
        import torch

        stop = self._tokenizer.eos_token_id
        given = self._tokenizer(
            list(prompts), return_tensors="pt", padding=True, add_special_tokens=False
        )
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                max_new_tokens=_MOST,
                do_sample=False,
                eos_token_id=stop,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        rows = made[:, given["input_ids"].shape[1] :].tolist()
        return [row[: row.index(stop) + 1] if stop in row else row for row in rows]


def _plain(content: str, calls: Sequence[Any]) -> tuple[Any, ...]:
    """An answer without the ids that its calls were given."""
    return (content, *((c.name, json.dumps(c.arguments, sort_keys=True)) for c in calls))


async def compare(servers: dict[str, Serve], asked: Sequence[Asked], rounds: int) -> dict[str, Any]:
    """Medians over rounds in a changing order; the first round warms up and is left out.

    Args:
        servers: By name; the first is the one that the others are compared with.

    Returns:
        ``requests``; for each server tokens a second; for each but the first the ratio
        of speeds, and the share of requests that it answered like the first.
    """
    first, *rivals = servers
    order = list(servers)
    taken: dict[str, list[Served]] = {name: [] for name in servers}
    for turn in range(rounds + 1):
        order = order[1:] + order[:1]
        for name in order:
            served = await servers[name](asked)
            if turn:
                taken[name].append(served)
    found: dict[str, Any] = {"requests": len(asked)}
    for name, rounds_of in taken.items():
        found[f"{name}_tokens_per_s"] = statistics.median(s.speed for s in rounds_of)
    for name in rivals:
        pairs = list(zip(taken[first], taken[name], strict=True))
        found[f"{first}/{name}"] = statistics.median(a.speed / b.speed for a, b in pairs)
        same = [x == y for a, b in pairs for x, y in zip(a.said, b.said, strict=True)]
        found[f"same_as_{name}"] = statistics.mean(same)
    return found


async def measure(episodes: int, at_once: int, rounds: int) -> dict[str, Any]:
    """Pocket on the requests of some episodes."""
    from finetune.pocket import MODEL_DIR

    asked = await record(MODEL_DIR, episodes, at_once)
    servers: dict[str, Serve] = {
        "ours": lambda them: ours(MODEL_DIR, them, at_once),
        "one_by_one": Rival(MODEL_DIR, 1).serve,
        "padded": Rival(MODEL_DIR, at_once).serve,
    }
    return await compare(servers, asked, rounds)


def main() -> None:
    """Print the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found = asyncio.run(measure(given.episodes, given.at_once, given.rounds))
    print(json.dumps({k: round(v, 3) for k, v in found.items()}))


if __name__ == "__main__":
    main()
