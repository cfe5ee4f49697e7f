"""``instar init`` and ``evolve``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
    wait_for,
)
from instar._cli_generations import generation_table
from instar._failure_hook import failure_told

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["register"]

_TEMPLATE = """# Settings of this workspace; every key is optional. All keys: instar list --settings
preset = "{preset}"
seed = {seed}
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(init)
    app.command()(evolve)


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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only see whether it could run, and what it would do.")
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
    by_clock = once and not dry_run
    with _mistake_told(workspace) if by_clock else nullcontext():
        config = load(workspace, seed, option, *more)
    number = generations or config.evolve.generations
    if dry_run:
        found = wait_for(_foreseen(config, 1 if once else number, practise or not once, once))
        emit(as_json, found, found["would"])
        return
    again = shlex.join(["instar", *sys.argv[1:]])
    if once:
        with failure_told(config.once.on_failure, config.workspace):
            found = wait_for(_once(config, practise), again)
        emit(as_json, found, found.get("nothing") or _summary(found))
        return
    found = wait_for(_evolve(config, number), again)
    emit(as_json, found, _summary(found))


@contextmanager
def _mistake_told(workspace: Path | None) -> Iterator[None]:
    """Where settings that were typed are a mistake, the hook that the workspace itself names is run."""
    from instar.errors import UserError

    try:
        yield
    except UserError:
        try:
            own = load(workspace, None, None)
        except UserError:
            own = None
        if own is None:
            raise
        with failure_told(own.once.on_failure, own.workspace):
            raise


async def _foreseen(config: Config, turns: int, practise: bool, once: bool) -> dict[str, Any]:
    from instar.compose import Workspace
    from instar.foreseeing import foresee

    async with Workspace.open(config, create=False) as workspace:
        return foresee(workspace, turns, practise, once)


async def _once(config: Config, practise: bool) -> dict[str, Any]:
    from instar.compose import Workspace
    from instar.once import once

    # A clock that names another folder would find nothing new there, night after night.
    async with Workspace.open(config, create=False) as workspace:
        return await once(workspace, practise, progress())


async def _evolve(config: Config, number: int) -> dict[str, Any]:
    from instar.compose import Workspace
    from instar.evolve import evolve as turn

    async with Workspace.open(config) as workspace:
        return await turn(workspace, number, progress())


def _summary(found: dict[str, Any]) -> str:
    from instar._cli_figures import arm_table
    from instar.answers import answer_lines

    lines = [generation_table(found["generations"]), ""]
    measured = found.get("summary") or {}
    if measured:
        lines += [arm_table(measured), ""]
    lines += answer_lines(found["answers"])
    lines += [
        f"No adapter in turn {one['turn']}: {one['reason']}"
        for one in found["trained"]
        if one["adapter"] is None
    ]
    lines += [f"Active: {found['active']}", f"Report: {found['report']}"]
    return "\n".join(lines)
