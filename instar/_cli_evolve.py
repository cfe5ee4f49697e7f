"""``instar init``, ``evolve`` and ``generations``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    by_prefix,
    emit,
    facts,
    load,
    open_store,
    progress,
    table,
    wait_for,
)
from instar._failure_hook import failure_told

if TYPE_CHECKING:
    from instar.config import Config
    from instar.store import Store

__all__ = ["register"]

generations = typer.Typer(help="Generations: list, show, promote, roll back.", no_args_is_help=True)


_TEMPLATE = """# Settings of this workspace; every key is optional. All keys: instar init --help
preset = "{preset}"
seed = {seed}
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(init)
    app.command()(evolve)
    app.add_typer(generations, name="generations")


def init(
    preset: Annotated[str, typer.Option(help="Settings to begin with.")] = "pocket",
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Make a workspace with an instar.toml to edit."""
    from instar.compose import Workspace

    if preset.endswith(".toml"):  # instar.toml is read from any folder
        preset = str(Path(preset).resolve())
    config = load(workspace, seed, option, f"preset={preset}")
    file = config.workspace / "instar.toml"
    existed = file.exists()
    opened = Workspace.open(config)
    opened.store.close()
    if not existed:
        file.write_text(_TEMPLATE.format(preset=config.preset, seed=config.seed), encoding="utf-8")
    found = "It was there already" if existed else "Edit its settings"
    told = f"Workspace {config.workspace}. {found}: {file}. Next: instar evolve"
    emit(as_json, {"workspace": str(config.workspace), "made": not existed}, told)


def evolve(
    preset: Annotated[str | None, typer.Option(help="Settings to begin with.")] = None,
    generations: Annotated[
        int | None, typer.Option(min=1, help="How many generations to add.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One turn on what sessions recorded, for a clock.")
    ] = False,
    practise: Annotated[
        bool, typer.Option("--practise", help="With --once: practise, whatever was recorded.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="The model that acts.")] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Practise, remember, train, gate, promote; then report. Goes on where it was interrupted."""
    from instar.errors import UserError

    if practise and not once:
        raise UserError("--practise belongs to --once; without it every turn practises.")
    if once and generations:
        raise UserError("--once is one turn: leave --generations away.")
    more = [f"preset={preset}"] if preset else []
    more += [f"model.name={model}"] if model else []
    config = load(workspace, seed, option, *more)
    number = generations or config.evolve.generations
    again = shlex.join(["instar", *sys.argv[1:]])
    if once:
        with failure_told(config.once.on_failure, config.workspace):
            found = wait_for(_once(config, practise), again)
        emit(as_json, found, found.get("nothing") or _summary(found))
        return
    found = wait_for(_evolve(config, number), again)
    emit(as_json, found, _summary(found))


async def _once(config: Config, practise: bool) -> dict[str, Any]:
    from instar.compose import Workspace
    from instar.once import once

    async with Workspace.open(config) as workspace:
        return await once(workspace, practise, progress())


async def _evolve(config: Config, number: int) -> dict[str, Any]:
    from instar.compose import Workspace
    from instar.evolve import evolve as turn

    async with Workspace.open(config) as workspace:
        return await turn(workspace, number, progress())


def _summary(found: dict[str, Any]) -> str:
    from instar._cli_figures import arm_table
    from instar.answers import answer_lines

    lines = [_generation_table(found["generations"]), ""]
    measured = found.get("summary") or {}
    if measured:
        lines += [arm_table(measured), ""]
    lines += answer_lines(found["answers"])
    lines += [f"Active: {found['active']}", f"Report: {found['report']}"]
    return "\n".join(lines)


def _generation_table(found: list[dict[str, Any]]) -> str:
    rows = [
        [g["id"], g["parent"] or "", g["status"], (g["verdict"] or {}).get("sentence", "")]
        for g in found
    ]
    return table(["generation", "parent", "status", "verdict"], rows)


@generations.command("list")
def list_generations(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """All generations, oldest first."""
    with open_store(load(workspace, seed, None)) as store:
        found = [g.model_dump(mode="json") for g in store.generations()]
    emit(as_json, {"generations": found}, _generation_table(found))


@generations.command("show")
def show_generation(
    id: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None
) -> None:
    """One generation with its verdict and ancestors; the beginning of an id is enough."""
    with open_store(load(workspace, seed, None)) as store:
        generation = store.generation(_id(store, id))
        value = generation.model_dump(mode="json") | {
            "ancestry": store.ancestry(generation.id),
            "memories": len(store.items(generation.id)) if generation.memory else 0,
        }
    emit(as_json, value, _generation_facts(value))


def _id(store: Any, text: str) -> str:
    return by_prefix(text, [g.id for g in store.generations()])


def _generation_facts(value: dict[str, Any]) -> str:
    from instar._gate_words import lines

    verdict = value["verdict"] or {}
    told = facts(
        {
            "generation": value["id"],
            "status": value["status"],
            "turn": value["seq"],
            "came after": ", ".join(value["ancestry"][1:]),
            "model": value["model"],
            "prompts": value["prompts"],
            "adapter": value["adapter"],
            "memories": value["memories"],
            "verdict": verdict.get("sentence"),
        }
    )
    return "\n".join([told, *(f"  {line}" for line in lines(verdict)), *_groups(verdict)])


def _groups(verdict: dict[str, Any]) -> list[str]:
    """Success by group at the gate, the one that looks worst first."""
    rows = [
        [g["name"], str(g["figure"]["n"]), _points(g["figure"]), "blocks" if g["blocks"] else ""]
        for g in verdict.get("groups", ())
    ]
    return [table(["group", "pairs", "candidate minus active", ""], rows)] if rows else []


def _points(figure: dict[str, Any]) -> str:
    interval = figure["interval"] or ()
    ends = f" [{', '.join(f'{100 * end:+.0f}' for end in interval)}]" if interval else ""
    return f"{100 * (figure['difference'] or 0):+.0f} points{ends}"


def _apart(store: Store, one: str, other: str) -> bool:
    """Whether neither of two generations was made over the other."""
    made_over = {g.id: g.parent for g in store.generations()}

    def path(id: str | None) -> set[str]:
        found: set[str] = set()
        while id is not None and id not in found:
            found.add(id)
            id = made_over.get(id)
        return found

    return one not in path(other) and other not in path(one)


@generations.command("promote")
def promote_generation(
    id: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None
) -> None:
    """Make a generation the active one, whatever the gate said."""
    _activate(load(workspace, seed, None), id, as_json)


@generations.command("rollback")
def rollback(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """Go back to the generation that was active before."""
    _activate(load(workspace, seed, None), None, as_json)


def _activate(config: Config, id: str | None, as_json: bool) -> None:
    from instar._lock import exclusive
    from instar.errors import UserError

    with open_store(config) as store, exclusive(config.workspace):
        before = store.active()
        chosen = store.activate(_id(store, id)) if id else store.go_back()
        beside = bool(id and before and chosen and _apart(store, before.id, chosen.id))
    if chosen is None:
        raise UserError("There is no generation to go back to. See: instar generations list")
    was = before.id if before else None
    if chosen.id == was:
        emit(as_json, {"active": was, "before": was}, f"{was} is active already.")
        return
    if id and chosen.parent and (chosen.verdict or {}).get("decision") != "promote":
        typer.echo(f"The gate did not promote {chosen.id}: it serves because you say so.", err=True)
    if beside:
        typer.echo(
            f"What {was} changed is not in {chosen.id}, which was not made over it. "
            f"See: instar memory diff {was} {chosen.id}",
            err=True,
        )
    emit(as_json, {"active": chosen.id, "before": was}, f"Active: {chosen.id} (before: {was})")
