"""What ``instar bench run`` does: arms of generations under models on the same held-out tasks.

A run lives in a folder of its own and can be broken off anywhere. It begins with what it will cost
and what it can show, and ends with figures, a report, and whether the arms had the same chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmarks import fairness, run_page, runner, transcripts
from benchmarks.fairness import Limits
from benchmarks.film import Film
from benchmarks.forecast import forecast
from benchmarks.health import levels
from benchmarks.runner import Line, Settings, write_json
from benchmarks.spending import Spending
from benchmarks.summary import summarise
from instar import _bench_checks as checks
from instar._arms import fullest
from instar._commands import again
from instar._loop import Loop
from instar._methods import require_reflection
from instar._placebo import with_placebos
from instar._reporting import leakage
from instar._scaling import best_of_n
from instar._stages import start
from instar._streaming import Stream
from instar._subjects import Subject, made_of, subjects
from instar.compose import ARMS, Workspace
from instar.contracts import Solve, World
from instar.errors import UnknownName, UserError
from instar.progress import Progress
from instar.types import Generation, Record, Split, Task

__all__ = ["Request", "measure"]

_GUARD = frozenset({"same_task"})
_LEARNING = frozenset({"memory", "both"})
_BEST = "best_of_n"


class Request(Record):
    """What to measure.

    Attributes:
        n: Tasks; by default 60, or all where there are fewer.
        tasks: Pattern of the families or ids to choose from.
        models: Names; by default the model of the settings.
        generations: Ids; by default the active one with what is undecided on top of it.
        protocol: ``frozen``, or ``stream``: arms with memory learn from each episode once it is scored.
        attempts: Times that each arm runs each task; from two on they are sampled.
        concurrency: Episodes at the same time; by default as in practise.
        limit: What the run may use.
        web_share: Share of tasks by the web door; as in practise by default.
        free: The same house without rules.
        screenshots: Keep a picture of every web step.
        force: Measure in a world that is not fit.
        resume: Name of a run to go on with.
    """

    arms: tuple[str, ...] = ("base", "memory", "adapter", "both")
    n: int | None = Field(default=None, ge=1)
    tasks: str | None = None
    models: tuple[str, ...] = ()
    generations: tuple[str, ...] = ()
    protocol: Literal["frozen", "stream"] = "frozen"
    attempts: int = Field(default=1, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    limit: Spending | None = None
    web_share: float | None = None
    free: bool = False
    screenshots: bool = False
    force: bool = False
    resume: str | None = None


_TODAY = frozenset({"n", "concurrency", "limit", "resume"})
_SHAPE = frozenset(Request.model_fields) - _TODAY
"""Fields of a request that shape what a run measures, and that resuming it takes from the run."""


@dataclass(frozen=True)
class _Plan:
    """A run as it is going to be made."""

    wanted: Request
    settings: Settings
    folder: Path
    world: World
    tasks: Sequence[Task]
    subjects: Sequence[Subject]
    limits: Limits
    problems: Sequence[str]

    @property
    def total(self) -> int:
        """Episodes of the whole run."""
        return self.settings.n * self.settings.attempts * len(self.settings.arms)


async def measure(workspace: Workspace, wanted: Request, progress: Progress) -> dict[str, Any]:
    """Run what is missing of a run and return its summary.

    Raises:
        UnknownName: No such arm, generation or run.
        UserError: An arm or number of tasks that cannot be measured here, or an unfit world.
    """
    if wanted.resume is not None:
        wanted = _resumed(workspace, wanted)
    for name in wanted.arms:
        if name not in ARMS:
            raise UnknownName("arm", name, ARMS)
        if wanted.arms.count(name) > 1:
            raise UserError(f"The arm {name} is named more than once.")
    loop = Loop(workspace, progress)
    plan = await _plan(loop, wanted)
    written = loop.store.memory_changes()
    streams = _streams(loop, plan)
    lines = await _run(loop, plan, streams)
    found = leakage(workspace, plan.tasks, plan.subjects[0].generation)
    written = loop.store.memory_changes() - written
    sources = checks.sources_of(loop.store)
    fair = fairness.examine(plan.settings, lines, plan.limits, sources, written)
    summary = summarise(plan.settings, lines, found) | {
        "fairness": fair.model_dump(mode="json"),
        "health": list(plan.problems),
        "levels": await levels(plan.world, plan.tasks),
        "answers": {label: stream.answers() for label, stream in streams.items()},
    }
    files = run_page.write(plan.folder, plan.settings, summary, lines)
    summary["report"] = str(files.html)
    write_json(plan.folder / "summary.json", summary)
    transcripts.write(plan.folder / "trajectories.jsonl", lines)
    if not summary["complete"]:
        progress.say(
            f"The budget is spent after {len(lines)} of {plan.total} episodes. To go on, with a "
            f"larger one: {again(workspace.config, plan.settings.run)} --budget ..."
        )
    return summary


async def _plan(loop: Loop, wanted: Request) -> _Plan:
    workspace, config = loop.workspace, loop.config
    generations = await _generations(loop, wanted.generations)
    world = workspace.world(free=wanted.free, web_share=wanted.web_share)
    tasks = checks.choose(world, Split.HELD_OUT, wanted.n, config.seed, wanted.tasks)
    models = wanted.models or (config.model.name,)
    for model in models:
        workspace.model(model).require()  # one that does not exist is refused before any work
    learns = wanted.protocol == "stream"
    if learns:
        require_reflection(config)
    problems = await checks.fit(loop.store, config, loop.progress, wanted.force)
    found, missing = subjects(workspace, models, generations, wanted.arms, learns)
    found, without = await with_placebos(loop, found)
    missing |= without
    for label, why in missing.items():
        loop.progress.say(f"Arm {label} is left out: {why}.")
    if not found:
        raise UserError("None of these arms can be measured. Try: --arms base")
    name = wanted.resume or f"bench{loop.store.counter('bench')}"
    settings = Settings(
        run=name,
        benchmark=world.id,
        namespace=world.namespace,
        generation=", ".join(g.id for g in generations),
        model=", ".join(models),
        n=len(tasks),
        seed=config.seed,
        arms=tuple(s.label for s in found),
        attempts=wanted.attempts,
        protocol=wanted.protocol,
        options=wanted.model_dump(mode="json", include=set(_SHAPE)),
        left_out=missing,
        subjects={s.label: made_of(workspace, s) for s in found},
    )
    limits = Limits(steps=config.agent.max_steps, tokens=config.agent.max_tokens)
    folder = workspace.path / "runs" / name
    return _Plan(wanted, settings, folder, world, tasks, found, limits, problems)


async def _run(loop: Loop, plan: _Plan, streams: Mapping[str, Stream]) -> list[Line]:
    """All episodes; the stream's one after the other, and the best of n when all others are known."""
    settings, before = plan.settings, runner.read_lines(plan.folder)
    runner.begin(plan.folder, settings, await checks.about(loop.config))
    total = plan.total
    past = checks.past(plan.folder.parent, settings)
    pairs = settings.n if len(settings.arms) > 1 else 0
    cost = forecast(total - len(before), pairs, plan.limits, past)
    loop.progress.say(f"Run {settings.run}: {cost.sentence}")
    loop.progress.say(f"If it breaks off, type: {again(loop.config, settings.run)}")
    loop.progress.say(f"Loading {settings.model}.")
    solvers = {s.label: _solver(loop, plan, s, streams.get(s.label)) for s in plan.subjects}
    with loop.progress.stage(f"bench {settings.run}", total) as tally:
        for line in before:
            tally.add(line.trajectory.score.status)

        async def done(line: Line) -> None:
            tally.add(line.trajectory.score.status)
            if line.arm in streams:
                await streams[line.arm].learn(line)

        async def part(chosen: Sequence[Subject], at_once: int) -> list[Line]:
            labels = {s.label for s in chosen}
            return await runner.run(
                settings,
                plan.tasks,
                {k: v for k, v in solvers.items() if k in labels},
                plan.folder,
                at_once,
                done,
                plan.wanted.limit,
            )

        limit = plan.wanted.concurrency or loop.config.practise.concurrency
        lines: list[Line] = []
        for subject in (s for s in plan.subjects if s.label in streams):
            await streams[subject.label].catch_up([x for x in before if x.arm == subject.label])
            lines = await part([subject], 1)
        lines = await part(
            [s for s in plan.subjects if s.label not in streams and s.arm != _BEST], limit
        )
        best = [s for s in plan.subjects if s.arm == _BEST]
        if best:
            solvers |= {s.label: best_of_n(loop.config, solvers[s.label], lines) for s in best}
            lines = await part(best, limit)
    return lines


def _solver(loop: Loop, plan: _Plan, subject: Subject, stream: Stream | None) -> Solve:
    serving = subject.serving
    if stream is not None:
        update = {"memory": stream.generation.id, "generation": stream.generation.id}
        serving = serving.model_copy(update=update)
    sampled = plan.wanted.attempts > 1 or subject.arm == _BEST
    world = plan.world
    if plan.wanted.screenshots:
        world = Film(world, run_page.screens(plan.folder, subject.label))
    return loop.workspace.solver(
        serving, world, "bench", arm=subject.label, sampled=sampled, guard=_GUARD
    )


def _streams(loop: Loop, plan: _Plan) -> dict[str, Stream]:
    if plan.settings.protocol != "stream":
        return {}
    return {
        s.label: Stream(loop, plan.settings.run, s.label, s.generation)
        for s in plan.subjects
        if s.arm in _LEARNING
    }


async def _generations(loop: Loop, ids: Sequence[str]) -> list[Generation]:
    """The generations asked for; a fresh workspace gets the one that has learnt nothing."""
    if ids:
        return [loop.store.generation(id) for id in ids]
    active = loop.store.active()
    if active is None:
        made = await start(loop, "", {})
        active = loop.store.generation(made.state["active"])
    found = fullest(loop.workspace, active)
    if found.id != active.id:
        loop.progress.say(
            f"Measured is {found.id}: the active {active.id} with what is on top of it that the "
            f"gate has not decided on. For the active one alone: --generation {active.id}"
        )
    return [found]


def _resumed(workspace: Workspace, wanted: Request) -> Request:
    """What an earlier run was asked to measure, with the limits of today."""
    root = workspace.path / "runs"
    folders = [p.parent.name for p in root.glob("*/settings.json")]
    if wanted.resume not in folders:
        raise UnknownName("run", str(wanted.resume), folders, "See: instar bench list")
    before = runner.read_settings(root / wanted.resume)
    shape = {k: v for k, v in before.options.items() if k in _SHAPE}
    return Request.model_validate(
        {"n": before.n, "concurrency": wanted.concurrency, "limit": wanted.limit}
        | {"resume": wanted.resume, "arms": before.arms, **shape}
    )
