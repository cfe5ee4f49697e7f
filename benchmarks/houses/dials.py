"""What defines a task: the dials of difficulty and the content, and their form as parameters.

A plain task is one job: a family of work on one or two records. A compound task is several jobs in a
row. Parameters are flat for a plain task; ``jobs`` holds those of a compound one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from benchmarks.houses.office import Office
from instar.types import Record, Split, content_hash

__all__ = ["COMPOUND", "Dials", "Job", "parse", "split_of"]

COMPOUND = "long"
"""Family of a compound task."""

_SHARES = ((Split.PRACTISE, 60), (Split.GATE, 80), (Split.HELD_OUT, 100))
_OWN = ("family", "ids", "large")


class Job(Record):
    """One piece of work that is asked for.

    Attributes:
        ids: The records asked for.
        large: Whether they are of the greater half, where the kind has halves.
        values: What the request says beside the records.
    """

    family: str
    ids: tuple[str, ...]
    large: bool = False
    values: dict[str, str] = Field(default_factory=dict)


class Dials(Record):
    """What defines a task.

    Attributes:
        distractors: How many records there are that are not asked for.
        length: How many records of the kind asked for there are at least; long lists have pages.
        wording: Which paraphrase.
        era: 1 where the rules have changed.
        advice: Whether records and notices carry false advice.
        jobs: One, or several in a row.
    """

    door: Literal["tools", "web"] = "tools"
    distractors: int = Field(4, ge=1, le=40)
    length: int = Field(0, ge=0, le=60)
    wording: int = Field(0, ge=0)
    era: int = Field(0, ge=0, le=1)
    advice: bool = False
    jobs: tuple[Job, ...] = Field(min_length=1, max_length=60)

    @property
    def family(self) -> str:
        """Family of a plain task; the name of all compound ones."""
        return self.jobs[0].family if len(self.jobs) == 1 else COMPOUND

    @property
    def ids(self) -> tuple[str, ...]:
        """All records asked for."""
        return tuple(name for job in self.jobs for name in job.ids)

    @property
    def large(self) -> bool:
        """Whether a plain task is on records of the greater half."""
        return self.jobs[0].large

    def params(self, office: Office) -> dict[str, JsonValue]:
        """As a task carries them."""
        flat = self.model_dump(mode="json", exclude={"jobs"})
        kept = {k: v for k, v in flat.items() if v or k not in ("era", "advice")}
        jobs: list[JsonValue] = [_flat(office, job) for job in self.jobs]
        if len(self.jobs) > 1:
            return {"family": COMPOUND, **kept, "jobs": jobs}
        only = jobs[0]
        assert isinstance(only, dict)
        return {**kept, **only, "records": len(self.jobs[0].ids)}


def _flat(office: Office, job: Job) -> dict[str, JsonValue]:
    values: dict[str, JsonValue] = {
        k: int(v) if office.values[k].number else v for k, v in job.values.items()
    }
    return {"family": job.family, "ids": list(job.ids), "large": job.large, **values}


def parse(office: Office, params: Mapping[str, JsonValue]) -> Dials:
    """Dials from a task's parameters.

    Raises:
        ValueError: They do not fit; the message says why on one line.
    """
    listed = params.get("jobs")
    own = {k: v for k, v in params.items() if k in _OWN or k in office.values}
    rest = {k: v for k, v in params.items() if k not in own and k not in ("records", "jobs")}
    jobs = listed if isinstance(listed, list) else [own]
    try:
        dials = Dials.model_validate_json(json.dumps({**rest, "jobs": [_nested(j) for j in jobs]}))
    except ValidationError as error:
        first = error.errors()[0]
        flat = () if isinstance(listed, list) else ("jobs", 0)
        where = ".".join(str(p) for p in first["loc"] if p not in flat)
        raise ValueError(f"{where}: {first['msg']}" if where else str(first["msg"])) from None
    _check(office, dials, params.get("records"))
    return dials


def _nested(job: Any) -> Any:
    """A flat job with its values in a place of their own, as text."""
    if not isinstance(job, dict):
        return job
    values = {k: str(v) for k, v in job.items() if k not in _OWN and v is not None}
    return {**{k: v for k, v in job.items() if k in _OWN}, "values": values}


def _check(office: Office, dials: Dials, records: JsonValue) -> None:
    if dials.wording >= len(office.wordings) * (1 + _most_others(office)):
        raise ValueError(f"wording: there is no paraphrase {dials.wording}")
    for job in dials.jobs:
        _check_job(office, job)
    names = list(dials.ids) + [v for j in dials.jobs for k, v in j.values.items()
                               if office.values[k].record]  # fmt: skip
    if len(dials.jobs) > 1 and len(set(names)) != len(names):
        raise ValueError("jobs must not share records")
    if records is not None and (len(dials.jobs) > 1 or records != len(dials.ids)):
        raise ValueError(f"ids must name {records} records of its kind")


def _most_others(office: Office) -> int:
    return max(len(family.others) for family in office.families.values())


def _check_job(office: Office, job: Job) -> None:
    family = office.families.get(job.family)
    if family is None:
        raise ValueError(f"no family {job.family!r}; there are {', '.join(office.families)}")
    kind = office.kinds[family.kind]
    if len(job.ids) not in (1, 2) or len(set(job.ids)) != len(job.ids):
        raise ValueError("records must be 1 or 2, each named once")
    if len(job.ids) > 1 and family.single:
        raise ValueError(f"{job.family} takes one record")
    if job.large and not kind.greater:
        raise ValueError(f"{job.family} has no large records")
    form = rf"[1-9]\d{{{office.digits - 1}}}"
    if not all(re.fullmatch(form, n) if kind.numbered else n in office.things for n in job.ids):
        raise ValueError(f"ids must name {len(job.ids)} records of kind {kind.name}")
    unknown = job.values.keys() - office.values.keys()
    if unknown:
        raise ValueError(f"{min(unknown)} is no parameter of a job")
    for name, value in office.values.items():
        given = job.values.get(name)
        if (given is not None) != (name == family.value):
            users = [f.name for f in office.families.values() if f.value == name]
            raise ValueError(f"{name} belongs to {' and '.join(users)} and to nothing else")
        if given is not None and not re.fullmatch(value.pattern, given):
            raise ValueError(f"{name}: {given!r} is none that a task may ask for")
        if given is not None and given in job.ids:
            raise ValueError(f"{name} must name another record")


def split_of(office: Office, dials: Dials) -> Split:
    """What a task of this content may be used for.

    The split is a hash of the content alone, so the same request never stands in two splits,
    whatever its door, wording, era or house.
    """
    content = [{**_flat(office, job), "ids": sorted(job.ids)} for job in dials.jobs]
    bucket = int(content_hash(content[0] if len(content) == 1 else content, 8), 16) % 100
    return next(split for split, limit in _SHARES if bucket < limit)
