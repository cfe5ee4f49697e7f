"""Recall from a bank against the bare question to Chroma: median time, with and without filters.

Rivals are asked the same questions about the same vectors, in turns and a changing order; a ratio is
that of a turn, and the median of them is printed. Raw is `collection.query(n_results=k)` with nothing
filtered, as it would be without a bank. Recall has all its filters, ranking and budget and must come
back with as many; filtered away is what lies in other namespaces or needs tools that are not at hand.
Fused recall looks for the words of the question as well. Embedding is not measured: vectors are at hand for all.
Afterwards another process opens the bank, and tells how long that took and what memory it takes.

    python -m benchmarks.perf.recall [--items 1000,10000,100000] [--clock cpu]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.perf._memories import (
    NAMESPACES,
    TOOLS,
    Given,
    Made,
    Prepared,
    additions,
    make,
    prepared,
)
from instar.store import Store
from instar.types import Generation, GenerationStatus, Task, ToolSpec
from memory.bank import Bank

__all__ = [
    "FILTERS",
    "GENERATION",
    "Built",
    "build",
    "measure",
    "opened",
    "raw_collection",
    "turns",
]

GENERATION = "g0"
_WARM = 5
_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Ask = Callable[[Given], Awaitable[int]]


class Filter(NamedTuple):
    """What may be recalled: so many of ten namespaces, and of ten tools."""

    namespaces: int
    tools: int


FILTERS = {"nothing": Filter(10, 10), "60 %": Filter(6, 7), "97 %": Filter(1, 3)}
"""By the share of the memories that is filtered away."""


class Built(NamedTuple):
    """A bank of made-up memories, and its rival."""

    bank: Bank
    raw: Any

    def close(self) -> None:
        """Let go of the bank and its store."""
        self.bank.close()
        self.bank.store.close()


def opened(folder: Path, embedder: Prepared, near: float | None = None) -> Bank:
    """A bank in a folder; duplicates are looked for from a likeness on."""
    store = Store.open(folder / "instar.db")
    if not store.generations():
        store.add_generation(
            Generation(
                id=GENERATION,
                seq=0,
                parent=None,
                status=GenerationStatus.ACTIVE,
                model="scripted",
                prompts="compact",
            )
        )
    # All that is found may be recalled, so that it can be seen whether filters cost any.
    return Bank(store, embedder, folder / "index", floor=-1.0, margin=2.0, near=near)


def raw_collection(folder: Path) -> Any:
    """An empty collection of Chroma, as a bank's own."""
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(path=str(folder), settings=settings)
    space = {"hnsw": {"space": "cosine"}}
    return client.create_collection("raw", configuration=space, embedding_function=None)


def build(folder: Path, made: Sequence[Made], asked: Sequence[Given]) -> Built:
    """Both rivals over the same memories."""
    bank = opened(folder, prepared(made, asked))
    bank.write(additions(made), GENERATION)
    raw = raw_collection(folder / "raw")
    for start in range(0, len(made), 1000):
        some = made[start : start + 1000]
        raw.add(ids=[m.item.id for m in some], embeddings=[m.vector for m in some])
    return Built(bank, raw)


def rivals(built: Built, chosen: Filter) -> dict[str, Ask]:
    """Those who answer a question with a number of memories."""
    bank, raw = built
    places = NAMESPACES[: chosen.namespaces]
    tools = [ToolSpec(name=name) for name in TOOLS[: chosen.tools]]

    async def ask_raw(given: Given) -> int:
        found = raw.query(query_embeddings=[given.vector], n_results=bank.k)
        return len(found["ids"][0])

    async def recall(given: Given, words: bool) -> int:
        bank.lexical = words
        task = Task(
            id="t",
            instruction=given.text,
            world="shop",
            namespace=places[0],
            group="g",
            family="f",
        )
        told = await bank.recall(task, tools, as_of=GENERATION, seed=0, namespaces=places)
        return len(told.memories)

    return {
        "raw": ask_raw,
        "recall": lambda given: recall(given, False),
        "fused": lambda given: recall(given, True),
    }


async def turns(
    players: Mapping[str, Ask], asked: Sequence[Given], clock: Callable[[], float]
) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Seconds that each took for each question, and how many memories it gave; the first warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in players}
    gave: dict[str, list[int]] = {name: [] for name in players}
    names = list(players)
    for turn, given in enumerate(asked):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = clock()
            count = await players[name](given)
            if turn >= _WARM:
                seconds[name].append(clock() - began)
                gave[name].append(count)
    return seconds, gave


async def measure(
    built: Built, asked: Sequence[Given], clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Medians by what is filtered away.

    Returns:
        Milliseconds of ``raw``, ``recall`` and ``fused``; ``recall/raw``; ``full``, the share of the
        recalls that gave as many memories as were asked for.
    """
    found = {}
    for name, chosen in FILTERS.items():
        seconds, gave = await turns(rivals(built, chosen), asked, clock)
        told = {who: 1000 * statistics.median(s) for who, s in seconds.items()}
        pairs = zip(seconds["recall"], seconds["raw"], strict=True)
        told["recall/raw"] = statistics.median(a / b for a, b in pairs)
        told["full"] = statistics.mean(n == built.bank.k for n in gave["recall"])
        found[name] = told
    return found


def footprint(folder: Path) -> dict[str, float]:
    """What it takes another process to open a bank and to recall once: seconds, and MiB on top."""
    command = [sys.executable, "-m", "benchmarks.perf.recall", "--footprint", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


async def _opening(folder: Path) -> dict[str, float]:
    _, (given,) = make(1, 1, seed=1)
    before, began = _resident(), time.perf_counter()
    built = Built(opened(folder, Prepared({given.text: given.vector})), None)
    taken = {"open_s": time.perf_counter() - began}
    for name, ask in rivals(built, FILTERS["nothing"]).items():
        if name != "raw":
            began = time.perf_counter()
            await ask(given)
            taken[f"first_{name}_s"] = time.perf_counter() - began
    taken["mib"] = _resident() - before
    built.close()
    return taken


def _resident() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _show(items: int, found: Mapping[str, Mapping[str, float]], taken: Mapping[str, float]) -> None:
    for share, told in found.items():
        print(
            f"{items} items, {share} filtered away: raw {told['raw']:.2f} ms, recall"
            f" {told['recall']:.2f} ms, recall/raw {told['recall/raw']:.2f}, fused"
            f" {told['fused']:.2f} ms, as many as asked for {100 * told['full']:.0f} %"
        )
    print(
        f"{items} items in another process: open {taken['open_s']:.1f} s, first recall"
        f" {taken['first_recall_s']:.1f} s, first fused {taken['first_fused_s']:.1f} s,"
        f" {taken['mib']:.0f} MiB",
        flush=True,
    )


async def _sizes(sizes: Sequence[int], questions: int, clock: Callable[[], float]) -> None:
    for items in sizes:
        with TemporaryDirectory() as folder:
            made, asked = make(items, questions + _WARM)
            built = build(Path(folder), made, asked)
            found = await measure(built, asked, clock)
            built.close()
            _show(items, found, footprint(Path(folder)))
    print("wanted: recall/raw <= 1.5, fused < 25 ms, as many as asked for")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", default="1000,10000,100000", help="sizes of the bank")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--clock", choices=sorted(_CLOCKS), default="wall")
    parser.add_argument("--footprint", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.footprint:
        print(json.dumps(asyncio.run(_opening(given.footprint))))
        return
    sizes = [int(n) for n in given.items.split(",")]
    asyncio.run(_sizes(sizes, given.questions, _CLOCKS[given.clock]))


if __name__ == "__main__":
    main()
