"""Two tasks in one: the jobs of both in a row, in an office that holds the records of both.

A draft names the parameters of each part. What may be asked for together is decided here: parts by
one door, in one era, without a record in common, each of them for practice and so are all of their
jobs, so that no part of a compound task is a gate or a held-out task in disguise.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from benchmarks.houses.dials import COMPOUND, Dials, parse, split_of
from benchmarks.houses.office import Office
from instar.types import Split

__all__ = ["PARTS", "joined"]

PARTS = "parts"
"""The parameter of a draft that lists the parameters of its parts."""

_SHARED = ("door", "era", "advice")


def joined(office: Office, parts: JsonValue, families: Sequence[str], plain: bool) -> Dials:
    """Dials of the compound task that asks for the work of all parts.

    Args:
        office: Where they are done.
        parts: Parameters of each part, plain or compound.
        families: Those that may be practised.
        plain: Whether there are plain tasks, of which no job may be one of another split.

    Raises:
        ValueError: The parts do not fit, or the content belongs to another split.
    """
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"{PARTS} must be a list of the parameters of tasks")
    found = [parse(office, part) for part in parts if isinstance(part, dict)]
    for one in found:
        _check(office, one, families, plain)
    for order in (found, found[::-1]):  # the split of a compound task depends on the order
        dials = _row(office, order)
        if split_of(office, dials) == Split.PRACTISE:
            return dials
    raise ValueError("the content belongs to another split")


def _check(office: Office, part: Dials, families: Sequence[str], plain: bool) -> None:
    for job in part.jobs:
        if job.family not in families:
            raise ValueError(f"no family {job.family!r}; there are {', '.join(families)}")
    alone = [part.model_copy(update={"jobs": (job,)}) for job in part.jobs] if plain else []
    if any(split_of(office, one) != Split.PRACTISE for one in (part, *alone)):
        raise ValueError("a part is no practise task")


def _row(office: Office, parts: Sequence[Dials]) -> Dials:
    """The jobs of all parts, with the larger of each dial; checked as any task's parameters are."""
    jobs = tuple(job for part in parts for job in part.jobs)
    if len(jobs) < 2:
        raise ValueError(f"a task of family {COMPOUND} has two jobs or more")
    for name in _SHARED:
        if len({getattr(part, name) for part in parts}) > 1:
            raise ValueError(f"the parts differ in {name}")
    dials = parts[0].model_copy(
        update={
            "distractors": max(part.distractors for part in parts),
            "length": max(part.length for part in parts),
            "wording": parts[0].wording % len(office.wordings),
            "jobs": jobs,
        }
    )
    return parse(office, dials.params(office))
