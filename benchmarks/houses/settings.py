"""Settings of a house, and the names of usual ones."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from benchmarks.houses.tasks import LONG
from instar.types import Record

__all__ = ["HouseConfig"]

_VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "drift": {"drift": 40},
    "poison": {"poison": 0.5},
    "transfer": {"unseen": 3},
    "long": {"long": True},
    "free": {"free": True},
}


class HouseConfig(Record):
    """Settings.

    Attributes:
        house: Number of the house; its rules follow from it.
        web_share: Share of the tasks that go through the web door.
        variant: Sets one of the settings below to a usual value; they can also be set, and
            combined, one by one.
        free: The same house without any rule.
        drift: Place in the order of `HouseWorld.tasks` from which the rules are others; 0 never.
        poison: Share of the tasks that carry false advice.
        unseen: How many families are held out of practise, and are all there is elsewhere.
        relative: Number of a house with which this one shares rules.
        shared: Which share of them.
        long: Compound tasks of many calls.
        steps: How many at least, before any that a rule asks for.
        rules: How many families have a rule; by default all but one.
        wording: ``rich`` adds paraphrases in other words than those of the tools.
    """

    house: int = Field(0, ge=0)
    web_share: float = Field(0.15, ge=0, le=1)
    variant: Literal["", "drift", "poison", "transfer", "long", "free"] = ""
    free: bool = False
    drift: int = Field(0, ge=0)
    poison: float = Field(0.0, ge=0, le=1)
    unseen: int = Field(0, ge=0, le=5)
    relative: int | None = Field(None, ge=0)
    shared: float = Field(0.5, ge=0, le=1)
    long: bool = False
    steps: int = Field(LONG, ge=4, le=60)
    rules: int | None = Field(None, ge=0)
    wording: Literal["plain", "rich"] = "plain"

    def settled(self) -> HouseConfig:
        """The same with the variant spelt out."""
        usual = {k: v for k, v in _VARIANTS[self.variant].items() if not getattr(self, k)}
        return self.model_copy(update={**usual, "variant": ""})

    def suffix(self) -> str:
        """What is added to the namespace: everything that makes other rules or other tasks."""
        parts = [
            "free" if self.free else "",
            f"drift{self.drift}" if self.drift else "",
            f"poison{self.poison:g}" if self.poison else "",
            f"unseen{self.unseen}" if self.unseen else "",
            f"kin{self.relative}x{self.shared:g}" if self.relative is not None else "",
            f"long{'' if self.steps == LONG else self.steps}" if self.long else "",
            f"rules{self.rules}" if self.rules is not None else "",
            "rich" if self.wording == "rich" else "",
        ]
        return "".join(f"-{part}" for part in parts if part)
