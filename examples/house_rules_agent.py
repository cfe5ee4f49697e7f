"""An agent of one's own in House Rules: ten lines, no agent and no model of Instar's.

It does what the words of the request say. When the house asks for something to be done first, it
writes that down under the work that was asked for, and does it first the next time.

    python examples/house_rules_agent.py
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from benchmarks.houses.learning import learning
from benchmarks.houses.play import Act, play
from benchmarks.worlds.house_rules import HouseRules
from instar.types import Split, ToolSpec

HOUSE = 11
VALUES = {"tag": "text", "assign": "person"}

notes: dict[str, list[tuple[str, str]]] = {}
"""By name of the work: the tools to use first, each with its word."""


async def agent(request: str, seen: str, tools: Sequence[ToolSpec], call: Act) -> None:
    """Do what the words say, and before it what the house asked for the last time."""
    work = next(tool for tool in tools if re.search(rf"\b{tool.name}\b", request))
    asked, _, value = request.partition(" with ")
    kind, *more = work.argument_names()
    for record in re.findall(rf"{kind} (\w+)", asked):
        for tool, word in notes.get(work.name, []):
            await call(tool, {"record": record, VALUES[tool]: word})
        given = {more[0]: value.split()[-1]} if value else {}
        answer = await call(work.name, {kind: record, **given})
        told = re.findall(r'(tag|assign) "(\w+)" first', answer.text)
        notes[work.name] = told or notes.get(work.name, [])


async def main() -> None:
    """Play a house without memory, practise, and play again on the same held-out tasks."""
    world = HouseRules(house=HOUSE, web_share=0.0)
    held_out = world.tasks(Split.HELD_OUT, 78, seed=0)
    before = learning(await play(world, agent, held_out, after=lambda _: notes.clear()))
    practice = learning(await play(world, agent, world.tasks(Split.PRACTISE, 78, seed=0)))
    after = learning(await play(world, agent, held_out))
    print(f"clean success without memory {100 * (before.clean or 0):.1f} %,", end=" ")
    print(f"after practice {100 * (after.clean or 0):.1f} %")
    print(f"a rule was kept after {practice.met_until_kept} meetings on average")


if __name__ == "__main__":
    asyncio.run(main())
