"""The oracle's calls with one thing wrong: a verifier worth its name fails every one of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from benchmarks.houses.case import Case, solution
from benchmarks.houses.house import House
from benchmarks.houses.records import WORK_TOOLS, Call, State
from benchmarks.houses.words import content_word, email
from instar.types import Task

__all__ = ["alterations"]


def alterations(house: House, task: Task, seed: int) -> list[tuple[str, list[Call]]]:
    """Each way to drop a step, one altered value a call, and one stray write, with their names."""
    case = Case(house, task, seed)
    calls = solution(house, case.dials)
    rng = random.Random(f"alter {task.id} {seed}")
    runs = [(f"without {c.name}", [*calls[:i], *calls[i + 1 :]]) for i, c in enumerate(calls)]
    runs += list(_altered(calls, case.start, rng))
    name = rng.choice(list(case.start.entries))
    stray = rng.choice(
        [
            Call("log", {"record": name}),
            Call("seal", {"record": name}),
            Call("approve", {"record": name}),
            Call("tag", {"record": name, "text": content_word(rng)}),
            Call("assign", {"record": name, "person": content_word(rng)}),
            Call("open", {"place": content_word(rng)}),
        ]
    )
    at = rng.randint(0, len(calls))
    return [*runs, (f"stray {stray.name}", [*calls[:at], stray, *calls[at:]])]


def _altered(
    calls: Sequence[Call], state: State, rng: random.Random
) -> Iterator[tuple[str, list[Call]]]:
    for i, call in enumerate(calls):
        key = rng.choice(sorted(call.arguments))
        other = Call(
            call.name, {**call.arguments, key: _other(key, call.arguments[key], state, rng)}
        )
        yield f"{call.name} with another {key}", [*calls[:i], other, *calls[i + 1 :]]


def _other(key: str, value: str, state: State, rng: random.Random) -> str:
    """Another value of the same sort."""
    if value in state.entries:
        kind = state.entries[value].kind
        return rng.choice(
            [e.name for e in state.entries.values() if e.kind == kind and e.name != value]
        )
    if key == "quantity":
        return str(int(value) + 1)
    if key == "action":
        return next(name for name in WORK_TOOLS if name != value)
    return email(rng) if key == "email" else content_word(rng)
