"""World steps a second of House Rules by the tool door, on one core.

    python -m benchmarks.perf.house_steps [--seconds 5]

A step is one tool call through an open episode, as an agent makes it; opening an episode, finishing
it and the verdict are part of the time and are not counted as steps. Time is that of the processor,
so that what else the machine does is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from benchmarks.houses.case import Case, solution
from benchmarks.worlds.house_rules import HouseRules
from instar.types import Split

__all__ = ["main", "measure"]


async def measure(seconds: float, house: int = 0, tasks: int = 64) -> dict[str, float]:
    """Play the oracle's calls over and over for some seconds.

    Returns:
        ``steps`` and ``episodes`` made, ``seconds`` taken, and ``steps_per_second``.
    """
    world = HouseRules(house=house, web_share=0.0)
    runs = []
    for task in world.tasks(Split.PRACTISE, tasks, 0):
        case = Case(world.house, task, 0)
        runs.append((task, solution(case.house, case.dials, case.start)))
    steps = episodes = 0
    started = time.process_time()
    while (taken := time.process_time() - started) < seconds:
        task, calls = runs[episodes % len(runs)]
        episode = await world.open(task, 0)
        for call in calls:
            await episode.toolset.call(call.name, call.arguments)
        await episode.finish("")
        await episode.score()
        await episode.close()
        steps += len(calls)
        episodes += 1
    return {
        "steps": steps,
        "episodes": episodes,
        "seconds": taken,
        "steps_per_second": steps / taken,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    found = asyncio.run(measure(parser.parse_args().seconds))
    print(
        f"{found['steps_per_second']:.0f} steps/s "
        f"({found['steps']:.0f} steps in {found['episodes']:.0f} episodes, {found['seconds']:.1f} s)"
    )


if __name__ == "__main__":
    main()
