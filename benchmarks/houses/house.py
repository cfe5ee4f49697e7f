"""A house: a number, and the rule it has for each family of work."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.houses.rules import FAMILIES, Rule
from benchmarks.houses.rules_more import compatible

__all__ = ["House", "draw"]


@dataclass(frozen=True)
class House:
    """One back office with its unwritten rules.

    Attributes:
        rules: Rule by family; a family without one is free.
    """

    number: int
    rules: Mapping[str, Rule]

    def rule(self, family: str, large: bool) -> Rule | None:
        """The rule that governs work of a family on a record of that size."""
        rule = self.rules.get(family)
        return rule if rule is not None and rule.applies(large) else None


def draw(number: int, free: bool = False) -> House:
    """The house of a number: the same on every machine.

    Each family but one gets a rule of a kind that fits it; kinds that the house does not have yet
    come first, and among them those that fit few families, so that a house shows most of the grammar.
    """
    if free:
        return House(number, {})
    rng = random.Random(f"house rules {number}")
    families = rng.sample(FAMILIES, len(FAMILIES) - 1)
    used: Counter[str] = Counter()
    rules: dict[str, Rule] = {}
    for family in families:
        kinds = compatible(family)
        fewest = min(used[kind.kind] for kind in kinds)
        kinds = [kind for kind in kinds if used[kind.kind] == fewest]
        kind = rng.choices(kinds, [1 / len(kind.families) for kind in kinds])[0]
        used[kind.kind] += 1
        rules[family] = kind.draw(rng)
    return House(number, rules)
