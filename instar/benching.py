"""What ``instar bench run`` does: arms of a generation on held-out tasks, in a folder of its own.

The placebo adapter is made when it is first asked for: by the same curator and trainer, from the
verified successes in the foreign house alone.
"""

from __future__ import annotations

from typing import Any

from benchmarks import runner
from benchmarks.runner import Line, Settings, write_json
from benchmarks.summary import summarise
from instar._arms import fullest, lacking
from instar._loop import Loop
from instar._methods import build
from instar._reporting import leakage
from instar._stages import describe, start, train_adapter
from instar.compose import ARMS, Workspace
from instar.config import Config
from instar.contracts import World
from instar.errors import UnknownName, UserError
from instar.progress import Progress
from instar.types import Generation, Record, Split

__all__ = ["Request", "examine", "measure"]


class Request(Record):
    """What to measure.

    Attributes:
        generation: Id; by default the active one with what is undecided on top of it.
        web_share: Share of tasks by the web door; as in practise by default.
        free: The same house without rules.
        resume: Name of a run to go on with.
    """

    arms: tuple[str, ...] = ("base", "memory", "adapter", "both")
    n: int = 60
    generation: str | None = None
    web_share: float | None = None
    free: bool = False
    resume: str | None = None


async def measure(workspace: Workspace, wanted: Request, progress: Progress) -> dict[str, Any]:
    """Run what is missing of a run and return its summary.

    Raises:
        UnknownName: No such arm, generation or run.
        UserError: An arm that cannot be measured here.
    """
    if wanted.resume is not None:
        wanted = _resumed(workspace, wanted.resume)
    for name in wanted.arms:
        if name not in ARMS:
            raise UnknownName("arm", name, ARMS)
    loop = Loop(workspace, progress)
    generation = await _generation(loop, wanted.generation)
    world = workspace.world(free=wanted.free, web_share=wanted.web_share)
    tasks = world.tasks(Split.HELD_OUT, wanted.n, workspace.config.seed)
    missing = lacking(workspace, generation, wanted.arms)
    for name, why in missing.items():
        progress.say(f"Arm {name} is left out: {why}.")
    wanted = wanted.model_copy(update={"arms": tuple(a for a in wanted.arms if a not in missing)})
    if not wanted.arms:
        raise UserError("None of these arms can be measured. Try: --arms base")
    settings = _settings(workspace, wanted, generation, world, len(tasks), missing)
    placebo = None
    if "placebo_adapter" in wanted.arms:
        placebo = await _placebo(loop, generation)
    solvers = {
        name: workspace.solver(workspace.arm(name, generation, placebo), world, "bench", arm=name)
        for name in wanted.arms
    }
    folder = workspace.path / "runs" / settings.run
    progress.say(f"Run {settings.run}; if it breaks off, type: --resume {settings.run}")
    total = len(tasks) * len(solvers)
    with progress.stage(f"bench {settings.run}", total) as tally:

        def count(line: Line) -> None:
            tally.add(line.trajectory.score.status)

        for line in runner.read_lines(folder):
            count(line)
        limit = workspace.config.practise.concurrency
        lines = await runner.run(settings, tasks, solvers, folder, limit, count)
    summary = summarise(settings, lines, leakage(workspace, tasks, generation))
    write_json(folder / "summary.json", summary)
    return summary


async def _generation(loop: Loop, id: str | None) -> Generation:
    """The generation asked for; a fresh workspace gets the one that has learnt nothing."""
    if id is not None:
        return loop.store.generation(id)
    active = loop.store.active()
    if active is None:
        made = await start(loop, "", {})
        active = loop.store.generation(made.state["active"])
    found = fullest(loop.workspace, active)
    if found.id != active.id:
        loop.progress.say(
            f"Measured is {found.id}: the active {active.id} with an adapter on top that the gate "
            f"has not decided on. For the active one alone: --generation {active.id}"
        )
    return found


def _resumed(workspace: Workspace, run: str) -> Request:
    """What an earlier run was asked to measure."""
    root = workspace.path / "runs"
    folders = [p.parent.name for p in root.glob("*/settings.json")]
    if run not in folders:
        raise UnknownName("run", run, folders, "See: instar bench list")
    before = runner.read_settings(root / run)
    shape: dict[str, Any] = dict(before.options)
    asked = (*before.arms, *before.left_out)
    return Request(arms=asked, n=before.n, generation=before.generation, resume=run, **shape)


def _settings(
    workspace: Workspace,
    wanted: Request,
    generation: Generation,
    world: World,
    n: int,
    missing: dict[str, str],
) -> Settings:
    name = wanted.resume or f"bench{workspace.store.counter('bench')}"
    return Settings(
        run=name,
        benchmark=world.id,
        namespace=world.namespace,
        generation=generation.id,
        model=workspace.config.model.name,
        n=n,
        seed=workspace.config.seed,
        arms=wanted.arms,
        options={"web_share": wanted.web_share, "free": wanted.free},
        left_out=missing,
    )


async def _placebo(loop: Loop, generation: Generation) -> str:
    """The adapter that learnt elsewhere what this generation's adapter could have learnt here."""
    foreign = loop.workspace.foreign
    if foreign is None:
        raise UserError("This world has no foreign house: leave out placebo_adapter.")
    if loop.config.train.trainer == "off" or loop.workspace.models.folder is None:
        raise UserError("Nothing is trained with these settings: leave out placebo_adapter.")
    key = f"placebo/{generation.id}"
    kept = loop.store.stage(key)
    if kept is None:
        kept = await _train_placebo(loop, key, generation, foreign.namespace)
    return str(kept["adapter"])


async def _train_placebo(
    loop: Loop, key: str, generation: Generation, namespace: str
) -> dict[str, Any]:
    curator = build("finetune.curate", loop.config.train.curator, loop.config, home=namespace)
    turns = {g.seq for g in map(loop.store.generation, loop.store.ancestry(generation.id))}
    lived = [
        t
        for turn in sorted(turns)
        for i in (1, 2)
        for t in loop.store.trajectories(stage=f"g{turn}/practise_{i}", namespace=namespace)
    ]
    found = curator.curate(lived)
    if not found.rows:
        raise UserError(
            f"No verified success in {namespace} to train a placebo on: leave out placebo_adapter."
        )
    found.save(loop.workspace.path / "datasets" / found.hash)
    adapter = await train_adapter(loop, key, found.hash, None)
    value = {**describe(found), "adapter": adapter}
    loop.store.finish_stage(key, value)
    return value


async def examine(config: Config, n: int) -> dict[str, Any]:
    """Check a world: what ``instar bench health`` prints."""
    from benchmarks.health import check

    house = config.seed if config.world.house is None else config.world.house
    settings = {"house": house, "web_share": 0.0}
    world: World = build("benchmarks.worlds", config.world.name, config, **settings)
    try:
        report = await check(world, world.tasks(Split.PRACTISE, n, config.seed))
    finally:
        close = getattr(world, "close", None)
        if close is not None:
            await close()
    return report.model_dump(mode="json") | {"healthy": report.healthy}
