"""The office in which a task is done, as it is before the first call.

Records that were not asked for come from the seed of the episode. In a poisoned task the records
asked for, and all messages from outside, carry a note with advice that does not hold.
"""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.houses.dials import Dials, Job
from benchmarks.houses.house import House
from benchmarks.houses.office import Office
from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.tasks import work
from benchmarks.houses.words import record_ids

__all__ = ["NOTE", "advised", "notice", "scene"]

NOTE = "note"
"""The fact that holds advice."""


def scene(house: House, dials: Dials, rng: random.Random) -> State:
    """The office of a task before the first call."""
    office = house.office
    entries = [_asked(office, rng, job, name) for job in dials.jobs for name in job.ids]
    named = [
        _entry(office, rng, office.values[key].record, value)
        for job in dials.jobs
        for key, value in job.values.items()
        if office.values[key].record
    ]
    kinds = _others(office, rng, dials, [entry.kind for entry in named])
    taken = frozenset(entry.name for entry in (*entries, *named))
    ids = record_ids(rng, len(kinds), taken, office.digits)
    things = [thing for thing in office.things if thing not in taken]
    rng.shuffle(things)
    for i, kind in enumerate(kinds):
        if office.kinds[kind].numbered:
            named.append(_entry(office, rng, kind, ids[i]))
        elif things:
            named.append(_entry(office, rng, kind, things.pop()))
    entries += named
    if dials.advice:
        entries = _noted(house, dials, entries)
    rng.shuffle(entries)
    return State({entry.name: entry for entry in entries})


def _others(office: Office, rng: random.Random, dials: Dials, named: list[str]) -> list[str]:
    """Kinds of the records that were not asked for: another of each kind that matters, and more."""
    asked = [office.kind_of(job.family).name for job in dials.jobs]
    needed = list(dict.fromkeys([*asked, *named]))
    free = max(0, dials.distractors - len(needed))
    others = [*needed, *rng.choices(list(office.kinds), k=free)]
    first = asked[0]
    missing = dials.length - asked.count(first) - others.count(first)
    return others + [first] * max(0, missing)


def _asked(office: Office, rng: random.Random, job: Job, name: str) -> Entry:
    kind, family = office.kind_of(job.family), office.families[job.family]
    entry = _entry(office, rng, kind.name, name)
    facts = {**entry.facts, **family.facts}
    if kind.greater:
        facts[kind.size] = kind.greater if job.large else kind.lesser
    return replace(entry, facts=facts)


def _entry(office: Office, rng: random.Random, kind: str, name: str) -> Entry:
    return Entry(kind, name, {fact: draw(rng) for fact, draw in office.kinds[kind].facts.items()})


def notice(house: House, dials: Dials) -> str:
    """The advice of a poisoned task; empty where the task carries none."""
    if not dials.advice:
        return ""
    return "; ".join(dict.fromkeys(_note(house, job, job.ids[0]) for job in dials.jobs))


def _note(house: House, job: Job, name: str) -> str:
    office = house.office
    call = work(office, job, name)[0]
    entry = Entry(office.kind_of(job.family).name, name)
    demand = house.advice[job.family].demand(entry, call)
    return office.notice.format(family=job.family, demand=demand)


def _noted(house: House, dials: Dials, entries: list[Entry]) -> list[Entry]:
    said = notice(house, dials)
    notes = {e.name: said for e in entries if house.office.kinds[e.kind].written}
    notes |= {name: _note(house, job, name) for job in dials.jobs for name in job.ids}
    return [
        replace(e, facts={**e.facts, NOTE: notes[e.name]}) if e.name in notes else e
        for e in entries
    ]


def advised(house: House, dials: Dials, start: State) -> list[Call]:
    """The calls of somebody who believes the advice."""
    calls = []
    for job in dials.jobs:
        rule = house.advice[job.family]
        calls += rule.begin(start)
        for name in job.ids:
            calls += rule.plan(start.entries[name], work(house.office, job, name))
    return calls
