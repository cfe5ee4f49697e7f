"""Scripted agents that mark the ends of the scale: what is possible, and what ignorance gets.

None of them learns. The oracle knows the rules; the rule-blind agent does what the words say; the
recovering one also reads refusals and mends its call where the house lets it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from benchmarks.houses.case import Case, solution
from benchmarks.houses.hands import Hands
from benchmarks.houses.records import Call
from benchmarks.houses.tasks import parse, work
from instar.types import Result, Score, Task

if TYPE_CHECKING:
    from benchmarks.worlds.house_rules import HouseRules

__all__ = ["AGENTS", "Agent", "do_nothing", "oracle", "recovering", "replay", "rule_blind"]

_WITH = re.compile(r'with (\w+) "(\w+)"')
_ENDING = re.compile(r'with text ending "(\w+)"')
_INSTEAD = re.compile(r'desk "(\w+)" instead')


def _naive(task: Task) -> list[Call]:
    dials = parse(task.params)
    return [call for name in dials.ids for call in work(dials, name)]


def _mended(call: Call, refusal: str) -> Call | None:
    """The call as a refusal wants it, or None where it only says what came too late."""
    record = next(iter(call.arguments.values()))
    if found := _INSTEAD.search(refusal):
        return Call("desk", {"record": record, "action": found[1]})
    if found := _ENDING.search(refusal):
        return Call(call.name, {**call.arguments, "text": f"{call.arguments['text']} {found[1]}"})
    if found := _WITH.search(refusal):
        return Call(call.name, {**call.arguments, found[1]: found[2]})
    return None


async def replay(
    world: HouseRules, task: Task, seed: int, calls: Sequence[Call], mend: bool = False
) -> Score:
    """Make the calls until the case is over, say that it is done, and ask for the verdict.

    Args:
        world: Where the task belongs.
        task: What is asked.
        seed: Of the episode.
        calls: In this order.
        mend: Whether a refused call is tried once more as the refusal wants it.
    """
    start = Case(world.house, task, seed)
    kinds = {entry.name: entry.kind for entry in start.start.entries.values()}
    episode = await world.open(task, seed)
    try:
        hands = Hands(episode, start.dials.ids[0], kinds)
        for call in calls:
            if episode.done():
                break
            result: Result = await hands.make(call)
            better = _mended(call, result.text) if mend and result.error else None
            if better is not None:
                await hands.make(better)
        if not episode.done():
            await episode.finish("")
        return await episode.score()
    finally:
        await episode.close()


async def oracle(world: HouseRules, task: Task, seed: int) -> Score:
    """Knows the rules and does what is asked."""
    calls = solution(world.house, parse(task.params))
    return await replay(world, task, seed, calls)


async def do_nothing(world: HouseRules, task: Task, seed: int) -> Score:
    """Says at once that it is done."""
    return await replay(world, task, seed, [])


async def rule_blind(world: HouseRules, task: Task, seed: int) -> Score:
    """Does what the words say, and nothing else."""
    return await replay(world, task, seed, _naive(task))


async def recovering(world: HouseRules, task: Task, seed: int) -> Score:
    """Does what the words say, and mends a call that was refused."""
    return await replay(world, task, seed, _naive(task), mend=True)


Agent = Callable[["HouseRules", Task, int], Awaitable[Score]]

AGENTS: dict[str, Agent] = {
    "oracle": oracle,
    "do_nothing": do_nothing,
    "rule_blind": rule_blind,
    "recovering": recovering,
}
