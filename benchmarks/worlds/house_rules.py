"""House Rules: a seeded back office with unwritten rules, behind tools and real web pages.

Settings, variants and the ten-line example are in `benchmarks/houses/README.md`.
"""

from __future__ import annotations

from benchmarks.houses.offices.back_office import BACK_OFFICE
from benchmarks.houses.world import HouseWorld

__all__ = ["HouseRules"]


class HouseRules(HouseWorld):
    """Back office with unwritten rules of its own, by tools and by web pages."""

    id = "house_rules"
    office = BACK_OFFICE
