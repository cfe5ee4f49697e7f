"""Which tasks a walk through an office did: read off the records that it changed.

Nobody is asked what the rules are. The work that was done on a record says which families it may
have been of, the calls say with which values, and which of the other calls belong to it is left
open: the readings hold the work alone, then with one and with two of the other calls, and a try in
an episode of the new task shows which of them, if any, is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice

from pydantic import JsonValue

from benchmarks.houses.case import Case
from benchmarks.houses.house import House
from benchmarks.houses.office import Family, Office
from benchmarks.houses.records import Entry
from instar.types import Reading, Result, TaskDraft, ToolCall, Trajectory

__all__ = ["read"]

_MOST = 80
_KEPT = ("door", "distractors", "length", "era", "advice")
_OTHERS = 2


def read(house: House, walk: Trajectory) -> list[Reading]:
    """The tasks that a walk by the tool door did, one for each family of work on each record."""
    case = Case(house, walk.task, walk.seed)
    done = list(_done(case, walk))
    frame = {k: v for k, v in walk.task.params.items() if k in _KEPT}
    asked = [
        {"family": job.family, "ids": list(job.ids), "large": job.large, **job.values}
        for job in case.dials.jobs
    ]
    found = []
    for entry in case.state.entries.values():
        families = house.office.families.values() if entry.families else ()
        for family in families:
            job = _job(case, entry, family, done)
            if job is None or _plain(job) in asked:
                continue
            params = {**frame, **job, "records": 1}
            draft = TaskDraft(world=walk.task.world, family=family.name, params=params)
            ways = _ways(house.office, entry, family, done)
            found.append(Reading(draft=draft, ways=tuple(islice(ways, _MOST))))
    return found


def _done(case: Case, walk: Trajectory) -> Iterator[ToolCall]:
    """The calls that changed something, made once more in a case of the same seed."""
    tools = case.house.office.tools
    for step in walk.steps:
        for call in step.calls:
            before, result = case.state.content(), Result(text="", error=True)
            if call.name in tools:
                result = case.act(call.name, call.arguments)
            if not result.error and case.state.content() != before:
                yield call


def _job(
    case: Case, entry: Entry, family: Family, done: Sequence[ToolCall]
) -> dict[str, JsonValue] | None:
    """The work as parameters of a task; None where a part of it was not done."""
    office, start = case.house.office, case.start.entries[entry.name]
    made = {n: c for c in done if (n := _work(office, c, entry, family))}
    if set(made) != set(family.calls):
        return None
    kind = office.kinds[entry.kind]
    large = bool(kind.greater) and start.facts[kind.size] == kind.greater
    job: dict[str, JsonValue] = {"family": family.name, "ids": [entry.name], "large": large}
    if family.value:
        given = [c.arguments[family.value] for c in made.values() if family.value in c.arguments]
        if not given:  # done where the value is not asked for
            return None
        number = office.values[family.value].number and str(given[0]).isdecimal()
        job[family.value] = int(given[0]) if number else str(given[0])
    return job


def _work(office: Office, call: ToolCall, entry: Entry, family: Family) -> str:
    """The work of the family that a call does on a record, itself or at the counter; else empty."""
    tool = office.tools[call.name]
    if not tool.on_record or call.arguments.get(tool.parameters[0]) != entry.name:
        return ""
    name = str(call.arguments.get(tool.values[0], "")) if tool.role == "counter" else call.name
    return name if name in family.calls else ""


def _plain(job: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Values as text, as the jobs of a case have them."""
    return {
        k: str(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in job.items()
    }


def _ways(
    office: Office, entry: Entry, family: Family, done: Sequence[ToolCall]
) -> Iterator[tuple[ToolCall, ...]]:
    """The work with none, one and two of the other calls that may have been needed for it."""
    last = {n: i for i, call in enumerate(done) if (n := _work(office, call, entry, family))}
    others = [i for i, call in enumerate(done) if _may_help(office, call, entry)]
    for size in range(_OTHERS + 1):
        for some in combinations(others, size):
            yield tuple(done[i] for i in sorted([*last.values(), *some]))


def _may_help(office: Office, call: ToolCall, entry: Entry) -> bool:
    """Whether a call is on no record or on this one, and no work."""
    tool = office.tools[call.name]
    near = not tool.on_record or call.arguments.get(tool.parameters[0]) == entry.name
    return bool(tool.role) and tool.role != "counter" and near
