"""The last check of drafts: how often the agent that practises does them, and whether that is worth practising.

A task that is never done teaches nothing, and one that is always done little. Where `curriculum.low` and
`curriculum.high` leave room for every rate nothing is attempted for it. These attempts are kept with the purpose
``difficulty``: what was let in for a lucky try is not credited with it in practice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from instar._loop import Job, Loop, draw
from instar.compose import Serving
from instar.types import Status, Task, Trajectory

__all__ = ["DIFFICULTY", "Screened", "screened"]

DIFFICULTY = "difficulty"


class Screened(NamedTuple):
    """What became of the tasks.

    Attributes:
        tasks: Those that are neither too hard nor too easy.
        reasons: Why each of the others is left out.
        rates: Share of the attempts that succeeded, by id of the task, where that is known.
    """

    tasks: list[Task]
    reasons: list[str]
    rates: dict[str, float]


async def screened(loop: Loop, key: str, serving: Serving, tasks: Sequence[Task]) -> Screened:
    """Attempt each task `curriculum.attempts` times and leave out what lies outside the band.

    Args:
        key: Of the round.
        serving: The agent that practises.
        tasks: That have passed every other check.
    """
    config = loop.config.curriculum
    if not tasks or (config.low, config.high) == (0.0, 1.0):
        return Screened(list(tasks), [], {})
    stage = f"{key}/{DIFFICULTY}"
    attempts = range(config.attempts)
    jobs = [Job(t, draw(loop.config, stage, t.id, a)) for t in tasks for a in attempts]
    solve = loop.workspace.solver(serving, loop.workspace.home, DIFFICULTY, sampled=True)
    with loop.progress.stage(stage, len(jobs)) as tally:
        rates = _rates(await loop.collect(stage, jobs, solve, tally))
    chosen, reasons = list[Task](), list[str]()
    for task in tasks:
        reason = _outside(rates.get(task.id), config.low, config.high)
        if reason:
            reasons.append(reason)
        else:
            chosen.append(task)
    return Screened(chosen, reasons, rates)


def _rates(attempts: Iterable[Trajectory]) -> dict[str, float]:
    """Share of successes by task; what could not be judged does not count."""
    passed: dict[str, list[bool]] = defaultdict(list)
    for one in attempts:
        if one.score.status is not Status.UNKNOWN:
            passed[one.task.id].append(one.score.status is Status.PASS)
    return {id: sum(found) / len(found) for id, found in passed.items()}


def _outside(rate: float | None, low: float, high: float) -> str:
    if rate is None:
        return "its difficulty is not known: no attempt could be judged"
    if rate < low:
        return f"too hard: done in less than {low:.0%} of the attempts"
    return f"too easy: done in more than {high:.0%} of the attempts" if rate > high else ""
