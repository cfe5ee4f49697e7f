"""Measures finished evolutions of a grid: runs of ``instar bench run`` in their workspaces.

A run is known by what was asked for and the settings it was asked with, so one that is finished is
read and one that broke off goes on. An evolution that learnt no memory or no adapter counts with
what it has instead: to leave it out would count successful evolutions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.runner import Line, read_lines
from benchmarks.summary import success
from instar import _bench_runs as runs
from instar._arms import lacking
from instar._measure import LEARNT, Measure
from instar._over_runs import Cell, Outcome, Outcomes
from instar.benching import Request, measure
from instar.compose import ARMS, Workspace
from instar.config import Config
from instar.errors import UserError
from instar.progress import Progress
from instar.store import Store
from instar.types import Generation

__all__ = ["measured"]

_INSTEAD = {
    "memory": ("base",),
    "adapter": ("base",),
    "both": ("memory", "adapter", "base"),
    "moulted": ("both", "memory", "adapter", "base"),
    "prompt": ("base",),
    "whole": ("moulted", "both", "memory", "adapter", "base"),
}


async def measured(config: Config, wanted: Measure, turns: int, progress: Progress) -> Cell:
    """Measure a finished evolution, or read what was measured.

    Args:
        config: Settings of the measurement; the workspace is that of the evolution.
        wanted: What to measure.
        turns: Generations of the evolution.
        progress: Told of what is run.
    """
    async with Workspace.open(config, create=False) as workspace:
        bench = _Bench(workspace, wanted, progress)
        if wanted.generation == "last":
            await bench.last()
        else:
            await bench.by_turn(turns)
    return bench.cell


class _Bench:
    """The runs of one cell, and what they came to."""

    def __init__(self, workspace: Workspace, wanted: Measure, progress: Progress) -> None:
        self._workspace, self._wanted, self._progress = workspace, wanted, progress
        self.cell = Cell()

    async def last(self) -> None:
        """All arms of what the evolution ended with."""
        arms = ("base", *self._wanted.learning)
        ran, summary = await self._run(arms, ())
        generation = self._workspace.store.generation(summary["generation"])
        stands = {arm: self._stands_for(arm, generation) for arm in arms}
        # What stands for an arm that was asked for need not have been asked for itself.
        missing = [a for a in ARMS if a in stands.values() and a not in ran]
        if missing:
            ran = ran | (await self._run(missing, (generation.id,)))[0]
        for arm in arms:
            self.cell.put(arm, arm, stands[arm], ran)
            if arm not in self.cell.outcomes:
                self.cell.left_out[arm] = summary["left_out"][arm]

    async def by_turn(self, turns: int) -> None:
        """The arms as they stood after each turn; what has learnt nothing is run once."""
        first = _after(self._workspace.store, 0)
        base, _ = await self._run(("base",), (first.id,))
        self.cell.put("g0", "base", "base", base)
        for turn in range(1, turns + 1):
            generation = _after(self._workspace.store, turn)
            stands = {a: self._stands_for(a, generation) for a in self._wanted.learning}
            needed = [a for a in ARMS if a != "base" and a in stands.values()]
            ran = (await self._run(needed, (generation.id,)))[0] if needed else {}
            for arm, other in stands.items():
                self.cell.put(self._wanted.label(turn, arm), arm, other, base | ran)

    def _stands_for(self, arm: str, generation: Generation) -> str:
        """The arm itself, or what is the same where a generation has not learnt a part of it."""
        missing = lacking(self._workspace, generation, LEARNT)
        return next(a for a in (arm, *_INSTEAD.get(arm, ())) if a not in missing)

    async def _run(
        self, arms: Sequence[str], generations: Sequence[str]
    ) -> tuple[dict[str, Outcomes], dict[str, Any]]:
        """Outcomes by arm and the summary of a run, which is made, gone on with or read."""
        workspace, cell = self._workspace, self.cell
        asked = self._wanted.request(workspace.config, arms, generations)
        name, finished = _begun(workspace, asked)
        if name is not None and finished:
            found = runs.summary(workspace.path, name)
        else:
            again = asked.model_copy(update={"resume": name})
            found = await measure(workspace, again, self._progress)
        cell.world = found["benchmark"]
        problems = [*found["fairness"]["problems"], *found["health"]]
        if not found["leakage"]["clean"]:
            problems.append("leakage was found: see its report")
        if found["run"] not in cell.runs:
            cell.runs.append(found["run"])
            cell.problems += [f"{found['run']}: {problem}" for problem in problems]
        by_arm: dict[str, Outcomes] = {}
        for line in read_lines(workspace.path / "runs" / found["run"]):
            by_arm.setdefault(line.arm, {})[line.key[1:]] = _outcome(line)
        return by_arm, found


def _outcome(line: Line) -> Outcome:
    lived = line.trajectory
    return Outcome(lived.task.family, success(lived), lived.usage.tokens)


def _after(store: Store, turn: int) -> Generation:
    """What served after a turn, with the newest adapter on top that the gate had not decided on."""
    if turn == 0:
        return store.generation(_stage(store, "g1/promote")["before"])
    active = store.generation(_stage(store, f"g{turn}/promote")["active"])
    for earlier in range(turn, 0, -1):
        gate = _stage(store, f"g{earlier}/gate_adapter")
        if gate["candidate"] and gate["verdict"]["decision"] == "undecided":
            candidate = store.generation(gate["candidate"])
            if candidate.parent == active.id:
                return candidate
    return active


def _stage(store: Store, key: str) -> dict[str, Any]:
    found = store.stage(key)
    assert found is not None  # the evolution is finished
    return found


def _begun(workspace: Workspace, asked: Request) -> tuple[str | None, bool]:
    """The run in which this was asked for with these settings, and whether it is finished."""
    kept = asked.model_dump(mode="json", exclude={"concurrency", "limit", "resume"})
    broken_off = None
    for run in runs.listed(workspace.path)[0]:
        try:
            config, was = runs.begun_with(workspace.path, run["run"])
        except UserError:  # the report of an evolution, or a run of another version
            continue
        if config != workspace.config or was != kept | {"seed": config.seed}:
            continue
        if run["finished"]:
            return run["run"], True
        broken_off = run["run"]
    return broken_off, False
