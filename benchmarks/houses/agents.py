"""Scripted agents that mark the ends of the scale: what is possible, and what ignorance gets.

None of them learns. The oracle knows the rules; the rule-blind agent does what the words say; the
recovering one also reads refusals perfectly and, where the house lets it, goes on as they want it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from benchmarks.houses.case import Case, naive, solution
from benchmarks.houses.hands import Hands
from benchmarks.houses.machine import family_of
from benchmarks.houses.records import Call
from instar.types import Result, Score, Task

if TYPE_CHECKING:
    from benchmarks.houses.world import HouseWorld

__all__ = ["AGENTS", "Agent", "do_nothing", "oracle", "recovering", "replay", "rule_blind"]


def _mended(case: Case, call: Call) -> list[Call]:
    """A refused call as the house wants it; nothing where the house said nothing of a rule."""
    record = next(iter(call.arguments.values()), "")
    entry = case.start.entries.get(record)
    tool = case.house.office.work.get(call.name)
    if entry is None or tool is None:
        return []
    family = family_of(case.house.office, call.name, entry)
    rule = case.house.rule(family, entry, call)
    return [] if rule is None else rule.plan(entry, [call])


async def replay(
    world: HouseWorld,
    task: Task,
    seed: int,
    calls: Sequence[Call],
    mend: bool = False,
    case: Case | None = None,
) -> Score:
    """Make the calls until the case is over, say that it is done, and ask for the verdict.

    Args:
        world: Where the task belongs.
        task: What is asked.
        seed: Of the episode.
        calls: In this order.
        mend: Whether a refused call is tried once more as the refusal wants it.
        case: The case as it begins, where it is at hand already.
    """
    case = case or Case(world.house, task, seed)
    kinds = {entry.name: entry.kind for entry in case.start.entries.values()}
    episode = await world.open(task, seed)
    try:
        hands = Hands(world.house.office, episode, case.dials.ids[0], kinds)
        for call in calls:
            if episode.done():
                break
            result: Result = await hands.make(call)
            if mend and result.error and not result.misuse and not episode.done():
                for better in _mended(case, call):
                    await hands.make(better)
        if not episode.done():
            await episode.finish("")
        return await episode.score()
    finally:
        await episode.close()


async def oracle(world: HouseWorld, task: Task, seed: int) -> Score:
    """Knows the rules and does what is asked."""
    case = Case(world.house, task, seed)
    calls = solution(case.house, case.dials, case.start)
    return await replay(world, task, seed, calls, case=case)


async def do_nothing(world: HouseWorld, task: Task, seed: int) -> Score:
    """Says at once that it is done."""
    return await replay(world, task, seed, [])


async def rule_blind(world: HouseWorld, task: Task, seed: int) -> Score:
    """Does what the words say, and nothing else."""
    case = Case(world.house, task, seed)
    return await replay(world, task, seed, naive(case.house, case.dials), case=case)


async def recovering(world: HouseWorld, task: Task, seed: int) -> Score:
    """Does what the words say, and mends a call that was refused."""
    case = Case(world.house, task, seed)
    return await replay(world, task, seed, naive(case.house, case.dials), True, case)


Agent = Callable[["HouseWorld", Task, int], Awaitable[Score]]

AGENTS: dict[str, Agent] = {
    "oracle": oracle,
    "do_nothing": do_nothing,
    "rule_blind": rule_blind,
    "recovering": recovering,
}
"""By name; all but the first are lines in plots."""
