"""A house: a number, and the rules that it has for the families of work.

Houses whose numbers lie `SIDE` apart are on opposite sides. By construction no rule of the one is a
rule of the other: their words differ, and a kind without words belongs, for each family, to one
side only.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchmarks.houses.grammar import compatible
from benchmarks.houses.office import Office
from benchmarks.houses.records import Call, Entry
from benchmarks.houses.rules import Rule

__all__ = ["SIDE", "House", "Shape", "draw"]

SIDE = 100_000
"""How far apart the numbers of two houses on opposite sides are."""

_ADVICE = ("before", "owner", "code", "session")


@dataclass(frozen=True)
class Shape:
    """What sort of house is drawn.

    Attributes:
        free: No rules at all.
        rules: How many families are governed; by default all but one.
        relative: Number of a house whose rules are partly shared.
        shared: The share of them.
        unseen: How many families have a rule of another family, to be held out of practise.
        changed: The share of rules that the second era replaces.
    """

    free: bool = False
    rules: int | None = None
    relative: int | None = None
    shared: float = 0.5
    unseen: int = 0
    changed: float = 0.5


@dataclass(frozen=True)
class House:
    """One office with its unwritten rules.

    Attributes:
        rules: Rule by family; a family without one is free.
        later: The rules of the second era.
        advice: By family a rule that does not hold, for those who carry false advice.
        kin: Families whose rule is shared with the relative.
        unseen: Families held out of practise; each has the rule of one that is not.
    """

    number: int
    rules: Mapping[str, Rule]
    office: Office
    later: Mapping[str, Rule] = field(default_factory=dict)
    advice: Mapping[str, Rule] = field(default_factory=dict)
    kin: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()

    def rule(self, family: str, entry: Entry, call: Call | None) -> Rule | None:
        """The rule that governs work of a family on a record; without a call, at the end."""
        rule = self.rules.get(family)
        return rule if rule is not None and rule.applies(entry, call) else None

    def at(self, era: int) -> House:
        """The house in an era: 0, or 1 after its rules have changed."""
        return replace(self, rules=self.later) if era else self


def draw(number: int, office: Office, shape: Shape | None = None) -> House:
    """The house of a number: the same on every machine.

    About half of the governed families get kinds that pocket's training knows in form, the others
    novel ones. Kinds that the house does not have yet come first, and among them those that fit few
    families, so that a house shows much of the grammar.
    """
    shape = shape or Shape()
    side = number // SIDE % 2
    rng = random.Random(f"{office.title} {number}")
    if shape.free:
        return House(number, {}, office)
    wanted = len(office.families) - 1 if shape.rules is None else shape.rules
    families = rng.sample(list(office.families), min(wanted, len(office.families)))
    rules = _rules(rng, office, families, side)
    kin: frozenset[str] = frozenset()
    if shape.relative is not None:
        kin = _inherit(rng, office, rules, shape, side)
    unseen = _unseen(rng, office, rules, shape.unseen, side)
    return House(
        number=number,
        rules=rules,
        office=office,
        later=_later(number, office, rules, shape.changed, side),
        advice=_advice(number, office, side),
        kin=kin,
        unseen=unseen,
    )


def _rules(rng: random.Random, office: Office, families: list[str], side: int) -> dict[str, Rule]:
    used: Counter[str] = Counter()
    novel: Counter[bool] = Counter()
    rules: dict[str, Rule] = {}
    for family in families:
        kinds = compatible(office, family, side)
        wanted = novel[True] < novel[False] or (novel[True] == novel[False] and rng.random() < 0.5)
        kinds = [kind for kind in kinds if kind.novel is wanted] or kinds
        fewest = min(used[kind.kind] for kind in kinds)
        kinds = [kind for kind in kinds if used[kind.kind] == fewest]
        kind = rng.choices(kinds, [1 / _breadth(office, kind) for kind in kinds])[0]
        used[kind.kind] += 1
        novel[kind.novel] += 1
        rules[family] = kind.draw(rng, office, office.families[family], side)
    return rules


def _breadth(office: Office, kind: type[Rule]) -> int:
    """How many families a kind fits."""
    return sum(kind.fits(office, family) for family in office.families.values())


def _inherit(
    rng: random.Random, office: Office, rules: dict[str, Rule], shape: Shape, side: int
) -> frozenset[str]:
    """Take over a share of the relative's rules; the relative is looked for on the same side."""
    number = (shape.relative or 0) % SIDE + side * SIDE
    others = draw(number, office).rules
    common = sorted(others.keys() & rules.keys())
    taken = rng.sample(common, round(shape.shared * len(common)))
    rules.update({family: others[family] for family in taken})
    return frozenset(taken)


def _unseen(
    rng: random.Random, office: Office, rules: dict[str, Rule], count: int, side: int
) -> tuple[str, ...]:
    """Give some families the rule of a family that stays in practise."""
    order = rng.sample(list(rules), len(rules))
    unseen: list[str] = []
    givers: set[str] = set()
    for family in order:
        kinds = {kind.kind for kind in compatible(office, family, side)} - {"exception", "limit"}
        known = [f for f in order if f != family and f not in unseen and rules[f].kind in kinds]
        if len(unseen) < count and known and family not in givers:
            giver = rng.choice(known)
            rules[family] = rules[giver]
            givers.add(giver)
            unseen.append(family)
    return tuple(unseen)


def _later(
    number: int, office: Office, rules: Mapping[str, Rule], share: float, side: int
) -> dict[str, Rule]:
    """The rules after the change: some replaced, none only reworded."""
    rng = random.Random(f"later {office.title} {number}")
    changed = rng.sample(list(rules), round(share * len(rules)))
    later = dict(rules)
    for family in changed:
        kinds = compatible(office, family, side)
        while later[family].content() == rules[family].content():
            later[family] = rng.choice(kinds).draw(rng, office, office.families[family], side)
    return later


def _advice(number: int, office: Office, side: int) -> dict[str, Rule]:
    """A rule for each family that holds on the other side at most, never here."""
    rng = random.Random(f"advice {office.title} {number}")
    found = {}
    for name, family in office.families.items():
        kinds = [kind for kind in compatible(office, name) if kind.kind in _ADVICE]
        found[name] = rng.choice(kinds).draw(rng, office, family, 1 - side)
    return found
