"""More of the grammar: conditions of the office rather than of the record, two conditions at once,
another order, limits, and names that are made of the record's own.

Those marked as novel are of a shape that the pocket model was never trained on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.houses.office import Family, Office
from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.rules import Coded, Rule
from benchmarks.houses.words import rule_letters, rule_word

__all__ = [
    "Approval",
    "Format",
    "Limit",
    "Named",
    "Pair",
    "Role",
    "Session",
    "Signature",
    "Swap",
    "Window",
]


@dataclass(frozen=True)
class _Novel(Rule):
    novel: ClassVar[bool] = True


@dataclass(frozen=True)
class _Worded(_Novel):
    """A kind with one made-up word."""

    word: str
    made = (rule_word,)


@dataclass(frozen=True)
class Approval(Rule):
    """Records of the greater half must be allowed first; others must not."""

    kind: ClassVar[str] = "approval"
    bare: ClassVar[bool] = True

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        return bool(office.kinds[family.kind].greater)

    def applies(self, entry: Entry, call: Call | None) -> bool:
        kind = self.office.kinds[entry.kind]
        return entry.facts.get(kind.size) == kind.greater

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.trace("allow") in entry.trail

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [self.step("allow", entry.name), *work]


@dataclass(frozen=True)
class Limit(_Novel):
    """What is above an amount must be allowed first; other work must not.

    The amount is the number that the task asks for, or else one that stands in the record.
    """

    limit: int
    kind: ClassVar[str] = "limit"

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        if family.value:
            return office.values[family.value].number
        return bool(office.kinds[family.kind].amount)

    @classmethod
    def constants(
        cls, rng: random.Random, office: Office, family: Family, side: int
    ) -> tuple[object, ...]:
        return (rng.randrange(10, 30, 2) + side,)

    def applies(self, entry: Entry, call: Call | None) -> bool:
        return call is not None and self._amount(entry, call) > self.limit

    def _amount(self, entry: Entry, call: Call) -> int:
        values = self.office.values
        asked = [v for k, v in call.arguments.items() if k in values and values[k].number]
        return int(asked[0] if asked else entry.facts[self.office.kinds[entry.kind].amount])

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.trace("allow") in entry.trail

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [self.step("allow", entry.name), *work]


@dataclass(frozen=True)
class Session(Rule):
    """A place must be open before any of this work, once for all records."""

    place: str
    kind: ClassVar[str] = "session"
    made = (rule_word,)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.place in state.opened

    def begin(self, state: State) -> list[Call]:
        return [] if self.place in state.opened else [self.step("open", value=self.place)]


@dataclass(frozen=True)
class Role(Rule):
    """Only somebody may do it, so one has to act as them."""

    person: str
    kind: ClassVar[str] = "role"
    made = (rule_word,)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return state.actors[-1:] == (self.person,)

    def begin(self, state: State) -> list[Call]:
        done = state.actors[-1:] == (self.person,)
        return [] if done else [self.step("act", value=self.person)]


@dataclass(frozen=True)
class Window(Rule):
    """It may be done at one time of the day only."""

    shift: str
    kind: ClassVar[str] = "window"

    @classmethod
    def constants(
        cls, rng: random.Random, office: Office, family: Family, side: int
    ) -> tuple[object, ...]:
        return (rng.choice(office.shifts[1 + side :: 2]),)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return state.shifts[-1:] == (self.shift,)

    def begin(self, state: State) -> list[Call]:
        done = state.shifts[-1:] == (self.shift,)
        return [] if done else [self.step("wait", value=self.shift)]


@dataclass(frozen=True)
class Swap(_Novel):
    """Work of two steps is done in the other order than the request says."""

    kind: ClassVar[str] = "swap"
    bare: ClassVar[bool] = True

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        return len(family.calls) == 2

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        second = next(f for f in self.office.by_tool[call.name] if len(f.calls) == 2).calls[1]
        return call.name == second or self.office.work[second].said in entry.trail

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return list(reversed(work))


@dataclass(frozen=True)
class Pair(_Worded):
    """The record must carry a mark and be noted first, in either order."""

    kind: ClassVar[str] = "pair"

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return {self.trace("mark", self.word), self.trace("note")} <= set(entry.trail)

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        mark = self.step("mark", entry.name, self.word)
        return [mark, self.step("note", entry.name), *work]


@dataclass(frozen=True)
class Named(_Worded):
    """The record must carry a mark that is made of a word and the record's own name."""

    kind: ClassVar[str] = "named"

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.trace("mark", f"{self.word}-{entry.name}") in entry.trail

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [self.step("mark", entry.name, f"{self.word}-{entry.name}"), *work]


@dataclass(frozen=True)
class Signature(_Worded):
    """A text must end with the house's word."""

    kind: ClassVar[str] = "signature"
    manner: ClassVar[str] = "rejected"

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        return family.value == office.names["text"]

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return call.arguments.get(self.office.names["text"], "").endswith(f" {self.word}")

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        name = self.office.names["text"]
        return [
            Call(c.name, {**c.arguments, name: f"{c.arguments[name]} {self.word}"}) for c in work
        ]


@dataclass(frozen=True)
class Format(Coded):
    """A code of a certain form: letters and the record's own name."""

    letters: str
    kind: ClassVar[str] = "format"
    novel: ClassVar[bool] = True
    made = (rule_letters,)

    def wanted(self, entry: Entry) -> str:
        return f"{self.letters}-{entry.name}"
