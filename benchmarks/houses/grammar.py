"""The whole grammar: the kinds whose keeping depends on what stands in a record, and all kinds.

`KINDS` is the grammar; a house draws from the kinds that are `compatible` with each family.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.houses.office import Family, Office
from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.rules import After, Before, Code, Owner, Place, Rule, takes, with_value
from benchmarks.houses.rules_more import (
    Approval,
    Format,
    Limit,
    Named,
    Pair,
    Role,
    Session,
    Signature,
    Swap,
    Window,
)

__all__ = ["KINDS", "Confirm", "Exempt", "Reason", "compatible"]


@dataclass(frozen=True)
class Reason(Rule):
    """A reason must be given, and it must name what the record is about: one has to look first."""

    kind: ClassVar[str] = "field"
    manner: ClassVar[str] = "rejected"
    novel: ClassVar[bool] = True
    bare: ClassVar[bool] = True

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        return takes(office, family, "reason") and bool(office.kinds[family.kind].subject)

    def _subject(self, entry: Entry) -> str:
        return entry.facts[self.office.kinds[entry.kind].subject]

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        given = call.arguments.get(self.office.names["reason"], "")
        return self._subject(entry) in given.lower().split()

    def words(self, entry: Entry, call: Call) -> Mapping[str, object]:
        return {"subject": self.office.kinds[entry.kind].subject}

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return with_value(work, self.office.names["reason"], self._subject(entry))


@dataclass(frozen=True)
class Confirm(Rule):
    """Each piece of work must be confirmed before anything else is done to the record."""

    kind: ClassVar[str] = "confirm"
    manner: ClassVar[str] = "escalated"
    novel: ClassVar[bool] = True
    bare: ClassVar[bool] = True

    def kept_at_finish(self, entry: Entry) -> bool:
        done = {tool.said for tool in self.office.work.values() if tool.kind == entry.kind}
        sure = self.trace("confirm")
        following = (*entry.trail[1:], "")
        return all(b == sure for a, b in zip(entry.trail, following, strict=True) if a in done)

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return [c for one in work for c in (one, self.step("confirm", entry.name))]


@dataclass(frozen=True)
class Exempt(Rule):
    """Another rule, but not for records of one sort: there keeping it is what is wrong."""

    inner: Before | Owner
    fact: str
    value: str
    kind: ClassVar[str] = "exception"
    novel: ClassVar[bool] = True

    @classmethod
    def fits(cls, office: Office, family: Family) -> bool:
        return bool(office.kinds[family.kind].sort)

    @classmethod
    def constants(
        cls, rng: random.Random, office: Office, family: Family, side: int
    ) -> tuple[object, ...]:
        kind: type[Before] | type[Owner] = rng.choice((Before, Owner))
        fact = office.kinds[family.kind].sort
        value = office.kinds[family.kind].facts[fact](rng)
        return kind.draw(rng, office, family, side), fact, value

    def secrets(self) -> frozenset[str]:
        return self.inner.secrets()

    def content(self) -> tuple[str, ...]:
        return (self.kind, *self.inner.content(), self.fact, self.value)

    def exempt(self, entry: Entry) -> bool:
        """Whether the other rule does not hold for a record."""
        return entry.facts.get(self.fact) == self.value

    def kept(self, state: State, entry: Entry, call: Call) -> bool:
        return self.inner.kept(state, entry, call) is not self.exempt(entry)

    def demand(self, entry: Entry, call: Call) -> str:
        words = {
            "inner": self.inner.demand(entry, call),
            "tool": self.office.roles["mark" if self.inner.kind == "before" else "give"].name,
            "fact": self.fact,
            "value": self.value,
        }
        phrase = self.office.demands["excepted"][0] if self.exempt(entry) else self.phrase
        return phrase.format(**words)

    def plan(self, entry: Entry, work: Sequence[Call]) -> list[Call]:
        return list(work) if self.exempt(entry) else self.inner.plan(entry, work)


KINDS: dict[str, type[Rule]] = {
    rule.kind: rule
    for rule in (
        Before,
        Owner,
        Code,
        After,
        Place,
        Approval,
        Session,
        Swap,
        Pair,
        Signature,
        Limit,
        Named,
        Format,
        Reason,
        Role,
        Window,
        Confirm,
        Exempt,
    )
}


def compatible(office: Office, family: str, side: int | None = None) -> list[type[Rule]]:
    """The kinds that can govern a family.

    Args:
        side: With a side those that houses on it may draw: a kind without constants would be the
            same rule everywhere, so the families that it fits belong to one side or the other.
    """
    if family not in office.families:
        raise ValueError(f"no family {family!r}")
    found = []
    for rule in KINDS.values():
        fitting = [name for name, shape in office.families.items() if rule.fits(office, shape)]
        if family in fitting and (
            side is None or not rule.bare or fitting.index(family) % 2 == side
        ):
            found.append(rule)
    return found
