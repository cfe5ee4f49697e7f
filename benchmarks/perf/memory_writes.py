"""Writing memories into a bank against the bare batched add of Chroma: items a second.

The same items in the same batches, in turns and a changing order; a ratio is that of a round, with
folders of its own, and the median of them is printed. A bank writes store and indexes and has said
so when a kill can no longer undo it; raw is `collection.add` alone. Each starts with some items
there already, since a bank is seldom empty. Embedding is not measured: vectors are at hand.

    python -m benchmarks.perf.memory_writes [--items 1000] [--batch 100] [--held 10000]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.perf._memories import Made, additions, make, prepared
from benchmarks.perf.recall import GENERATION, opened, raw_collection

__all__ = ["measure", "turns"]

Put = Callable[[Sequence[Made]], None]
_NEAR = 0.95
"""Likeness from which duplicates are looked for, as in the default settings."""


def turns(
    players: Mapping[str, Put], batches: Sequence[Sequence[Made]], clock: Callable[[], float]
) -> dict[str, float]:
    """Seconds that each took for all batches; who begins changes from batch to batch."""
    seconds = dict.fromkeys(players, 0.0)
    names = list(players)
    for turn, batch in enumerate(batches):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = clock()
            players[name](batch)
            seconds[name] += clock() - began
    return seconds


def _round(
    folder: Path,
    held: Sequence[Made],
    batches: Sequence[Sequence[Made]],
    clock: Callable[[], float],
) -> dict[str, float]:
    embedder = prepared([*held, *(m for batch in batches for m in batch)], ())
    with ExitStack() as stack:

        def bank(name: str, near: float | None) -> Put:
            one = opened(folder / name, embedder, near)
            stack.callback(one.store.close)
            stack.callback(one.close)
            return lambda made: _written(one.write(additions(made), GENERATION))

        collection = raw_collection(folder / "raw")
        players = {
            "raw": lambda made: _added(collection, made),
            "bank": bank("bank", None),
            "bank, duplicates looked for": bank("looking", _NEAR),
        }
        for start in range(0, len(held), 1000):
            for put in players.values():
                put(held[start : start + 1000])
        return turns(players, batches, clock)


def _written(items: Sequence[Any]) -> None:
    if not items:
        raise RuntimeError("the bank wrote nothing")


def _added(collection: Any, made: Sequence[Made]) -> None:
    collection.add(ids=[m.item.id for m in made], embeddings=[m.vector for m in made])


def measure(
    count: int, batch: int, held: int, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Items a second of each, and ratios to raw.

    Args:
        count: Items written in a round.
        batch: So many in one write.
        held: So many are there before; the first write is never measured.
    """
    made, _ = make(max(held, 1) + count, 0)
    there, new = made[: max(held, 1)], made[max(held, 1) :]
    batches = [new[start : start + batch] for start in range(0, count, batch)]
    taken = []
    for _ in range(rounds):
        with TemporaryDirectory() as folder:
            taken.append(_round(Path(folder), there, batches, clock))
    found: dict[str, float] = {}
    for name in taken[0]:
        found[f"{name}: items/s"] = statistics.median(count / t[name] for t in taken)
        if name != "raw":
            found[f"{name}/raw"] = statistics.median(t["raw"] / t[name] for t in taken)
    return found


def main() -> None:
    """Print the figures as JSON, one line for each number of items that are there before."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--held", default="0,10000", help="items that are there before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="wall")
    given = parser.parse_args()
    clock = time.process_time if given.clock == "cpu" else time.perf_counter
    for held in map(int, given.held.split(",")):
        found = measure(given.items, given.batch, held, given.rounds, clock)
        print(json.dumps({"held": held} | {k: round(v, 2) for k, v in found.items()}), flush=True)
    print("wanted: bank/raw >= 0.8, with duplicates looked for >= 0.3")


if __name__ == "__main__":
    main()
