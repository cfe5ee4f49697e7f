"""From an office to tasks: dials drawn, and the words in which they are asked for."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from benchmarks.houses.dials import COMPOUND, Dials, Job, parse
from benchmarks.houses.office import Family, Office
from benchmarks.houses.records import Call
from benchmarks.houses.words import record_ids

__all__ = ["LONG", "draw", "draw_long", "instruction", "work"]

LONG = 20
"""How many naive calls a compound task usually has at least."""

_HARD = 0.25


def draw(
    office: Office,
    rng: random.Random,
    family: str,
    door: str,
    fixed: Mapping[str, JsonValue] | None = None,
    rich: bool = False,
) -> Dials:
    """Dials of a plain task of a family at random.

    Args:
        fixed: Dials to keep, ids as far as ``records`` goes.
        rich: Whether all paraphrases may come, or only the plain ones.

    Raises:
        ValueError: The fixed ones do not fit.
    """
    if family not in office.families:
        raise ValueError(f"no family {family!r}; there are {', '.join(office.families)}")
    keep = dict(fixed or {})
    hard = rng.random() < _HARD and not office.families[family].single
    records = keep.pop("records", 2 if hard else 1)
    if records not in (1, 2):
        raise ValueError("records must be 1 or 2")
    asked = keep.pop("ids", [])
    if not isinstance(asked, list):
        raise ValueError("ids must be a list of names")
    job = _job(office, rng, family, 1 if records == 1 else 2, [str(name) for name in asked])
    params = {**_frame(office, rng, family, door, rich), **job}
    return parse(office, params | keep | {"records": records})


def _frame(
    office: Office, rng: random.Random, family: str, door: str, rich: bool
) -> dict[str, JsonValue]:
    wording = rng.randrange(len(office.wordings)) if rng.random() < 0.5 else 0
    if rich:
        ways = 1 + len(office.families[family].others)
        wording += len(office.wordings) * rng.randrange(ways)
    return {"door": door, "distractors": rng.randint(2, 6), "wording": wording}


def _job(
    office: Office,
    rng: random.Random,
    family: str,
    size: int,
    asked: Sequence[str] = (),
    taken: frozenset[str] = frozenset(),
) -> dict[str, JsonValue]:
    """A job as parameters: the records that are asked for, and others up to the size."""
    shape, kind = office.families[family], office.kind_of(family)
    names: list[str]
    if kind.numbered:
        names = record_ids(rng, 2, taken | set(asked), office.digits)
    else:
        names = rng.sample([t for t in office.things if t not in taken], 2)
    ids = [*asked, *(name for name in names if name not in asked)][:size]
    job: dict[str, JsonValue] = {
        "family": family,
        "ids": list[JsonValue](ids),
        "large": bool(kind.greater) and rng.random() < 0.5,
    }
    if shape.value:
        job[shape.value] = _value(office, rng, shape, taken | set(ids))
    return job


def _value(office: Office, rng: random.Random, family: Family, taken: frozenset[str]) -> JsonValue:
    value = office.values[family.value]
    if value.draw is None:
        return record_ids(rng, 1, taken, office.digits)[0]
    drawn = value.draw(rng)
    return int(drawn) if value.number else drawn


def draw_long(
    office: Office,
    rng: random.Random,
    families: Sequence[str],
    door: str,
    fixed: Mapping[str, JsonValue] | None = None,
    steps: int = LONG,
) -> Dials:
    """Dials of a compound task with at least ``steps`` naive calls, no record asked for twice.

    Raises:
        ValueError: The fixed ones do not fit.
    """
    keep = dict(fixed or {})
    jobs: list[JsonValue] = []
    taken: set[str] = set()
    order: list[str] = []
    calls = 0
    while calls < steps:
        order = order or rng.sample(list(families), len(families))
        family = order.pop()
        size = 1 if office.families[family].single else 2
        job = _job(office, rng, family, size, (), frozenset(taken))
        named = [v for k, v in job.items() if k in office.values and office.values[k].record]
        ids = job["ids"]
        taken |= {str(v) for v in [*named, *(ids if isinstance(ids, list) else [])]}
        calls += len(office.families[family].calls) * size
        jobs.append(job)
    frame = _frame(office, rng, families[0], door, False)
    return parse(office, {**frame, "distractors": rng.randint(8, 16), "jobs": jobs} | keep)


def instruction(office: Office, dials: Dials) -> str:
    """The words the agent reads."""
    if dials.family == COMPOUND:
        asked = office.joint.join(_sentence(office, job, 0) for job in dials.jobs)
        return office.wordings[dials.wording % len(office.wordings)].format(asked)
    way = dials.wording // len(office.wordings)
    return _worded(office, _sentence(office, dials.jobs[0], way), dials, way)


def _sentence(office: Office, job: Job, way: int) -> str:
    family, kind = office.families[job.family], office.kind_of(job.family)
    size = f"{kind.greater} " if job.large else ""
    records = " and ".join(f"{size}{kind.name} {name}" for name in job.ids)
    said = family.others[(way - 1) % len(family.others)] if way and family.others else ""
    value = job.values.get(family.value, "")
    return (said or family.sentence).format(records=records, name=job.ids[0], value=value)


def _worded(office: Office, sentence: str, dials: Dials, way: int) -> str:
    """A paraphrase; nothing follows a value, so that one can see where it ends."""
    template = office.wordings[dials.wording % len(office.wordings)]
    family = office.families[dials.family]
    if (family.value or way) and template.startswith("{} "):
        template = f"{template.removeprefix('{} ')} {{}}"
    return template.format(sentence)


def work(office: Office, job: Job, name: str) -> list[Call]:
    """The naive calls for one of the records asked for."""
    family = office.families[job.family]
    calls = []
    for tool in family.calls:
        record, *values = office.work[tool].parameters
        given = {value: job.values[value] for value in values if value in job.values}
        calls.append(Call(tool, {record: name, **given}))
    return calls
