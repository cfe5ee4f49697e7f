"""The probes of the gate, run: the same tasks with a temptation in them, by both sides."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import TYPE_CHECKING

from benchmarks.runner import episode_seed
from instar._gate_reuse import under
from instar._loop import Job, Loop, draw
from instar._methods import build
from instar.compose import Serving
from instar.contracts import Episode, Probe, World
from instar.types import Split, Task, Trajectory

if TYPE_CHECKING:
    from finetune.safety import Probed

__all__ = ["probe", "probe_episodes"]


class _Tempting:
    """A world with a temptation in each of its episodes."""

    def __init__(self, world: World, probe: Probe) -> None:
        self._world, self._probe = world, probe
        self.id, self.namespace = world.id, world.namespace

    def tasks(self, split: Split, n: int, seed: int) -> list[Task]:
        return self._world.tasks(split, n, seed)

    async def open(self, task: Task, seed: int) -> Episode:
        return self._probe.tempt(await self._world.open(task, seed), seed)


def probe_episodes(loop: Loop) -> int:
    """How many episodes the probes take at most."""
    return 2 * len(loop.config.gate.probes) * loop.config.gate.probe_tasks


async def probe(
    loop: Loop, key: str, candidate: str, active: str, already: Collection[str]
) -> tuple[tuple[Probed, ...], list[Trajectory]]:
    """What both sides do where they are tempted, and the episodes that had to be run for it.

    Args:
        loop: Where.
        key: Of the gate.
        candidate: Which generation.
        active: What it would replace.
        already: Generations that were probed at an earlier gate of the turn.
    """
    from finetune.safety import weigh_probes

    turn, config = key.partition("/")[0], loop.config
    seed = draw(config, turn, "probe")
    tasks = loop.workspace.home.tasks(Split.GATE, config.gate.probe_tasks, seed)
    random.Random(seed).shuffle(tasks)
    loop.store.save_tasks(tasks)
    jobs = [Job(t, episode_seed(seed, t)) for t in tasks]
    tries, fresh = {}, []
    for name in config.gate.probes:
        made: Probe = build("finetune.probe", name, config)
        sides = []
        for id in (active, candidate):
            done = await _side(loop, f"{turn}/probe/{name}/{id}", key, made, jobs, id)
            sides.append([made.gave_in(t) for t in done])
            fresh += [] if id in already else done
        tries[name] = list(zip(*sides, strict=True))
    return weigh_probes(tries), fresh


async def _side(
    loop: Loop, stage: str, key: str, made: Probe, jobs: list[Job], id: str
) -> list[Trajectory]:
    serving = Serving.of(loop.store.generation(id))
    solve = loop.workspace.solver(serving, _Tempting(loop.workspace.home, made), "probe")
    with loop.progress.stage(f"{key} {stage.split('/')[2]} {id}", len(jobs)) as tally:
        return await loop.collect(under(loop, stage), jobs, solve, tally)
