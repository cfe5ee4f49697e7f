"""One sabotaged evolution, and the measurement of every candidate that came to a gate in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import runner
from benchmarks.studies._harm import Comparison
from benchmarks.summary import success
from instar.compose import Serving, Workspace
from instar.config import Config
from instar.evolve import evolve
from instar.once import once
from instar.progress import Progress
from instar.store import Store
from instar.types import Score, Split, Status, Trajectory

__all__ = ["EPISODES", "spoil"]

EPISODES = 400
"""Fresh tasks that each generation does."""

_TURNS = 2
_SESSIONS = 40
_GATES = ("gate_memory", "gate_prompts", "gate_adapter", "gate_moult")
_DONE, _RECORDED = "sabotage/done", "sabotage/sessions"


class _Gate(NamedTuple):
    """What a gate compared, and what it decided."""

    key: str
    candidate: str
    active: str
    decision: str


async def spoil(config: Config, name: str, n: int, progress: Progress) -> list[Comparison]:
    """Evolve, then measure, as far as that is not done.

    Args:
        config: With the sabotage in it; where a judge is set, its second turn learns from sessions.
        name: Of the sabotage.
        n: Fresh tasks.
        progress: Told of what is run.
    """
    async with Workspace.open(config) as workspace:
        if workspace.store.stage(_DONE) is None:
            await _evolve(workspace, progress)
            workspace.store.finish_stage(_DONE, {})
        gates = _gates(workspace.store)
        lived = await _measured(workspace, gates, n, progress)
        return [_compared(gate, lived, name, config.seed) for gate in gates]


async def _evolve(workspace: Workspace, progress: Progress) -> None:
    judged = workspace.config.memory.judge is not None
    if workspace.store.stage("run1/report") is None:
        await evolve(workspace, 1 if judged else _TURNS, progress)
    if not judged:
        return
    if workspace.store.stage(_RECORDED) is None:
        await _record(workspace)
    await once(workspace, False, progress)


async def _record(workspace: Workspace) -> None:
    """Sessions of which nobody has said how they went, for the judge to say it."""
    active = workspace.store.active()
    assert active is not None  # a turn is finished
    solve = workspace.solver(Serving.of(active), workspace.home, "live", sampled=True)
    for seed, task in enumerate(workspace.home.tasks(Split.PRACTISE, _SESSIONS, 7)):
        found = await solve(task, seed)
        found = found.model_copy(update={"score": Score(status=Status.UNKNOWN)})
        workspace.store.save_trajectory(found, stage="live")
    workspace.store.finish_stage(_RECORDED, {})


def _gates(store: Store) -> list[_Gate]:
    """The gates that measured something, in order."""
    found = []
    for key, facts in store.stages("g").items():
        verdict = facts.get("verdict") or {}
        if key.partition("/")[2] in _GATES and verdict.get("n"):
            found.append(_Gate(key, facts["candidate"], facts["active"], verdict["decision"]))
    return found


async def _measured(
    workspace: Workspace, gates: Sequence[_Gate], n: int, progress: Progress
) -> dict[str, list[Trajectory]]:
    """Episodes by generation, all on the same tasks and seeds, which nobody learns from."""
    arms = tuple(dict.fromkeys(id for g in gates for id in (g.active, g.candidate)))
    if not arms:
        return {}
    home, config = workspace.home, workspace.config
    tasks = home.tasks(Split.HELD_OUT, n, config.seed + 1)
    settings = runner.Settings(
        run=f"sabotage-{n}",
        benchmark=home.id,
        namespace=home.namespace,
        generation=arms[-1],
        model=config.model.name,
        n=len(tasks),
        seed=config.seed,
        arms=arms,
    )
    solvers = {
        id: workspace.solver(Serving.of(workspace.store.generation(id)), home, "report", arm=id)
        for id in arms
    }
    folder = workspace.path / "runs" / settings.run
    with progress.stage("fresh tasks", len(tasks) * len(arms)) as tally:

        async def done(line: runner.Line) -> None:
            tally.add(line.trajectory.score.status)

        lines = await runner.run(
            settings, tasks, solvers, folder, config.practise.concurrency, done
        )
    return {id: [x.trajectory for x in lines if x.arm == id] for id in arms}


def _compared(gate: _Gate, lived: dict[str, list[Trajectory]], name: str, seed: int) -> Comparison:
    sides = [tuple(map(success, lived[id])) for id in (gate.active, gate.candidate)]
    return Comparison(
        sabotage=name,
        seed=seed,
        gate=gate.key,
        candidate=gate.candidate,
        decision=gate.decision,
        before=sides[0],
        after=sides[1],
    )
