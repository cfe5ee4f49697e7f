"""``instar run``, ``list`` and ``doctor``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import AsJson, Folder, Options, Seed, emit, load, table, wait_for

if TYPE_CHECKING:
    from instar.config import Config
    from instar.types import Step

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("run")(run)
    app.command("list")(list_methods)
    app.command("doctor")(doctor)


def run(
    instruction: Annotated[str, typer.Argument(help="What to do, in plain words.")],
    url: Annotated[
        str | None, typer.Option(help="The page to begin on; without one, files of the workspace.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model that acts.")] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """One episode by the agent in a browser or with files, each step shown as it happens."""
    from instar.errors import UserError

    if not instruction.strip():
        raise UserError('Say what to do: instar run "click the button"')
    config = load(workspace, seed, option, *([f"model.name={model}"] if model else []))
    found = wait_for(_run(config, instruction, url))
    told = f"Stopped: {found['stop']} after {len(found['steps'])} steps. {found['answer']}".strip()
    emit(as_json, found, told)


async def _run(config: Config, instruction: str, url: str | None) -> dict[str, Any]:
    from instar._live import live
    from instar.compose import Workspace

    async with Workspace.open(config) as workspace:
        found = await live(workspace, instruction, url, _show)
    fields = {"id", "stop", "answer", "generation", "model", "steps", "usage", "seconds"}
    return found.model_dump(mode="json", include=fields)


def _show(step: Step) -> None:
    from instar.render import call_line

    if step.citation:
        typer.echo(f"  {step.citation}", err=True)
    for call, result in zip(step.calls, step.results, strict=False):
        said = result.text.partition("\n")[0]
        typer.echo(f"  {call_line(call)} -> {said}", err=True)


def list_methods(
    settings: Annotated[
        bool, typer.Option("--settings", help="All settings instead, as they are here.")
    ] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """All methods by kind, with the first line of what they say of themselves."""
    from instar import plugins

    if settings:
        known = _settings(load(workspace, seed, None))
        emit(as_json, known, table(["key", "here"], [[k, json.dumps(v)] for k, v in known.items()]))
        return
    found = {kind: plugins.methods(kind) for kind in plugins.kinds()}
    blocks = [
        table([kind, ""], [[f"  {name}", line] for name, line in methods.items()], kind)
        for kind, methods in found.items()
    ]
    emit(as_json, found, "\n\n".join(blocks))


def _settings(config: Config) -> dict[str, Any]:
    """Every key that `instar.toml` takes, in order, with its value."""
    from instar.config import keys

    values = config.model_dump(mode="json")
    found = {}
    for key in keys():
        section, _, name = key.partition(".")
        found[key] = values[section][name] if name else values[section]
    return found


def doctor(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """What is installed, what is missing or damaged, and the command that mends it."""
    from instar.doctor import State, examine

    findings = wait_for(examine(load(workspace, seed, None).workspace))
    rows = [
        [f.state.value, f.name, " ".join(filter(None, [f.detail, _remedy(f)]))] for f in findings
    ]
    healthy = all(f.state == State.FOUND or not f.needed for f in findings)
    value = {"healthy": healthy, "findings": [f.model_dump(mode="json") for f in findings]}
    emit(as_json, value, table(["state", "what", "detail"], rows))
    if not healthy:
        raise typer.Exit(1)


def _remedy(finding: Any) -> str:
    return f"-> {finding.remedy}" if finding.remedy else ""
