"""How fast a MiniWoB++ episode is here, against BrowserGym as it comes and BrowserGym tuned.

    INSTAR_BROWSERGYM_PYTHON=.venv-browsergym/bin/python python -m benchmarks.perf.miniwob

All three play the same scripted steps on four tasks, one after the other in a changing order, so
that what else the machine does hits all alike; only ratios mean something. Ours is the world
`miniwob`: a context that is used again, a page load for each episode, an observation after each
step and no screenshot. BrowserGym also takes a screenshot, a DOM snapshot and, in each reset, a
fresh context (as it comes: a fresh browser and a chat window with another), which cannot be
switched off; so this compares how long an episode takes, not the same work done twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.worlds._miniwob_pages import folder
from benchmarks.worlds.miniwob import MiniWob
from instar.errors import EpisodeFault, InstarError, UserError
from instar.types import Split, Status, Task
from tools.chromium import find_chromium

__all__ = ["STEPS", "measure"]

_VARIABLE = "INSTAR_BROWSERGYM_PYTHON"
_RIVAL = Path(__file__).with_name("_rival_browsergym.py")
_LINE = re.compile(r'^(\w+) "(.*?)" (\S+)', re.MULTILINE)

Play: TypeAlias = Callable[[str, int], Awaitable[float | None]]
"""Play one episode of a task; how many seconds it took, None where the script did not solve it."""

STEPS: dict[str, list[list[Any]]] = {
    "click-test": [["click", "button", "Click Me", 0, None]],
    "click-dialog": [["click", "button", "Close", 0, None]],
    "enter-text": [["fill", "textbox", "", 0, 0], ["click", "button", "Submit", 0, None]],
    "login-user": [
        ["fill", "textbox", "", 0, 0],
        ["fill", "textbox", "", 1, 1],
        ["click", "button", "Login", 0, None],
    ],
}
"""Verb, role, part of the name, which of those found, which quoted word of the goal to type."""


class Ours:
    """Our driver."""

    def __init__(self) -> None:
        self._world = MiniWob(names=tuple(STEPS))
        listed = [t for s in Split for t in self._world.tasks(s, 8 * len(STEPS), 0)]
        self._tasks: dict[str, list[Task]] = {}
        for task in listed:
            self._tasks.setdefault(task.family, []).append(task)

    async def play(self, name: str, seed: int) -> float | None:
        """One episode."""
        task = self._tasks[name][seed % len(self._tasks[name])]
        begun = time.perf_counter()
        episode = await self._world.open(task, seed)
        seen = await episode.observe()
        values = re.findall(r'"([^"]*)"', task.instruction)
        for verb, role, part, nth, value in STEPS[name]:
            found = [
                ref for r, n, ref in _LINE.findall(seen) if r == role and part.lower() in n.lower()
            ]
            more = {} if value is None else {"text": values[value]}
            call = await episode.toolset.call(verb, {"element": part, "ref": found[nth], **more})
            seen = call.observation or ""
        score = await episode.score()
        await episode.close()
        return time.perf_counter() - begun if score.status == Status.PASS else None

    async def close(self) -> None:
        """Stop the browser."""
        await self._world.close()


class Rival:
    """BrowserGym in its own environment.

    Args:
        python: Its interpreter.
        mode: ``default`` or ``tuned``.
    """

    def __init__(self, python: str, mode: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        pages = f"{(folder() / 'miniwob').as_uri()}/"
        self._process = subprocess.Popen(
            [python, "-I", str(_RIVAL), mode],
            env={**kept, "MINIWOB_URL": pages, "INSTAR_CHROMIUM": str(find_chromium())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._mode = mode

    def _ask(self, name: str, seed: int) -> float | None:
        assert self._process.stdin and self._process.stdout
        request = {"task": name, "seed": seed, "steps": STEPS[name]}
        line = ""
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise EpisodeFault(f"BrowserGym ({self._mode}) has ended")
        answer = json.loads(line)
        return float(answer["seconds"]) if answer["passed"] else None

    async def play(self, name: str, seed: int) -> float | None:
        """One episode."""
        return await asyncio.to_thread(self._ask, name, seed)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait(60)


Taken: TypeAlias = dict[str, dict[str, list[float]]]
"""Seconds by player and task, turn by turn; a turn that one of them failed is no turn of any."""


async def alternate(players: Mapping[str, Play], rounds: int) -> Taken:
    """Seconds by player and task; the first round warms up and is left out."""
    taken: Taken = {p: {n: [] for n in STEPS} for p in players}
    order = list(players)
    for turn in range(rounds + 1):
        for name in STEPS:
            order = order[1:] + order[:1]
            played = {player: await players[player](name, turn) for player in order}
            for player, seconds in played.items():
                if turn and seconds is not None and None not in played.values():
                    taken[player][name].append(seconds)
    return taken


async def measure(python: str, rounds: int) -> Taken:
    """Seconds of every episode by player and task.

    Raises:
        EpisodeFault: A rival has ended.
    """
    ours = await asyncio.to_thread(Ours)
    rivals = {mode: Rival(python, mode) for mode in ("default", "tuned")}
    try:
        players = {"ours": ours.play, **{mode: r.play for mode, r in rivals.items()}}
        return await alternate(players, rounds)
    finally:
        for rival in rivals.values():
            rival.close()
        await ours.close()


def table(taken: Taken) -> str:
    """Medians in milliseconds and the medians of the paired ratios."""
    lines = ["task            ours  default    tuned   default/ours   tuned/ours"]
    every: dict[str, list[float]] = {"default": [], "tuned": []}
    for name in (n for n in STEPS if taken["ours"][n]):
        ratios = {
            mode: [r / o for r, o in zip(taken[mode][name], taken["ours"][name], strict=True)]
            for mode in every
        }
        for mode, found in ratios.items():
            every[mode] += found
        ms = {p: 1000 * statistics.median(taken[p][name]) for p in taken}
        lines.append(
            f"{name:12} {ms['ours']:6.0f}ms {ms['default']:6.0f}ms {ms['tuned']:6.0f}ms"
            f" {statistics.median(ratios['default']):13.1f} {statistics.median(ratios['tuned']):12.1f}"
        )
    total = {mode: statistics.median(found) for mode, found in every.items()}
    lines.append(f"{'all':42} {total['default']:9.1f} {total['tuned']:12.1f}")
    lines.append(f"turns: {len(every['tuned'])}")
    lines.append(f"{'wanted':42} {'>= 10':>9} {'>= 4':>12}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="episodes of each task and player")
    rounds = parser.parse_args().rounds
    try:
        python = os.environ.get(_VARIABLE)
        if not python:
            raise UserError(f"Set {_VARIABLE}; benchmarks/worlds/browsergym.py says how.")
        print(table(asyncio.run(measure(python, rounds))))
    except InstarError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
