"""What those get who learn nothing: the levels that every plot of House Rules shows as lines."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.houses.agents import AGENTS
from instar.types import Task

if TYPE_CHECKING:
    from benchmarks.houses.world import HouseWorld

__all__ = ["LEVELS", "levels", "rates"]

LEVELS = ("do_nothing", "rule_blind", "recovering")


async def rates(
    world: HouseWorld, tasks: Sequence[Task], names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Clean and recovered success of scripted agents on tasks, by name; nothing without tasks.

    All go through the tool door, which leads to the same verdicts and needs no browser.
    """
    by_tools = [t.model_copy(update={"params": {**t.params, "door": "tools"}}) for t in tasks]
    found = {}
    for name in names if tasks else ():
        scores = [await AGENTS[name](world, task, 0) for task in by_tools]
        found[name] = (
            fmean([score.value or 0.0 for score in scores]),
            fmean([score.metrics["recovered"] for score in scores]),
        )
    return found


async def levels(world: HouseWorld, tasks: Sequence[Task]) -> dict[str, float]:
    """Clean success of those who learn nothing, by name."""
    return {name: clean for name, (clean, _) in (await rates(world, tasks, LEVELS)).items()}
