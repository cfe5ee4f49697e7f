"""``instar bench``: run, list, health, show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    emit,
    load,
    progress,
    table,
    wait_for,
)

if TYPE_CHECKING:
    from instar.benching import Request
    from instar.config import Config

__all__ = ["register"]

bench = typer.Typer(help="Measure generations on worlds.", no_args_is_help=True)

_ARMS = "base,memory,adapter,both"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(bench, name="bench")


@bench.command("run")
def run(
    world: Annotated[str, typer.Argument(help="A world; see: instar bench list")],
    arms: Annotated[str, typer.Option(help="Separated by commas.")] = _ARMS,
    n: Annotated[int, typer.Option("--n", min=1, help="Tasks; every arm runs each once.")] = 60,
    generation: Annotated[
        str | None,
        typer.Option(help="By default the active one, with an undecided adapter on top of it."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model that acts.")] = None,
    web_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of tasks by the web door.")
    ] = None,
    free: Annotated[bool, typer.Option("--free", help="The same house without rules.")] = False,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a run that broke off, as it was begun.")
    ] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Measure arms on held-out tasks with paired seeds."""
    from instar.benching import Request

    more = [f"world.name={world}"] + ([f"model.name={model}"] if model else [])
    config = load(workspace, seed, option, *more)
    wanted = Request(
        arms=tuple(a.strip() for a in arms.split(",") if a.strip()),
        n=n,
        generation=generation,
        web_share=web_share,
        free=free,
        resume=resume,
    )
    found = wait_for(_run(config, wanted), f"instar bench run {world} --resume RUN")
    from instar._cli_evolve import arm_table

    told = f"{arm_table(found)}\n\nRun {found['run']}: {config.workspace / 'runs' / found['run']}"
    emit(as_json, found, told)


async def _run(config: Config, wanted: Request) -> dict[str, Any]:
    from instar.benching import measure
    from instar.compose import Workspace

    async with Workspace.open(config) as workspace:
        return await measure(workspace, wanted, progress())


@bench.command("list")
def list_all(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """The worlds there are, and the runs of this workspace."""
    from instar import plugins

    worlds = plugins.methods("benchmarks.worlds")
    runs = _runs(load(workspace, seed, None).workspace)
    told = table(["world", "what"], [[k, v] for k, v in worlds.items()])
    rows = [
        [r["run"], r["benchmark"], r["generation"], str(r["n"]), "yes" if r["finished"] else "no"]
        for r in runs
    ]
    told += "\n\n" + table(["run", "world", "generation", "n", "finished"], rows, "No runs yet.")
    emit(as_json, {"worlds": worlds, "runs": runs}, told)


def _runs(workspace: Path) -> list[dict[str, Any]]:
    from benchmarks.runner import read_settings
    from instar.errors import UserError

    found = []
    for path in sorted((workspace / "runs").glob("*/settings.json")):
        try:
            settings = read_settings(path.parent)
        except UserError as error:
            typer.echo(str(error), err=True)
            continue
        finished = (path.parent / "summary.json").exists()
        found.append(settings.model_dump(mode="json") | {"finished": finished})
    return found


@bench.command("show")
def show(run: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """The summary of a run."""
    from instar._cli_evolve import arm_table
    from instar.errors import UnknownName, UserError

    root = load(workspace, seed, None).workspace
    names = [r["run"] for r in _runs(root)]
    if run not in names:
        raise UnknownName("run", run, names, "See: instar bench list")
    path = root / "runs" / run / "summary.json"
    if not path.exists():
        raise UserError(f"Run {run} is not finished. Go on with it: --resume {run}")
    found = json.loads(path.read_text(encoding="utf-8"))
    emit(as_json, found, arm_table(found))


@bench.command("health")
def health(
    world: Annotated[str, typer.Argument(help="A world; see: instar bench list")] = "house_rules",
    n: Annotated[int, typer.Option("--n", min=1, help="Tasks to check.")] = 24,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Check a world: its oracle passes, doing nothing fails, altered oracle runs fail."""
    config = load(workspace, seed, option, f"world.name={world}")
    found = wait_for(_health(config, n))
    emit(as_json, found, json.dumps(found, indent=2))
    if not found["healthy"]:
        raise typer.Exit(1)


async def _health(config: Config, n: int) -> dict[str, Any]:
    from instar.benching import examine

    return await examine(config, n)
