"""The grammar of house rules: what a rule is, and the kinds with a common shape.

A rule governs one family of work in one house. It judges a piece of work against the state, says
tersely what was wrong, and turns the naive plan for a record into the one that keeps it. Where a
break cannot be undone, the record locks and the case is over. A rule knows the tools of its office
by their roles only.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from benchmarks.houses.office import Family, Office
from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.words import rule_code, rule_word

__all__ = ["After", "Before", "Code", "Coded", "Owner", "Place", "Rule", "takes", "with_value"]

_SECRETS = ("word", "person", "code", "place", "letters", "shift")


def takes(office: Office, family: Family, value: str) -> bool:
    """Whether all work tools of a family take a value that its tasks do not ask for."""
    return all(office.names[value] in office.work[name].optional for name in family.calls)


@dataclass(frozen=True)
class Rule(ABC):
    """Base of all kinds.

    Attributes:
        opening: First words of the refusal, drawn per house.
        phrase: The refusal's sentence, drawn per house, with the constants left out.
        kind: Id of the kind.
        manner: What a break does: ``locked`` and ``escalated`` end the case, ``rejected`` does not.
        novel: Whether the kind has no counterpart in what the pocket model was trained on.
        bare: Whether the kind has no constants at all.
        made: Makers of the constants that are only words, for houses on a side.
    """

    office: Office = field(repr=False, compare=False)
    opening: str
    phrase: str

    kind: ClassVar[str]
    manner: ClassVar[str] = "locked"
    novel: ClassVar[bool] = False
    bare: ClassVar[bool] = False
    made: ClassVar[tuple[Callable[[random.Random, int], str], ...]] = ()

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        """Whether the kind can govern a family."""
        return True

    @classmethod
    def draw(cls, rng: random.Random, office: Office, family: Family, side: int) -> Self:
        """A rule of this kind with the constants of one house on a side."""
        opening = rng.choice(office.openings[cls.manner])
        phrase = rng.choice(office.demands[cls.kind])
        return cls(office, opening, phrase, *cls.constants(rng, office, family, side))

    @classmethod
    def constants(
        cls, rng: random.Random, office: Office, family: Family, side: int
    ) -> tuple[object, ...]:
        """What the kind needs beside its wording."""
        return tuple(make(rng, side) for make in cls.made)

    @property
    def irreversible(self) -> bool:
        """Whether breaking it ends the case."""
        return self.manner != "rejected"

    def secrets(self) -> frozenset[str]:
        """The made-up words and the times that nobody can know before the rule is broken."""
        return frozenset(str(v) for k, v in vars(self).items() if k in _SECRETS)

    def content(self) -> tuple[str, ...]:
        """Kind and constants, without the wording: what makes two rules the same."""
        own = ("office", "opening", "phrase")
        return (self.kind, *(str(v) for k, v in sorted(vars(self).items()) if k not in own))

    def applies(self, entry: Entry, call: Call | None) -> bool:
        """Whether the rule governs this work on the record; a call of None means: at the end."""
        return True

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        """Whether the work may be done now."""
        return True

    def kept_at_finish(self, entry: Entry) -> bool:
        """Whether a record that was worked on may be left as it is."""
        return True

    def message(self, entry: Entry, call: Call) -> str:
        """What the house says when this call broke the rule."""
        demand = self.demand(entry, call)
        return self.office.refusal.format(opening=self.opening, demand=demand)

    def demand(self, entry: Entry, call: Call) -> str:
        """The rule in the fewest words."""
        return self.phrase.format(**self.words(entry, call))

    def words(self, entry: Entry, call: Call) -> Mapping[str, object]:
        """What stands for the gaps of the phrase."""
        return {**vars(self), "id": entry.name, "action": call.name}

    def begin(self, state: State) -> list[Call]:
        """Calls that are still missing before any such work."""
        return []

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        """The calls for one record that keep the rule."""
        return list(work)

    def step(self, role: str, record: str = "", value: str = "") -> Call:
        """A call of the side tool with a role."""
        tool = self.office.roles[role]
        given = ([record] if tool.on_record else []) + ([value] if tool.values else [])
        return Call(tool.name, dict(zip(tool.parameters, given, strict=True)))

    def trace(self, role: str, value: str = "") -> str:
        """The mark that such a call leaves."""
        tool = self.office.roles[role]
        return tool.said.format(**dict.fromkeys(tool.values, value))


def with_value(work: Sequence[Call], name: str, value: str) -> list[Call]:
    """The same calls with one argument more."""
    return [Call(c.name, {**c.arguments, name: value}) for c in work]


@dataclass(frozen=True)
class Before(Rule):
    """The record must carry a mark first."""

    word: str
    kind: ClassVar[str] = "before"
    made = (rule_word,)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.trace("mark", self.word) in entry.trail

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [self.step("mark", entry.name, self.word), *work]


@dataclass(frozen=True)
class Owner(Rule):
    """The record must be given to somebody first."""

    person: str
    kind: ClassVar[str] = "owner"
    made = (rule_word,)

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.trace("give", self.person) in entry.trail

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [self.step("give", entry.name, self.person), *work]


@dataclass(frozen=True)
class Coded(Rule):
    """The work is done only with a code, whatever the code is made of."""

    manner: ClassVar[str] = "rejected"

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        return takes(office, family, "code")

    @abstractmethod
    def wanted(self, entry: Entry) -> str:
        """The code for a record."""

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return call.arguments.get(self.office.names["code"]) == self.wanted(entry)

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return with_value(work, self.office.names["code"], self.wanted(entry))


@dataclass(frozen=True)
class Code(Coded):
    """One code for all records."""

    code: str
    kind: ClassVar[str] = "code"
    made = (rule_code,)

    def wanted(self, entry: Entry) -> str:
        return self.code


@dataclass(frozen=True)
class After(Rule):
    """The record must be closed when all is done."""

    kind: ClassVar[str] = "after"
    manner: ClassVar[str] = "escalated"
    bare: ClassVar[bool] = True

    def kept_at_finish(self, entry: Entry) -> bool:
        return entry.trail[-1:] == (self.trace("close"),)

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [*work, self.step("close", entry.name)]


@dataclass(frozen=True)
class Place(Rule):
    """The work is done at the counter and nowhere else."""

    kind: ClassVar[str] = "place"
    manner: ClassVar[str] = "rejected"
    bare: ClassVar[bool] = True

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        return not family.value

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return False

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [self.step("counter", entry.name, c.name) for c in work]
