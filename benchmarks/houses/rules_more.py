"""The other half of the grammar: kinds of a shape that the pocket model was never trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.rules import FAMILIES, ORDERS, After, Before, Code, Owner, Place, Rule
from benchmarks.houses.words import rule_word

__all__ = ["KINDS", "Approval", "Pair", "Session", "Signature", "Swap"]


@dataclass(frozen=True)
class Approval(Rule):
    """Large orders must be approved first; others must not."""

    kind: ClassVar[str] = "approval"
    families: ClassVar[tuple[str, ...]] = ORDERS
    novel: ClassVar[bool] = True

    def applies(self, large: bool) -> bool:
        return large

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return "approved" in entry.trail

    def demand(self, call: Call) -> str:
        return "approve first"

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return [Call("approve", {"record": name}), *work]


@dataclass(frozen=True)
class Session(Rule):
    """A place must be open before any of this work, once for all records."""

    place: str
    kind: ClassVar[str] = "session"
    novel: ClassVar[bool] = True

    @classmethod
    def constants(cls, rng: random.Random) -> tuple[str, ...]:
        return (rule_word(rng),)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.place in state.opened

    def demand(self, call: Call) -> str:
        return f'open "{self.place}" first'

    def begin(self) -> list[Call]:
        return [Call("open", {"place": self.place})]


@dataclass(frozen=True)
class Swap(Rule):
    """An exchange ships before it fetches, against the order of the request."""

    kind: ClassVar[str] = "swap"
    families: ClassVar[tuple[str, ...]] = ("exchange",)
    novel: ClassVar[bool] = True

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return call.name == "ship" or "shipped" in entry.trail

    def demand(self, call: Call) -> str:
        return "ship first"

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return list(reversed(work))


@dataclass(frozen=True)
class Pair(Rule):
    """The record must carry a tag and be logged first, in either order."""

    word: str
    kind: ClassVar[str] = "pair"
    novel: ClassVar[bool] = True

    @classmethod
    def constants(cls, rng: random.Random) -> tuple[str, ...]:
        return (rule_word(rng),)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return {f"tagged {self.word}", "logged"} <= set(entry.trail)

    def demand(self, call: Call) -> str:
        return f'tag "{self.word}" and log first'

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        tag = Call("tag", {"record": name, "text": self.word})
        return [tag, Call("log", {"record": name}), *work]


@dataclass(frozen=True)
class Signature(Rule):
    """A reply's text must end with the house's word."""

    word: str
    kind: ClassVar[str] = "signature"
    families: ClassVar[tuple[str, ...]] = ("reply",)
    manner: ClassVar[str] = "rejected"
    novel: ClassVar[bool] = True

    @classmethod
    def constants(cls, rng: random.Random) -> tuple[str, ...]:
        return (rule_word(rng),)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return call.arguments.get("text", "").endswith(f" {self.word}")

    def demand(self, call: Call) -> str:
        return f'with text ending "{self.word}"'

    def plan(self, name: str, work: Sequence[Call]) -> list[Call]:
        return [
            Call(c.name, {**c.arguments, "text": f"{c.arguments['text']} {self.word}"})
            for c in work
        ]


KINDS: dict[str, type[Rule]] = {
    rule.kind: rule
    for rule in (Before, Owner, Code, After, Place, Approval, Session, Swap, Pair, Signature)
}


def compatible(family: str) -> list[type[Rule]]:
    """The kinds that can govern a family."""
    if family not in FAMILIES:
        raise ValueError(f"no family {family!r}")
    return [rule for rule in KINDS.values() if family in rule.families]
