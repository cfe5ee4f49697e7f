"""House Rules: a seeded back office with unwritten rules, behind tools and real web pages.

Every house has its own rules; they stand in no instruction, on no page and in no tool description
before they are broken. Practise, gate and held-out tasks of a house share its rules and differ in
content.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, JsonValue

from benchmarks.houses.agents import Agent, oracle, recovering, replay, rule_blind
from benchmarks.houses.alterations import alterations
from benchmarks.houses.case import Case
from benchmarks.houses.door_tools import ToolEpisode
from benchmarks.houses.house import draw as draw_house
from benchmarks.houses.rules import FAMILIES
from benchmarks.houses.tasks import Dials, draw, instruction, split_of
from instar.contracts import Episode
from instar.errors import UserError
from instar.types import Record, Score, Split, Task, TaskDraft, content_hash

if TYPE_CHECKING:
    from benchmarks.houses.door_web import WebDoor

__all__ = ["HouseRules"]

_IGNORANT = 0.3


class HouseRules:
    """Back office with unwritten rules of its own, by tools and by web pages."""

    id = "house_rules"
    dials: ClassVar[Mapping[str, Sequence[JsonValue]]] = {
        "records": (1, 2),
        "large": (False, True),
        "distractors": (2, 4, 6),
    }
    """What a proposer may turn, easiest first."""
    content = ("ids", "quantity", "text", "email")
    """What is drawn anew for a proposed task."""

    class Config(Record):
        """Settings.

        Attributes:
            house: Number of the house; its rules follow from it.
            free: The same house without any rule.
            web_share: Share of the tasks that go through the web door.
        """

        house: int = Field(0, ge=0)
        free: bool = False
        web_share: float = Field(0.15, ge=0, le=1)

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config = config or self.Config(**settings)
        self._door: WebDoor | None = None
        ceiling = 1.0 if self.config.free else _IGNORANT
        self.baselines: dict[str, tuple[Agent, float]] = {
            "rule_blind": (rule_blind, ceiling),
            "recovering": (recovering, ceiling),
        }
        self.house = draw_house(self.config.house, self.config.free)
        self.namespace = f"{self.id}/{self.config.house}" + ("-free" if self.config.free else "")

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
        families = self._families(fixed)
        for attempt in range(40 * n):
            if len(found) == n:
                break
            door = "web" if rng.random() < self.config.web_share else "tools"
            family = (
                families[len(found) % len(families)] if attempt < 20 * n else rng.choice(families)
            )
            dials = draw(rng, family, door, fixed)
            if split_of(dials) == split:
                task = self._task(dials)
                found.setdefault(task.id, task)
        return list(found.values())

    def _families(self, fixed: Mapping[str, JsonValue] | None) -> tuple[str, ...]:
        return (str(fixed["family"]),) if fixed and "family" in fixed else FAMILIES

    def draft(self, draft: TaskDraft) -> Task:
        """A practise task made of a proposal; dials that it leaves out are drawn.

        Raises:
            ValueError: The dials do not fit, or the content belongs to another split.
        """
        if draft.family not in FAMILIES:
            raise ValueError(f"no family {draft.family!r}; there are {', '.join(FAMILIES)}")
        params = {**draft.params, "family": draft.family}
        rng = random.Random(content_hash([self.namespace, params]))
        for _ in range(50):
            dials = draw(rng, draft.family, str(params.get("door", "tools")), params)
            if split_of(dials) == Split.PRACTISE:
                return self._task(dials, origin=draft.proposer, parents=draft.parents)
        raise ValueError("the content belongs to another split")

    def _task(self, dials: Dials, origin: str = "world", parents: tuple[str, ...] = ()) -> Task:
        params = dials.params()
        return Task(
            id=f"hr-{content_hash([self.namespace, params])}",
            instruction=instruction(dials),
            world=self.id,
            namespace=self.namespace,
            group=dials.family,
            family=dials.family,
            params=params,
            split=split_of(dials),
            origin=origin or "world",
            parents=parents,
        )

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

    async def close(self) -> None:
        """Stop the web door's browser and server, if they were ever needed."""
        if self._door is not None:
            await self._door.close()
            self._door = None
