"""Is a world fit to measure with? Its oracle must pass, idleness and spoilt runs must not.

Any world can be asked whether doing nothing scores its declared floor. A world that has an oracle is
also run with it, and one that can spoil runs with each of the oracle's calls dropped, altered or
followed by a stray write: a verdict that lets one of those pass would pay for wrong work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

from instar.contracts import World
from instar.stats import wilson
from instar.types import Record, Score, Split, Status, Task

__all__ = [
    "HasBaselines",
    "HasFloor",
    "HasLevels",
    "HasOracle",
    "HasSpoilt",
    "HealthReport",
    "JudgesSome",
    "check",
    "levels",
    "sample",
]

_AT_ONCE = 16
_ENOUGH = 8


Agent = Callable[[Any, Task, int], Awaitable[Score]]


@runtime_checkable
class HasFloor(Protocol):
    """A world in which doing nothing earns something on some tasks."""

    def floor_of(self, task: Task) -> float:
        """What doing nothing is declared to score."""
        ...


@runtime_checkable
class HasOracle(Protocol):
    """A world that knows how its tasks are done."""

    async def oracle(self, task: Task, seed: int) -> Score:
        """A run that must pass."""
        ...


@runtime_checkable
class HasSpoilt(Protocol):
    """A world that can make runs that are wrong in one thing."""

    async def spoilt(self, task: Task, seed: int) -> dict[str, Score]:
        """Runs that must fail, by what is wrong with them."""
        ...


@runtime_checkable
class HasBaselines(Protocol):
    """A world with scripted agents that mark how far one gets without learning.

    Attributes:
        baselines: Agents by name, with the highest mean of clean success each may have.
    """

    baselines: Mapping[str, tuple[Agent, float]]


@runtime_checkable
class JudgesSome(Protocol):
    """A world that leaves the score of some tasks open."""

    def judges(self, task: Task) -> bool:
        """Whether it says how an attempt went."""
        ...


@runtime_checkable
class HasLevels(Protocol):
    """A world that can say what those get on tasks who learn nothing; reports draw them as lines."""

    async def levels(self, tasks: Sequence[Task]) -> dict[str, float]:
        """Mean clean success by name of the scripted agent."""
        ...


class HealthReport(Record):
    """What was found.

    Attributes:
        world: Namespace of the world.
        tasks: How many tasks were looked at.
        rates: Mean value per agent: ``nothing``, and ``oracle`` and the baselines where they exist.
        spoilt: How many spoilt runs were made.
        problems: One line each; empty for a healthy world.
    """

    world: str
    tasks: int
    rates: dict[str, float]
    spoilt: int = 0
    problems: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether the world may be measured with."""
        return not self.problems


class _Checkup:
    def __init__(self, world: World, tasks: Sequence[Task]) -> None:
        self._world, self._tasks = world, tasks
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.problems: list[str] = []
        self.rates: dict[str, float] = {}
        self.spoilt = 0

    async def rate(self, name: str, run: Callable[[Task, int], Awaitable[Score]]) -> list[Score]:
        async def one(task: Task) -> Score:
            async with self._at_once:
                return await run(task, 0)

        scores = list(await asyncio.gather(*map(one, self._tasks)))
        self.rates[name] = sum(s.value or 0.0 for s in scores) / len(scores)
        return scores

    async def nothing(self, task: Task, seed: int) -> Score:
        episode = await self._world.open(task, seed)
        try:
            await episode.finish("")
            return await episode.score()
        finally:
            await episode.close()

    async def idle(self) -> None:
        world = self._world
        for task, score in zip(self._tasks, await self.rate("nothing", self.nothing), strict=True):
            floor = world.floor_of(task) if isinstance(world, HasFloor) else 0.0
            judged = world.judges(task) if isinstance(world, JudgesSome) else True
            if score.status == Status.UNKNOWN and judged:
                self.problems.append(f"{task.id} cannot be judged: {score.evidence}")
            if (score.value or 0.0) > floor:
                self.problems.append(
                    f"doing nothing scores {score.value:.2f} in {task.id}, not {floor:.2f}"
                )

    async def oracle(self, world: HasOracle) -> None:
        scores = await self.rate("oracle", world.oracle)
        for task, score in zip(self._tasks, scores, strict=True):
            if score.status != Status.PASS:
                self.problems.append(f"the oracle fails {task.id}: {score.evidence}")

    async def spoil(self, world: HasSpoilt) -> None:
        for task in self._tasks:
            scores = await world.spoilt(task, 0)
            self.spoilt += len(scores)
            passed = [name for name, score in scores.items() if score.status == Status.PASS]
            self.problems += [f"{task.id} passes although spoilt: {name}" for name in passed]

    async def baseline(self, world: HasBaselines) -> None:
        for name, (agent, ceiling) in world.baselines.items():
            scores = await self.rate(name, partial(agent, world))
            clean = sum((s.value or 0.0) >= 1 for s in scores)
            # A handful of tasks may happen to be without rules.
            if len(scores) >= _ENOUGH and wilson(clean, len(scores)).low > ceiling:
                self.problems.append(f"{name} scores {self.rates[name]:.2f}, above {ceiling:.2f}")


def sample(world: World, n: int, seed: int) -> list[Task]:
    """Tasks to check a world with: for practise, and where these are too few of the other splits."""
    found: list[Task] = []
    for split in Split:
        if len(found) < n:
            found += world.tasks(split, n - len(found), seed)
    return found


async def check(world: World, tasks: Sequence[Task]) -> HealthReport:
    """Run every test that the world allows over the tasks.

    Raises:
        ValueError: There is no task.
    """
    if not tasks:
        raise ValueError("no task to check a world with")
    checkup = _Checkup(world, tasks)
    await checkup.idle()
    if isinstance(world, HasOracle):
        await checkup.oracle(world)
    if isinstance(world, HasSpoilt):
        await checkup.spoil(world)
    if isinstance(world, HasBaselines):
        await checkup.baseline(world)
    return HealthReport(
        world=world.namespace,
        tasks=len(tasks),
        rates=checkup.rates,
        spoilt=checkup.spoilt,
        problems=tuple(checkup.problems),
    )


async def levels(world: World, tasks: Sequence[Task]) -> dict[str, float]:
    """What those get on the tasks who learn nothing; empty where the world cannot say."""
    return await world.levels(tasks) if isinstance(world, HasLevels) else {}
