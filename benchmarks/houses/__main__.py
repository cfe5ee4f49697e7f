"""The table of baselines: what scripted agents get in every variant.

python -m benchmarks.houses [--office house_rules] [--houses 10] [--tasks 26]
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any, get_args

from benchmarks.houses.agents import AGENTS
from benchmarks.houses.levels import rates
from benchmarks.houses.world import HouseConfig, HouseWorld
from benchmarks.worlds.house_rules import HouseRules
from benchmarks.worlds.library_desk import LibraryDesk
from instar.types import Split

__all__ = ["main", "table"]

_WORLDS: dict[str, type[HouseWorld]] = {w.id: w for w in (HouseRules, LibraryDesk)}
_DRIFT = 13


async def _row(world: type[HouseWorld], variant: str, houses: int, tasks: int) -> list[float]:
    """Mean clean success of each agent over houses, and how often the last one recovers."""
    sums = [0.0] * (len(AGENTS) + 1)
    more: dict[str, Any] = {"drift": min(_DRIFT, tasks // 2)} if variant == "drift" else {}
    for number in range(houses):
        made = world(house=number, web_share=0.0, variant=variant, **more)
        found = await rates(made, made.tasks(Split.HELD_OUT, tasks, 0), tuple(AGENTS))
        values = [*(clean for clean, _ in found.values()), found["recovering"][1]]
        sums = [a + b for a, b in zip(sums, values, strict=True)]
    return [value / houses for value in sums]


def table(office: str, houses: int, tasks: int) -> str:
    """The table in Markdown."""
    variants = get_args(HouseConfig.model_fields["variant"].annotation)
    heads = [office, *(name.replace("_", " ") for name in AGENTS), "recovering, in the end"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for variant in variants:
        *clean, late = asyncio.run(_row(_WORLDS[office], variant, houses, tasks))
        values = [*clean, clean[-1] + late]
        cells = " | ".join(f"{100 * value:.1f} %" for value in values)
        lines.append(f"| {variant or 'plain'} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Baselines of House Rules.")
    parser.add_argument("--office", choices=sorted(_WORLDS), default="house_rules")
    parser.add_argument("--houses", type=int, default=10, help="houses 0 to this, less one")
    parser.add_argument("--tasks", type=int, default=26, help="held-out tasks a house")
    asked = parser.parse_args()
    print(table(asked.office, asked.houses, asked.tasks))


if __name__ == "__main__":
    main()
