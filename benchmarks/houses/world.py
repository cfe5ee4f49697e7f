"""A world of houses over any office: tasks, episodes by both doors, variants, baselines.

A subclass names an office and an id, and is a world. Every house has its own rules; they stand in
no instruction, on no page and in no tool description before they are broken. Practise, gate and
held-out tasks of a house share its rules and differ in content.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import JsonValue

from benchmarks.houses.agents import Agent, oracle, recovering, replay, rule_blind
from benchmarks.houses.alterations import alterations
from benchmarks.houses.case import Case
from benchmarks.houses.dials import COMPOUND, Dials, split_of
from benchmarks.houses.door_tools import ToolEpisode
from benchmarks.houses.house import Shape
from benchmarks.houses.house import draw as draw_house
from benchmarks.houses.joining import PARTS, joined
from benchmarks.houses.levels import levels
from benchmarks.houses.office import Office
from benchmarks.houses.settings import HouseConfig
from benchmarks.houses.tasks import draw, draw_long, instruction
from benchmarks.houses.walking import read
from instar.contracts import Episode
from instar.errors import UserError
from instar.types import Reading, Score, Split, Task, TaskDraft, Trajectory, content_hash

if TYPE_CHECKING:
    from benchmarks.houses.door_web import WebDoor

__all__ = ["HouseConfig", "HouseWorld"]

_IGNORANT = 0.3


class HouseWorld:
    """An office with unwritten rules; subclasses say which office."""

    id: ClassVar[str]
    office: ClassVar[Office]
    dials: ClassVar[Mapping[str, Sequence[JsonValue]]] = {
        "records": (1, 2),
        "large": (False, True),
        "distractors": (2, 4, 6, 12),
        "length": (0, 12, 30),
    }
    """What a proposer may turn, easiest first."""
    content: ClassVar[tuple[str, ...]]
    """What is drawn anew for a proposed task."""

    Config: ClassVar[type[HouseConfig]] = HouseConfig

    def __init_subclass__(cls) -> None:
        """Take over from the office what proposers ask for."""
        if "office" in cls.__dict__:
            cls.content = ("ids", *cls.office.values)

    def __init__(self, config: HouseConfig | None = None, **settings: Any) -> None:
        self.config = config or self.Config(**settings)
        self._set = self.config.settled()
        self._door: WebDoor | None = None
        ceiling = 1.0 if self._set.free else _IGNORANT
        self.baselines: dict[str, tuple[Agent, float]] = {
            "rule_blind": (rule_blind, ceiling),
            "recovering": (recovering, ceiling),
        }
        if self._set.rules is not None:
            self.baselines = {}
        shape = Shape(
            free=self._set.free,
            rules=self._set.rules,
            relative=self._set.relative,
            shared=self._set.shared,
            unseen=self._set.unseen,
        )
        self.house = draw_house(self._set.house, self.office, shape)
        self.namespace = f"{self.id}/{self._set.house}{self._set.suffix()}"

    def tasks(
        self, split: Split, n: int, seed: int, fixed: Mapping[str, JsonValue] | None = None
    ) -> list[Task]:
        """At most ``n`` distinct tasks of a split, families in equal shares.

        Args:
            split: What the tasks may be used for.
            n: How many.
            seed: Which draw.
            fixed: Dials that all tasks share, such as ``{"door": "web"}``.
        """
        rng = random.Random(f"{self.namespace} {split} {seed}")
        found: dict[str, Task] = {}
        families = self._families(split, fixed)
        for attempt in range(40 * n):
            if len(found) == n:
                break
            door = "web" if rng.random() < self._set.web_share else "tools"
            turn = len(found) % len(families)
            family = families[turn] if attempt < 20 * n else rng.choice(families)
            dials = self._draw(rng, family, families, door, fixed, len(found))
            if split_of(self.office, dials) == split:
                task = self._task(dials)
                found.setdefault(task.id, task)
        return list(found.values())

    def _draw(
        self,
        rng: random.Random,
        family: str,
        families: Sequence[str],
        door: str,
        fixed: Mapping[str, JsonValue] | None,
        place: int,
    ) -> Dials:
        """Dials of the task that comes at a place; those of the variant are never left to chance."""
        given = dict(fixed or {})
        if self._set.drift and place >= self._set.drift:
            given.setdefault("era", 1)
        if self._set.poison and rng.random() < self._set.poison:
            given.setdefault("advice", True)
        if self._set.long and given.get("family", COMPOUND) == COMPOUND:
            given.pop("family", None)
            return draw_long(self.office, rng, families, door, given, self._set.steps)
        return draw(self.office, rng, family, door, given, self._set.wording == "rich")

    def _families(
        self, split: Split, fixed: Mapping[str, JsonValue] | None = None
    ) -> tuple[str, ...]:
        """The families of a split; in transfer those held out of practise are all of the others."""
        asked = str((fixed or {}).get("family", COMPOUND))
        if asked != COMPOUND:
            return (asked,)
        unseen = self.house.unseen
        seen = tuple(name for name in self.office.families if name not in unseen)
        return unseen if unseen and split != Split.PRACTISE else seen

    def draft(self, draft: TaskDraft) -> Task:
        """A practise task made of a proposal; dials that it leaves out are drawn.

        Raises:
            ValueError: The dials do not fit, or the content belongs to another split.
        """
        families = self._families(Split.PRACTISE)
        if draft.family not in (*families, COMPOUND):
            raise ValueError(f"no family {draft.family!r}; there are {', '.join(families)}")
        if draft.family == COMPOUND and (PARTS in draft.params or not self._set.long):
            parts = draft.params.get(PARTS, [draft.params])
            dials = joined(self.office, parts, families, plain=not self._set.long)
            self._check(dials.era, dials.advice)
            return self._task(dials, origin=draft.proposer, parents=draft.parents)
        params = {k: v for k, v in draft.params.items() if k != "jobs"} | {"family": draft.family}
        self._check(params.get("era"), params.get("advice"))
        rng = random.Random(content_hash([self.namespace, params]))
        for _ in range(50):
            door = str(params.get("door", "tools"))
            dials = self._draw(rng, draft.family, families, door, params, 0)
            if split_of(self.office, dials) == Split.PRACTISE:
                return self._task(dials, origin=draft.proposer, parents=draft.parents)
        raise ValueError("the content belongs to another split")

    def _check(self, era: object, advice: object) -> None:
        if era and not self._set.drift:
            raise ValueError("era: the rules of this house do not change")
        if advice and not self._set.poison:
            raise ValueError("advice: nobody gives advice in this house")

    def join(self, first: Task, second: Task) -> TaskDraft:
        """A draft that asks for the work of two practise tasks in one.

        Raises:
            ValueError: They do not fit together, or one is not of this house.
        """
        if {first.namespace, second.namespace} != {self.namespace}:
            raise ValueError(f"only tasks of {self.namespace} can be joined here")
        parts: list[JsonValue] = [first.params, second.params]
        draft = TaskDraft(world=self.id, family=COMPOUND, params={PARTS: parts})
        self.draft(draft)
        return draft

    def walkable(self, task: Task) -> bool:
        """Whether what is done in an episode can be read: by the tool door."""
        return task.params.get("door") == "tools"

    def walked(self, walk: Trajectory) -> list[Reading]:
        """The tasks for practice that a walk did, read off the records that it changed."""
        return [one for one in read(self.house, walk) if self._may_practise(one.draft)]

    def _may_practise(self, draft: TaskDraft) -> bool:
        try:
            return bool(self.draft(draft))
        except ValueError:  # of another split, or with values that no task asks for
            return False

    def _task(self, dials: Dials, origin: str = "world", parents: tuple[str, ...] = ()) -> Task:
        params = dials.params(self.office)
        return Task(
            id=f"hr-{content_hash([self.namespace, params])}",
            instruction=instruction(self.office, dials),
            world=self.id,
            namespace=self.namespace,
            group=dials.family,
            family=dials.family,
            params=params,
            split=split_of(self.office, dials),
            origin=origin or "world",
            parents=parents,
        )

    def advice(self, family: str) -> str:
        """Advice for a family that does not hold: what a false memory would say.

        Raises:
            UserError: There is no such family, or the house is free and has none.
        """
        if family not in self.house.advice:
            known = ", ".join(self.house.advice) or "none"
            raise UserError(f"No advice for {family!r} in {self.namespace}. Available: {known}.")
        task = self.tasks(Split.PRACTISE, 1, 0, {"family": family, "advice": True})[0]
        return Case(self.house, task, 0).notice

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt.

        Raises:
            UserError: The task belongs to another house.
        """
        if task.namespace != self.namespace:
            raise UserError(
                f"Task {task.id} belongs to {task.namespace}; this is {self.namespace}."
            )
        case = Case(self.house, task, seed)
        return ToolEpisode(case) if case.dials.door == "tools" else await self._web(case, seed)

    async def _web(self, case: Case, seed: int) -> Episode:
        from benchmarks.houses.door_web import WebDoor

        if self._door is None:
            self._door = WebDoor()
        return await self._door.open(case, seed)

    async def oracle(self, task: Task, seed: int) -> Score:
        """A run by an agent that knows the rules; for checking the world, never for learning."""
        return await oracle(self, task, seed)

    async def spoilt(self, task: Task, seed: int) -> dict[str, Score]:
        """The oracle's run with one step dropped, altered or added, by what is wrong with it."""
        runs = alterations(self.house, task, seed)
        return {
            f"{i} {name}": await replay(self, task, seed, c) for i, (name, c) in enumerate(runs)
        }

    async def levels(self, tasks: Sequence[Task]) -> dict[str, float]:
        """Clean success of those who learn nothing, by name: lines for every plot."""
        return await levels(self, tasks)

    async def close(self) -> None:
        """Stop the web door's browser and server, if they were ever needed."""
        if self._door is not None:
            await self._door.close()
            self._door = None
