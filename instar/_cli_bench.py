"""``instar bench``: run, list, health, show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    by_prefix,
    emit,
    load,
    progress,
    table,
    wait_for,
)
from instar._cli_resume import begun_with
from instar._cli_yours import begin_file, world_settings

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["register"]

bench = typer.Typer(help="Measure generations on worlds.", no_args_is_help=True)

_ARMS = "base,memory,adapter,both"
_WHAT = ("run", "namespace", "seed", "generation", "protocol")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    bench.command("init")(begin_file)
    app.add_typer(bench, name="bench")


Which: TypeAlias = Annotated[
    str, typer.Argument(help="A world or FILE.jsonl; see: instar bench list", metavar="WORLD")
]
Number: TypeAlias = Annotated[
    int | None, typer.Option("--n", min=1, help="Tasks; by default 60, or all if fewer.")
]
Like: TypeAlias = Annotated[
    str | None, typer.Option("--tasks", help="Only families or ids like this, such as 'refund*'.")
]
Generations: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--generation", help="By default the active one, with what is undecided on top of it."
    ),
]
Models: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--model", help="The model that acts; may be given several times."),
]
Protocol: TypeAlias = Annotated[
    str, typer.Option(help="frozen: nothing is learnt; stream: scored, then learnt from.")
]
Attempts: TypeAlias = Annotated[
    int, typer.Option(min=1, help="At each task; from two on they are sampled.")
]
AtOnce: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Episodes at a time.")]
Limit: TypeAlias = Annotated[
    str | None, typer.Option("--budget", help="What it may use: tokens=100000,usd=2.50")
]
WebShare: TypeAlias = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of tasks by the web door.")
]
Free: TypeAlias = Annotated[bool, typer.Option("--free", help="The same house without rules.")]
Screenshots: TypeAlias = Annotated[
    bool, typer.Option("--screenshots", help="Keep a picture of every web step.")
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Measure even where the world's check fails.")
]
Preset: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Settings to begin with: a name, or a path that ends in .toml."),
]
Resume: TypeAlias = Annotated[
    str | None, typer.Option(help="Go on with a run that broke off, as it was begun.")
]


@bench.command("run")
def run(
    world: Which,
    arms: Annotated[str, typer.Option(help="Separated by commas.")] = _ARMS,
    n: Number = None,
    tasks: Like = None,
    generation: Generations = None,
    model: Models = None,
    protocol: Protocol = "frozen",
    attempts: Attempts = 1,
    concurrency: AtOnce = None,
    budget: Limit = None,
    web_share: WebShare = None,
    free: Free = False,
    screenshots: Screenshots = False,
    force: Force = False,
    resume: Resume = None,
    preset: Preset = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Measure arms on held-out tasks with paired seeds."""
    more = world_settings(world) + ([f"model.name={model[0]}"] if model else [])
    more += [f"preset={preset}"] if preset else []
    config = load(workspace, seed, option, *more)
    if resume is not None:
        given: dict[str, Any] = {"n": n, "tasks": tasks, "generations": generation}
        given |= {"models": model, "seed": seed, "web_share": web_share}
        config = begun_with(config, resume, given, option or [])
    asked = {
        "arms": _names(arms),
        "n": n,
        "tasks": tasks,
        "generations": tuple(generation or ()),
        "models": tuple(model or ()),
        "protocol": protocol,
        "attempts": attempts,
        "concurrency": concurrency,
        "limit": _spending(budget),
        "web_share": web_share,
        "free": free,
        "screenshots": screenshots,
        "force": force,
        "resume": resume,
    }
    found = wait_for(_run(config, asked), "the command named above")
    emit(as_json, found, _told(found))
    nothing = any(f["n"] and f["unknown"] == f["n"] for f in found["arms"].values())
    if nothing or not found["fairness"]["fair"]:
        raise typer.Exit(1)


def _names(text: str) -> tuple[str, ...]:
    return tuple(a.strip() for a in text.split(",") if a.strip())


def _spending(text: str | None) -> dict[str, str] | None:
    """The limits of ``--budget``."""
    from instar.errors import UserError

    if text is None:
        return None
    parts = [part.partition("=") for part in _names(text)]
    if not parts or any(not value or name not in ("tokens", "usd") for name, _, value in parts):
        raise UserError(f"--budget {text}: type --budget tokens=100000, usd=2.50, or both")
    return {name: value for name, _, value in parts}


async def _run(config: Config, asked: dict[str, Any]) -> dict[str, Any]:
    from pydantic import ValidationError

    from instar.benching import Request, measure
    from instar.compose import Workspace
    from instar.errors import UserError

    try:
        wanted = Request.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        name = "budget" if first["loc"][0] == "limit" else str(first["loc"][0])
        raise UserError(f"--{name}: {first['msg']}, not {first['input']!r}.") from error
    async with Workspace.open(config) as workspace:
        known = [one.id for one in workspace.store.generations()]
        whole = tuple(by_prefix(id, known) for id in wanted.generations)
        wanted = wanted.model_copy(update={"generations": whole})
        return await measure(workspace, wanted, progress())


def _told(found: dict[str, Any]) -> str:
    from instar._cli_figures import arm_table, unknown_lines
    from instar.answers import answer_lines

    lines = [arm_table(found)]
    lines += unknown_lines(found["arms"])
    for arm, answers in found["answers"].items():
        lines += [f"{arm}: {line}" for line in answer_lines(answers)]
    if not found["fairness"]["fair"]:
        lines += ["The arms had not the same chance; do not compare them:"]
        lines += [f"  {problem}" for problem in found["fairness"]["problems"]]
    return "\n\n".join([*lines, f"Run {found['run']}: {found['report']}"])


@bench.command("report")
def report(run: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """Write the pages of a run anew, also of one that is not finished."""
    from instar._bench_runs import rewrite

    found = rewrite(load(workspace, seed, None).workspace, run)
    emit(as_json, found, f"Report: {found['report']}")


@bench.command("compare")
def compare(
    runs: Annotated[list[str], typer.Argument(help="Two runs or more; the first is the base.")],
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Compare the arms of runs in pairs, over the tasks and seeds that they share."""
    from instar._bench_runs import compare as compared
    from instar._cli_figures import paired_table

    found = compared(load(workspace, seed, None).workspace, runs)
    emit(as_json, found, "\n\n".join([paired_table(found["paired"]), *found["notes"]]))


@bench.command("list")
def list_all(
    world: Annotated[
        str | None, typer.Argument(help="List the tasks that this world knows of instead.")
    ] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """The worlds there are, and the runs of this workspace."""
    from instar import plugins
    from instar._bench_runs import listed

    if world is not None:
        _list_tasks(world, as_json)
        return
    worlds = plugins.methods("benchmarks.worlds")
    runs, broken = listed(load(workspace, seed, None).workspace)
    for why in broken:
        typer.echo(why, err=True)
    told = table(["world", "what"], [[k, v] for k, v in worlds.items()])
    head = ["run", "world", "seed", "generation", "protocol", "n", "complete", "arms"]
    rows = [
        [
            *(str(r[k]) for k in (*_WHAT, "n")),
            "yes" if r["finished"] else "no",
            ", ".join(r["arms"]),
        ]
        for r in runs
    ]
    told += "\n\n" + table(head, rows, "No runs yet.")
    emit(as_json, {"worlds": worlds, "runs": runs}, told)


def _list_tasks(world: str, as_json: bool) -> None:
    from instar import plugins
    from instar.errors import UserError

    catalogue = getattr(plugins.load("benchmarks.worlds", world), "catalogue", None)
    if catalogue is None:
        raise UserError(f"{world} has no list of its tasks. Worlds: instar bench list")
    known = [page.model_dump() for page in catalogue()]
    rows = [[p["name"], "yes" if p["offered"] else "no", p["note"]] for p in known]
    emit(as_json, {"tasks": known}, table(["task", "offered", "note"], rows))


@bench.command("show")
def show(run: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """The summary of a run."""
    from instar._bench_runs import summary
    from instar._cli_figures import arm_table

    found = summary(load(workspace, seed, None).workspace, run)
    emit(as_json, found, arm_table(found))


@bench.command("health")
def health(
    world: Annotated[
        str, typer.Argument(help="A world or FILE.jsonl; see: instar bench list")
    ] = "house_rules",
    n: Annotated[int, typer.Option("--n", min=1, help="Tasks to check.")] = 24,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Check a world: its oracle passes, doing nothing fails, altered oracle runs fail."""
    from instar._cli_figures import health_table

    config = load(workspace, seed, option, *world_settings(world))
    found = wait_for(_health(config, n))
    emit(as_json, found, health_table(found))
    if not found["healthy"]:
        raise typer.Exit(1)


async def _health(config: Config, n: int) -> dict[str, Any]:
    from instar._bench_checks import examine

    return await examine(config, n)
