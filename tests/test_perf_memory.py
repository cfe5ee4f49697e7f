"""The timing scripts of the memory at toy size: who is asked what, and what is made of the seconds.

Speed itself is not tested.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf import memory_writes, recall
from benchmarks.perf._memories import DIMENSION, Given, Made, Prepared, make, prepared
from memory._words import words_of


@pytest.fixture
def clock() -> Iterator[Any]:
    ticks = itertools.count()
    yield lambda: float(next(ticks))


def test_memories_are_the_same_for_the_same_seed_and_like_real_ones() -> None:
    (made, asked), again, other = make(400, 20), make(400, 20), make(400, 20, seed=1)
    assert [m.item for m in made] == [m.item for m in again[0]] != [m.item for m in other[0]]
    assert np.array_equal(asked[3].vector, again[1][3].vector)
    assert len({m.item.id for m in made}) == 400
    assert {len(g.text.split()) for g in asked} == {30}
    vectors = np.stack([m.vector for m in made])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    # A question has a cluster of memories near it, and the rest far off.
    cosines = np.sort(vectors @ asked[0].vector)[::-1]
    assert cosines[10] > 0.5 and cosines[200] < 0.3
    # Few words are in many memories, most in few.
    held: dict[str, int] = {}
    for m in made:
        for word in set(words_of(m.item.content)):
            held[word] = held.get(word, 0) + 1
    assert sum(n > 100 for n in held.values()) < 20 < sum(n == 1 for n in held.values())


def test_the_embedder_knows_its_answers() -> None:
    made, asked = make(5, 2)
    embedder = prepared(made, asked)
    item = made[2].item
    for text in (item.when, f"{item.when} {item.title}"):
        assert embedder.embed([text]) == [made[2].vector.tolist()]
    (other,) = Prepared({}).embed(["something else"])
    assert len(other) == DIMENSION and other == Prepared({}).embed(["something else"])[0]


async def test_rivals_take_turns_and_the_first_questions_warm_up(clock: Any) -> None:
    asked: list[tuple[str, str]] = []

    def player(name: str, gives: int) -> recall.Ask:
        async def ask(given: Given) -> int:
            asked.append((name, given.text))
            return gives

        return ask

    questions = [Given(str(n), np.zeros(1, dtype=np.float32)) for n in range(8)]
    players = {"raw": player("raw", 4), "recall": player("recall", 3)}
    seconds, gave = await recall.turns(players, questions, clock)
    assert asked[:4] == [("raw", "0"), ("recall", "0"), ("recall", "1"), ("raw", "1")]
    assert seconds == {"raw": [1.0] * 3, "recall": [1.0] * 3}
    assert gave == {"raw": [4] * 3, "recall": [3] * 3}


async def test_recall_is_measured_against_the_raw_question(tmp_path: Path, clock: Any) -> None:
    made, asked = make(400, 12)
    built = recall.build(tmp_path, made, asked)
    found = await recall.measure(built, asked, clock)
    assert list(found) == list(recall.FILTERS)
    for told in found.values():
        assert told["raw"] == told["recall"] == told["fused"] == 1000 and told["recall/raw"] == 1
    # Whatever is filtered away, k come back while there are so many.
    assert found["nothing"]["full"] == found["60 %"]["full"] == 1
    built.close()
    taken = recall.footprint(tmp_path)
    assert all(taken[f"{what}_s"] > 0 for what in ("open", "first_recall", "first_fused"))
    assert taken["mib"] > 1


async def test_all_rivals_look_at_the_same_memories(tmp_path: Path) -> None:
    made, asked = make(120, 3)
    built = recall.build(tmp_path, made, asked)
    chosen = recall.FILTERS["97 %"]
    left = [
        m
        for m in made
        if m.item.namespace in recall.NAMESPACES[: chosen.namespaces]
        and set(m.item.tools) <= set(recall.TOOLS[: chosen.tools])
    ]
    players = recall.rivals(built, chosen)
    for given in asked:
        assert await players["raw"](given) == built.bank.k
        assert await players["recall"](given) == min(built.bank.k, len(left))
        assert await players["fused"](given) == min(built.bank.k, len(left))
    assert built.raw.count() == len(made) == len(built.bank.store.items("g0"))
    built.close()


def test_writers_take_turns_batch_by_batch(clock: Any) -> None:
    put: list[tuple[str, int]] = []

    def player(name: str) -> memory_writes.Put:
        def write(made: Sequence[Made]) -> None:
            put.append((name, len(made)))

        return write

    made, _ = make(7, 0)
    players = {name: player(name) for name in ("raw", "bank")}
    seconds = memory_writes.turns(players, [made[:3], made[3:6], made[6:]], clock)
    assert put == [("raw", 3), ("bank", 3), ("bank", 3), ("raw", 3), ("raw", 1), ("bank", 1)]
    assert seconds == {"raw": 3.0, "bank": 3.0}


def test_writes_are_measured_against_raw_ones(clock: Any) -> None:
    found = memory_writes.measure(count=60, batch=30, held=40, rounds=1, clock=clock)
    rates = {name for name in found if name.endswith("items/s")}
    assert len(rates) == 3 and all(found[name] == 30 for name in rates)
    assert found["bank/raw"] == found["bank, duplicates looked for/raw"] == 1


@pytest.mark.parametrize("script", [recall, memory_writes])
def test_each_runs_as_a_command(script: Any, capsys: Any, monkeypatch: Any) -> None:
    small = {recall: ["--items", "60", "--questions", "3"]}
    small[memory_writes] = ["--items", "40", "--batch", "20", "--held", "0,30", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["x", *small[script], "--clock", "cpu"])
    script.main()
    *told, wanted = capsys.readouterr().out.splitlines()
    assert wanted.startswith("wanted: ")
    if script is recall:
        assert [line.split()[0] for line in told] == ["60"] * 4
    else:
        assert [json.loads(line)["held"] for line in told] == [0, 30]
