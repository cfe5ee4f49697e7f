"""ScienceWorld: elementary science in a house of text, by its grammar of actions as tools.

A task is one of thirty kinds and a variation of it; the splits are the benchmark's own train, dev
and test variations. The score is the benchmark's, 0 to 100; a pass is all of it, and what it makes
negative is over. Simulators are Java processes, a bounded number of them, used again from episode
to episode. What a task asks for is known only to them, so listing tasks needs Java too.

No seed fixes all of the simulation: in what order things pass on their heat hangs on Java's hash
codes, and so on all that its process did before. Only a fresh process does the same again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cache
from typing import Any, ClassVar

from pydantic import Field

from benchmarks.worlds._scienceworld_episode import LOOK, Attempt, value_of
from benchmarks.worlds._scienceworld_jvm import Simulator
from benchmarks.worlds._scienceworld_pool import Pool
from benchmarks.worlds._scienceworld_tools import call_of
from instar.contracts import Episode
from instar.errors import ConfigError, UnknownName, UserError
from instar.types import Record, Score, Split, Task, content_hash

__all__ = ["ScienceWorld"]

_NAMES = """
boil change-the-state-of-matter-of chemistry-mix chemistry-mix-paint-secondary-color
chemistry-mix-paint-tertiary-color find-animal find-living-thing find-non-living-thing find-plant
freeze grow-fruit grow-plant identify-life-stages-1 identify-life-stages-2
inclined-plane-determine-angle inclined-plane-friction-named-surfaces
inclined-plane-friction-unnamed-surfaces lifespan-longest-lived
lifespan-longest-lived-then-shortest-lived lifespan-shortest-lived
measure-melting-point-known-substance measure-melting-point-unknown-substance melt
mendelian-genetics-known-plant mendelian-genetics-unknown-plant power-component
power-component-renewable-vs-nonrenewable-energy test-conductivity
test-conductivity-of-unknown-substances use-thermometer
"""
NAMES = tuple(_NAMES.split())
SIMPLIFICATIONS = (
    "easy",
    "teleportAction",
    "selfWateringFlowerPots",
    "openContainers",
    "openDoors",
    "noElectricalAction",
)
_Needed = Callable[[], Simulator]
_FOCUS = "focus on "
_ELECTRICAL = ("power-component", "conductivity")


class ScienceWorld:
    """Thirty kinds of science tasks in a simulated house."""

    id = "scienceworld"
    # Facts of the wheel, asked once a process.
    _told: ClassVar[dict[tuple[str, int, str], tuple[str, float]]] = {}
    _variations: ClassVar[dict[tuple[str, Split], list[int]]] = {}

    class Config(Record):
        """Settings.

        Attributes:
            tasks: Which kinds; all thirty where empty.
            simplification: The benchmark's own, several separated by commas; empty for none.
            steps: Actions an episode may take; the longest gold path seen has 178.
            jvms: Simulators at the same time, of at most some 0.6 GB each.
            fresh: Whether each episode gets a new simulator, which costs two seconds or more of
                processor time and makes equal actions come to equal results.
        """

        tasks: tuple[str, ...] = Field(default=())
        simplification: str = "easy"
        steps: int = Field(250, ge=1)
        jvms: int = Field(2, ge=1)
        fresh: bool = False

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config = config or self.Config(**settings)
        for name in self.config.tasks:
            if name not in NAMES:
                raise UnknownName("ScienceWorld task", name, NAMES)
        used = [s for s in self.config.simplification.split(",") if s]
        for one in used:
            if one not in SIMPLIFICATIONS:
                raise UnknownName("simplification", one, SIMPLIFICATIONS)
        if "noElectricalAction" in used and (wired := _electrical(self._names())):
            raise ConfigError(
                f"{wired[0]} cannot be done with noElectricalAction: leave one of them out."
            )
        self.namespace = f"{self.id}/{self.config.simplification or 'plain'}"
        self._pool = Pool(self.config.jvms, reuse=not self.config.fresh)
        self._paths: dict[str, list[str]] = {}

    def _names(self) -> tuple[str, ...]:
        return self.config.tasks or NAMES

    def tasks(self, split: Split, n: int, seed: int) -> list[Task]:
        """At most ``n`` distinct tasks of a split, kinds in equal shares.

        Raises:
            MissingExtra: Java or the library is not installed.
            UserError: Java does not run the simulator.
        """
        rng = random.Random(f"{self.namespace} {split} {seed}")
        names = sorted(set(self._names()))
        rng.shuffle(names)
        with ExitStack() as stack:
            # Only what was never asked before needs one.
            needed = cache(lambda: stack.enter_context(self._pool.spare()))
            decks = {name: self._deck(needed, name, split, rng) for name in names[:n]}
            chosen: list[tuple[str, int]] = []
            while len(chosen) < n and any(decks.values()):
                row = [(name, deck.pop()) for name, deck in decks.items() if deck]
                chosen += row[: n - len(chosen)]
            return [self._task(needed, *one, split) for one in chosen]

    def _deck(self, needed: _Needed, name: str, split: Split, rng: random.Random) -> list[int]:
        if (name, split) not in self._variations:
            simulator = needed()
            simulator.load(name, 0, self.config.simplification)
            for each in Split:
                self._variations[name, each] = simulator.variations(each)
        deck = list(self._variations[name, split])
        rng.shuffle(deck)
        return deck

    def _task(self, needed: _Needed, name: str, variation: int, split: Split) -> Task:
        place = (name, variation, self.config.simplification)
        if place not in self._told:
            simulator = needed()
            simulator.load(*place)
            instruction = " ".join(simulator.instruction().split())
            self._told[place] = instruction, value_of(simulator.step(LOOK))
        instruction, floor = self._told[place]
        return Task(
            id=f"sw-{content_hash(place)}",
            instruction=instruction,
            world=self.id,
            namespace=self.namespace,
            group=name,
            family=name,
            params={
                "task": name,
                "variation": variation,
                "simplification": self.config.simplification,
                "floor": floor,
            },
            split=split,
        )

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt; the variation decides everything, the seed nothing.

        Raises:
            UserError: The task is not of this world.
            MissingExtra: Java or the library is not installed.
            EpisodeFault: The simulator failed.
        """
        return await self._open(task)

    async def _open(self, task: Task) -> Attempt:
        if task.namespace != self.namespace:
            raise UserError(
                f"Task {task.id} belongs to {task.namespace}; this is {self.namespace}."
            )
        return await Attempt.begin(self._pool, self._place(task), self.config.steps)

    def _place(self, task: Task) -> tuple[str, int, str]:
        """What the simulator calls a task: kind, variation, simplification."""
        name, variation = str(task.params["task"]), int(str(task.params["variation"]))
        return name, variation, self.config.simplification

    async def _gold(self, task: Task) -> list[str]:
        """The benchmark's own solution, as actions."""
        if task.id not in self._paths:
            simulator = await self._pool.take()

            def ask() -> list[str]:
                simulator.load(*self._place(task), gold=True)
                return simulator.gold()

            try:
                self._paths[task.id] = await asyncio.to_thread(ask)
            finally:
                self._pool.give(simulator)
        return self._paths[task.id]

    async def _replay(self, task: Task, actions: Iterable[str]) -> Score:
        """Do actions by the agent's own tools, until they or the episode end."""
        attempt = await self._open(task)
        try:
            for action in actions:
                if attempt.done():
                    break
                await attempt.toolset.call(*call_of(action))
            return await attempt.score()
        finally:
            await attempt.close()

    async def oracle(self, task: Task, seed: int) -> Score:
        """The gold path, by the agent's own tools; for checking the world, never for learning."""
        return await self._replay(task, await self._gold(task))

    async def spoilt(self, task: Task, seed: int) -> dict[str, Score]:
        """The gold path with its focus left out or turned elsewhere, by what is wrong.

        Every task has to name what it is about by a focus, and a wrong focus fails it for good.
        Dropping other steps would not do: often time alone does what the step did.
        """
        gold = await self._gold(task)
        focuses = [i for i, action in enumerate(gold) if action.startswith(_FOCUS)]
        first, last = focuses[0], focuses[-1]
        runs = {
            "no focus": [a for a in gold if not a.startswith(_FOCUS)],
            "last focus left out": gold[:last] + gold[last + 1 :],
            "focus on oneself": [*gold[:first], f"{_FOCUS}agent", *gold[first + 1 :]],
        }
        return {name: await self._replay(task, actions) for name, actions in runs.items()}

    def floor_of(self, task: Task) -> float:
        """What the first look scored when the task was listed.

        Much that is optional, such as being in a room with an open door, may be so from the start.
        """
        return float(str(task.params.get("floor", 0.0)))

    async def close(self) -> None:
        """End the simulators."""
        self._pool.close()


def _electrical(names: Iterable[str]) -> list[str]:
    return [name for name in names if any(part in name for part in _ELECTRICAL)]
