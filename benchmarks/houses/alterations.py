"""The oracle's calls with one thing wrong: a verifier worth its name fails every one of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from benchmarks.houses.case import Case, solution
from benchmarks.houses.house import House
from benchmarks.houses.office import Office
from benchmarks.houses.records import Call, State
from benchmarks.houses.words import content_word, email
from instar.types import Task

__all__ = ["alterations"]

_STRAYS = ("note", "close", "allow", "confirm", "mark", "give", "open", "act")


def alterations(house: House, task: Task, seed: int) -> list[tuple[str, list[Call]]]:
    """Each way to drop a step, one altered value a call, and one stray write, with their names."""
    case = Case(house, task, seed)
    calls = solution(case.house, case.dials, case.start)
    office = house.office
    rng = random.Random(f"alter {task.id} {seed}")
    runs = [(f"without {c.name}", [*calls[:i], *calls[i + 1 :]]) for i, c in enumerate(calls)]
    runs += list(_altered(office, calls, case.start, rng))
    stray = _stray(office, case.start, rng)
    at = rng.randint(0, len(calls))
    return [*runs, (f"stray {stray.name}", [*calls[:at], stray, *calls[at:]])]


def _stray(office: Office, state: State, rng: random.Random) -> Call:
    """A write that nobody asked for."""
    tool = office.roles[rng.choice(_STRAYS)]
    given = [rng.choice(list(state.entries))] if tool.on_record else []
    given += [content_word(rng)] if tool.values else []
    return Call(tool.name, dict(zip(tool.parameters, given, strict=True)))


def _altered(
    office: Office, calls: Sequence[Call], state: State, rng: random.Random
) -> Iterator[tuple[str, list[Call]]]:
    for i, call in enumerate(calls):
        key = rng.choice(sorted(call.arguments))
        value = _other(office, call, key, state, rng)
        other = Call(call.name, {**call.arguments, key: value})
        yield f"{call.name} with another {key}", [*calls[:i], other, *calls[i + 1 :]]


def _other(office: Office, call: Call, key: str, state: State, rng: random.Random) -> str:
    """Another value of the same sort."""
    tool, value = office.tools[call.name], call.arguments[key]
    names_record = (tool.on_record and key == tool.parameters[0]) or (
        key in office.values and office.values[key].record
    )
    if names_record:
        kind = state.entries[value].kind
        return rng.choice(
            [e.name for e in state.entries.values() if e.kind == kind and e.name != value]
        )
    if key in office.values and value.isdecimal():
        return str(int(value) + (1 if int(value) < 18 else -1))
    if tool.role == "counter":
        return next(name for name in office.work if name != value)
    if tool.role == "wait":
        return next(shift for shift in office.shifts[1:] if shift != value)
    return email(rng) if "@" in value else content_word(rng)
