"""The grammar of house rules: what a rule is, and the kinds with a common shape.

A rule governs one family of work in one house. It judges a piece of work against the state, says
tersely what was wrong, and turns the naive plan for a record into the one that keeps it. Where a
break cannot be undone, the record locks and the case is over.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.words import rule_code, rule_word

__all__ = ["FAMILIES", "ORDERS", "After", "Before", "Code", "Owner", "Place", "Rule"]

FAMILIES = ("refund", "ship", "cancel", "exchange", "restock", "close", "reply", "update")
ORDERS = ("refund", "ship", "cancel", "exchange")

_OPENINGS = {
    "locked": ("locked", "blocked", "stopped"),
    "rejected": ("rejected", "refused", "returned"),
    "escalated": ("escalated", "reported", "raised"),
}


@dataclass(frozen=True)
class Rule(ABC):
    """Base of all kinds.

    Attributes:
        opening: First word of the refusal, drawn per house.
        kind: Id of the kind.
        families: Families that it can govern.
        manner: What a break does: ``locked`` and ``escalated`` end the case, ``rejected`` does not.
        novel: Whether the kind has no counterpart in what the pocket model was trained on.
    """

    opening: str

    kind: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = FAMILIES
    manner: ClassVar[str] = "locked"
    novel: ClassVar[bool] = False

    @classmethod
    def draw(cls, rng: random.Random) -> Rule:
        """A rule of this kind with the constants of one house."""
        return cls(rng.choice(_OPENINGS[cls.manner]), *cls.constants(rng))

    @classmethod
    def constants(cls, rng: random.Random) -> tuple[str, ...]:
        """What the kind needs beside the opening."""
        return ()

    @property
    def irreversible(self) -> bool:
        """Whether breaking it ends the case."""
        return self.manner != "rejected"

    def applies(self, large: bool) -> bool:
        """Whether the rule governs work on a record of that size."""
        return True

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        """Whether the work may be done now."""
        return True

    def kept_at_finish(self, entry: Entry) -> bool:
        """Whether a record that was worked on may be left as it is."""
        return True

    def message(self, call: Call) -> str:
        """What the house says when this call broke the rule."""
        return f"{self.opening}: {self.demand(call)}"

    @abstractmethod
    def demand(self, call: Call) -> str:
        """The rule in the fewest words."""

    def begin(self) -> list[Call]:
        """Calls that come once, before all work."""
        return []

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        """The calls for one record that keep the rule."""
        return list(work)


@dataclass(frozen=True)
class Before(Rule):
    """The record must carry a tag first."""

    word: str
    kind: ClassVar[str] = "before"

    @classmethod
    def constants(cls, rng: random.Random) -> tuple[str, ...]:
        return (rule_word(rng),)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return f"tagged {self.word}" in entry.trail

    def demand(self, call: Call) -> str:
        return f'tag "{self.word}" first'

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return [Call("tag", {"record": name, "text": self.word}), *work]


@dataclass(frozen=True)
class Owner(Rule):
    """The record must be assigned to somebody first."""

    person: str
    kind: ClassVar[str] = "owner"

    @classmethod
    def constants(cls, rng: random.Random) -> tuple[str, ...]:
        return (rule_word(rng),)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return f"assigned {self.person}" in entry.trail

    def demand(self, call: Call) -> str:
        return f'assign "{self.person}" first'

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return [Call("assign", {"record": name, "person": self.person}), *work]


@dataclass(frozen=True)
class Code(Rule):
    """The work is done only with a code."""

    code: str
    kind: ClassVar[str] = "code"
    families: ClassVar[tuple[str, ...]] = (*ORDERS, "restock", "close")
    manner: ClassVar[str] = "rejected"

    @classmethod
    def constants(cls, rng: random.Random) -> tuple[str, ...]:
        return (rule_code(rng),)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return call.arguments.get("code") == self.code

    def demand(self, call: Call) -> str:
        return f'with code "{self.code}"'

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return [Call(c.name, {**c.arguments, "code": self.code}) for c in work]


@dataclass(frozen=True)
class After(Rule):
    """The record must be sealed when all is done."""

    kind: ClassVar[str] = "after"
    manner: ClassVar[str] = "escalated"

    def kept_at_finish(self, entry: Entry) -> bool:
        return entry.trail[-1:] == ("sealed",)

    def demand(self, call: Call) -> str:
        return "seal last"

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return [*work, Call("seal", {"record": name})]


@dataclass(frozen=True)
class Place(Rule):
    """The work is done at the desk and nowhere else."""

    kind: ClassVar[str] = "place"
    families: ClassVar[tuple[str, ...]] = (*ORDERS, "close")
    manner: ClassVar[str] = "rejected"

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return False

    def demand(self, call: Call) -> str:
        return f'desk "{call.name}" instead'

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return [Call("desk", {"record": name, "action": c.name}) for c in work]
