"""``instar reflect``, ``train``, ``moult`` and ``gate``: one stage of a turn at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import AsJson, Folder, Options, Seed, emit, facts, load, progress, wait_for

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["register"]

_Practise = Annotated[
    bool, typer.Option("--practise", help="A turn that begins here practises first.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (reflect, train, moult, gate):
        app.command()(command)


def reflect(
    practise: _Practise = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Go on with the turn, or begin one, until its memory candidate is made."""
    _until("reflect_2", load(workspace, seed, option), practise, as_json)


def train(
    practise: _Practise = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Go on with the turn, or begin one, until its adapter is trained."""
    _until("train", load(workspace, seed, option), practise, as_json)


def moult(
    as_json: AsJson = False, workspace: Folder = None, seed: Seed = None, option: Options = None
) -> None:
    """Go on with the turn until memories that its adapter made needless are shed in a candidate."""
    _until("moult", load(workspace, seed, option), None, as_json)


def gate(
    as_json: AsJson = False, workspace: Folder = None, seed: Seed = None, option: Options = None
) -> None:
    """Go on with the turn until its candidates are measured, and promoted or not."""
    _until("promote", load(workspace, seed, option), None, as_json)


def _until(stage: str, config: Config, practise: bool | None, as_json: bool) -> None:
    found = wait_for(_run(stage, config, practise))
    shown = {k: v for k, v in found.items() if not isinstance(v, dict | list)}
    emit(as_json, found, facts(shown) + "\nTo go on: instar evolve")


async def _run(stage: str, config: Config, practise: bool | None) -> dict[str, Any]:
    from instar._runs import current_turn, unfinished
    from instar.compose import Workspace
    from instar.errors import UserError
    from instar.evolve import evolve_until
    from instar.recorded import unread

    async with Workspace.open(config, create=practise is not None) as workspace:
        store = workspace.store
        run = unfinished(store)
        is_open = run is not None and current_turn(store, run) is not None
        if practise is None and not is_open:
            rest = "" if run is None else " For the report of the last one: instar evolve"
            raise UserError(f"No turn is open. Begin one: instar reflect, or instar train.{rest}")
        if practise is False and not is_open and not unread(store):
            raise UserError(
                "Nothing new: no recorded session that was judged and not learnt from. "
                "To practise: --practise"
            )
        return await evolve_until(workspace, stage, progress(), bool(practise))
