"""What a grid may measure of each finished evolution, as ``instar bench run`` measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from instar.benching import Request
from instar.compose import ARMS
from instar.config import Config
from instar.errors import UnknownName
from instar.types import Record

__all__ = ["LEARNT", "Measure"]

LEARNT = ("memory", "adapter", "both", "moulted", "prompt", "whole")
"""Arms that an evolution may have learnt nothing for."""


class Measure(Record):
    """A measurement of each finished evolution.

    Attributes:
        arms: Arms of ``instar bench run``; ``base`` is always among them.
        n: Tasks.
        tasks: Pattern of the families or ids to choose from.
        attempts: Times that each arm runs each task.
        free: The same house without rules.
        force: Measure in a world that is not fit.
        world: Another world than the one evolved in.
        generation: ``last``, or ``all``: each arm as it stood after every turn, ``g0`` being base.
        settings: Settings by dotted key, other than those of the evolution. In a grid they stand
            beside the keys above.
    """

    arms: tuple[str, ...] = Field(min_length=1)
    n: int = Field(default=60, ge=1)
    tasks: str | None = None
    attempts: int = Field(default=1, ge=1)
    free: bool = False
    force: bool = False
    world: str | None = None
    generation: Literal["last", "all"] = "last"
    settings: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, given: Any) -> Any:
        """Dotted keys are settings."""
        if not isinstance(given, Mapping):
            return given
        dotted = {k: v for k, v in given.items() if "." in k}
        plain = {k: v for k, v in given.items() if k not in dotted}
        return plain | {"settings": {**plain.get("settings", {}), **dotted}} if dotted else plain

    @model_validator(mode="after")
    def _known(self) -> Self:
        possible = ("base", *LEARNT) if self.generation == "all" else ARMS
        for name in self.arms:
            if name not in possible:
                raise UnknownName("arm", name, possible)
            if self.arms.count(name) > 1:
                raise ValueError(f"{name} is named more than once")
        if self.generation == "all" and not self.learning:
            raise ValueError("generation = all wants memory, adapter or both")
        return self

    @property
    def learning(self) -> tuple[str, ...]:
        """The arms but base."""
        return tuple(a for a in self.arms if a != "base")

    def overrides(self) -> dict[str, JsonValue]:
        """What the settings of the evolution are changed to, by dotted key."""
        return self.settings | ({"world.name": self.world} if self.world else {})

    def labels(self, turns: int) -> list[str]:
        """Names of what is compared; the first is base."""
        if self.generation == "last":
            return ["base", *self.learning]
        return ["g0", *(self.label(k, a) for k in range(1, turns + 1) for a in self.learning)]

    def label(self, turn: int, arm: str) -> str:
        """Name of an arm as it stood after a turn."""
        return f"g{turn}:{arm}" if len(self.learning) > 1 else f"g{turn}"

    def request(self, config: Config, arms: Sequence[str], generations: Sequence[str]) -> Request:
        """What is asked of ``instar bench run``."""
        given = self.model_dump(include={"n", "tasks", "attempts", "free", "force"})
        models = (config.model.name,)
        return Request(arms=tuple(arms), models=models, generations=tuple(generations), **given)
