"""The last stage of a run: what was learnt, measured on held-out tasks, as a page.

It serves the active generation, with what is undecided on top of it, in four
arms, and each generation that was active before it whole, unless an earlier report has measured that
one under the same conditions.
Nothing that learns reads what is measured here.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import runner
from benchmarks.health import levels
from benchmarks.leakage import check_store
from benchmarks.report import ReportData, write
from benchmarks.runner import Line, Settings, write_json
from benchmarks.summary import arm_figures, summarise
from instar._arms import fullest, lacking
from instar._gate_reuse import conditions
from instar._loop import Loop, Output, State
from instar._report_loop import (
    FIGURES,
    curriculum,
    ledger,
    measured_before,
    moults,
    trainings,
    verdicts,
)
from instar._worthing import valued
from instar.compose import Serving, Workspace
from instar.contracts import Solve
from instar.errors import UserError
from instar.types import Generation, GenerationStatus, Split, Task, content_hash

__all__ = ["leakage", "lineage", "report", "stage_table"]

_ARMS = ("base", "memory", "adapter", "both", "moulted", "prompt", "whole")
_NOTES = {
    "memory": "memory",
    "both": "memory and adapter",
    "moulted": "memory and adapter, what the adapter does without is shed",
    "whole": "with evolved prompts",
}


async def report(loop: Loop, key: str, state: State) -> Output:
    """Measure the active generation and those before it, and write the report."""
    workspace, store = loop.workspace, loop.store
    path = _served(loop)
    active = store.generation(path[-1])
    measured = fullest(workspace, active)
    missing = lacking(workspace, measured, _ARMS)
    arms = tuple(a for a in _ARMS if a not in missing)
    number = loop.config.report.tasks
    tasks = workspace.home.tasks(Split.HELD_OUT, number, loop.config.seed)
    under = content_hash([conditions(loop), loop.config.seed, *(t.id for t in tasks)], 12)
    between, known = _between(path, active, measured), measured_before(store, under)
    known = {id: known[id] for id in between if id in known}
    settings = Settings(
        run=key.replace("/", "-"),
        benchmark=workspace.home.id,
        namespace=workspace.home.namespace,
        generation=measured.id,
        model=loop.config.model.name,
        n=len(tasks),
        seed=loop.config.seed,
        arms=(*arms, *(id for id in between if id not in known)),
        left_out=missing,
    )
    folder = workspace.path / "runs" / settings.run
    lines = await _measure(loop, settings, tasks, measured)
    shown = settings.model_copy(update={"arms": arms})
    found = leakage(workspace, tasks, measured)
    summary = summarise(shown, [x for x in lines if x.arm in arms], found)
    summary["levels"] = await levels(workspace.home, tasks)
    write_json(folder / "summary.json", summary)
    points = _points(loop, path, lines, known)
    files = write(folder, _data(loop, summary, points, key))
    loop.progress.say(f"Report: {files.html}")
    facts = {"html": str(files.html), "png": str(files.png), "summary": summary}
    facts |= {"under": under, "points": {p["id"]: {k: p[k] for k in FIGURES} for p in points}}
    return Output({}, facts, [x.trajectory for x in lines])


def _served(loop: Loop) -> list[str]:
    """The generations that have served, oldest first, the active one last."""
    turns = loop.store.stages("g")
    served = [v["before"] for k, v in turns.items() if k.endswith("/promote")]
    active = loop.store.active()
    assert active is not None
    return list(dict.fromkeys([*served, active.id]))


def _between(path: Sequence[str], active: Generation, measured: Generation) -> list[str]:
    """The generations that served and are none of the arms."""
    own = path[1:-1]
    covered = measured.id == active.id or active.adapter is None
    return [*own] if covered or active.id == path[0] else [*own, active.id]


async def _measure(
    loop: Loop, settings: Settings, tasks: Sequence[Task], measured: Generation
) -> list[Line]:
    workspace = loop.workspace
    servings = {
        name: workspace.arm(name, measured)
        if name in _ARMS
        else Serving.of(loop.store.generation(name))
        for name in settings.arms
    }
    solvers: dict[str, Solve] = {
        name: loop.limited(workspace.solver(serving, workspace.home, "report", arm=name))
        for name, serving in servings.items()
    }
    folder = workspace.path / "runs" / settings.run
    _leave_out(folder, settings)
    with loop.progress.stage("report", len(tasks) * len(solvers)) as tally:
        for line in runner.read_lines(folder):
            tally.add(line.trajectory.score.status)

        async def done(line: Line) -> None:
            tally.add(line.trajectory.score.status)

        return await runner.run(
            settings,
            tasks,
            solvers,
            folder,
            loop.config.practise.concurrency,
            done,
        )


def _leave_out(folder: Path, settings: Settings) -> None:
    """Take away what a report that broke off has measured of something else than is measured now."""
    try:
        same = not folder.exists() or runner.read_settings(folder) == settings
    except UserError:
        same = False
    if not same:
        shutil.rmtree(folder)


def _points(
    loop: Loop,
    path: Sequence[str],
    lines: Sequence[Line],
    known: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Success of each generation that served; the first is the arm base, the last one of the arms.

    Those between were measured by this report or by one before.
    """
    points = []
    ran = {x.arm for x in lines}
    for index, id in enumerate(path):
        generation = loop.store.generation(id)
        whole = _whole(loop, generation)
        arm = "base" if index == 0 else id if id in ran else whole
        figures = known.get(id) or arm_figures([x.trajectory for x in lines if x.arm == arm])
        note = "learnt nothing" if index == 0 else _NOTES[whole]
        own = {k: figures[k] for k in FIGURES}
        status = generation.status.value
        points.append(
            {"label": f"g{generation.seq}", "note": note, "id": id, "status": status} | own
        )
    return points


def _whole(loop: Loop, generation: Generation) -> str:
    """The arm that is the generation as it serves."""
    if generation.texts is not None:
        return "whole"
    if generation.adapter is None:
        return "memory"
    return "moulted" if loop.store.internalised(generation.id) else "both"


def lineage(workspace: Workspace, generation: Generation) -> dict[str, list[str]]:
    """Trajectories behind the adapter and the evolved prompts that a generation serves."""
    return {**_behind_adapter(workspace, generation), **_behind_prompts(workspace, generation)}


def _behind_prompts(workspace: Workspace, generation: Generation) -> dict[str, list[str]]:
    if generation.texts is None:
        return {}
    path = set(workspace.store.ancestry(generation.id))
    stages = workspace.store.stages("g").items()
    found = [v for k, v in stages if k.endswith("/evolve_prompts") and v["candidate"] in path]
    return {generation.prompts: sorted({id for value in found for id in value["behind"]})}


def _behind_adapter(workspace: Workspace, generation: Generation) -> dict[str, list[str]]:
    if generation.adapter is None:
        return {}
    dataset = workspace.store.adapter(generation.adapter).dataset
    sets = [v for v in workspace.store.stages("").values() if v.get("dataset") == dataset]
    sources = sets[0]["trajectories"] if sets else [f"dataset {dataset}"]
    return {generation.adapter: list(sources)}


def leakage(
    workspace: Workspace, tasks: Sequence[Task], generation: Generation
) -> dict[str, object]:
    """The contamination check over everything that a generation has learnt."""
    rows = lineage(workspace, generation)
    return check_store(workspace.store, tasks, generation.id, rows).summary()


def _data(
    loop: Loop, summary: Mapping[str, Any], points: list[dict[str, Any]], key: str
) -> ReportData:
    store, config = loop.store, loop.config
    items = [i for i in store.items(summary["generation"]) if i.namespace == summary["namespace"]]
    stages = store.stages("g")
    experience = valued(store, items, config.model.name).line
    loop.progress.say(f"Experience: {experience}")
    facts = {
        "world": summary["namespace"],
        "model": config.model.name,
        "seed": str(config.seed),
        "held-out tasks": str(summary["n"]),
        "serving": path_note(loop),
        "measured": _measured(loop, summary["generation"]),
        **_saved(summary["arms"]),
        "in practice": f"{experience}; each memory: instar memory list --by uplift",
        "written": time.strftime("%Y-%m-%d %H:%M"),
    }
    return ReportData(
        title=f"Instar on {summary['namespace']}",
        facts=facts,
        generations=points,
        arms=summary["arms"],
        levels=summary["levels"],
        left_out=summary["left_out"],
        paired=summary["paired"],
        memories=[i.model_dump(mode="json") for i in items],
        ledger=ledger(store, summary["generation"]),
        curriculum=curriculum(store, stages),
        training=trainings(stages),
        moults=moults(stages),
        verdicts=verdicts(stages),
        stages=stage_table(stages),
        leakage=summary["leakage"],
    )


def _saved(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What an episode takes as it serves, against the base: tokens, and money where it costs some."""
    served = next((arms[a] for a in ("whole", "moulted", "both", "memory") if a in arms), None)
    base = arms.get("base")
    if not served or not base or not served["tokens"] or not base["tokens"]:
        return {}
    told = f"{served['tokens']:,.0f} tokens, without experience {base['tokens']:,.0f}"
    told += f" ({served['tokens'] / base['tokens'] - 1:+.0%})"
    if served["cost"] and base["cost"]:
        change = served["cost"] / base["cost"] - 1
        told += f"; ${served['cost']:.4f}, without ${base['cost']:.4f} ({change:+.0%})"
    return {"an episode takes": told}


def path_note(loop: Loop) -> str:
    """The generation that serves, and how many candidates were not let in."""
    active = loop.store.active()
    assert active is not None
    what = _NOTES[_whole(loop, active)] if active.seq else "learnt nothing"
    waiting = sum(
        g.status in (GenerationStatus.CANDIDATE, GenerationStatus.REJECTED)
        for g in loop.store.generations()
    )
    return f"{active.id} ({what}); {waiting} candidates were not let in, see the verdicts"


def _measured(loop: Loop, generation: str) -> str:
    active = loop.store.active()
    if active is None or active.id == generation:
        return generation
    return f"{generation} ({active.id} with what is undecided)"


def stage_table(stages: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Episodes, time and tokens of each finished stage."""
    return [
        {
            "turn": key.partition("/")[0].removeprefix("g"),
            "stage": key.partition("/")[2],
            "episodes": value["episodes"],
            "seconds": value["seconds"],
            "tokens": value["tokens"],
        }
        for key, value in stages.items()
        if "episodes" in value and "tokens" in value
    ]
