"""``instar purge``: what would go in a table, and then, once agreed to, out of everything."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import AsJson, Folder, Seed, emit, load, table, wait_for

if TYPE_CHECKING:
    from instar.config import Config
    from instar.purging import Found, Wish

__all__ = ["register"]

_SHOWN = 4
_LABELS = {
    "tasks": "tasks",
    "episodes": "episodes",
    "memories": "memories",
    "lessened": "memories that lose a source",
    "shown": "episodes that lose the text of such a memory",
    "stages": "records of the loop that change",
    "datasets": "datasets",
    "sessions": "checkpoints of sessions",
    "stored": "items of agents' stores",
}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("purge")(purge)


def purge(
    task: Annotated[str | None, typer.Option("--task", help="Id of a task.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="Id of a live session or episode.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="A name, in any case, as a word of its own.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="A text, in any case, wherever it stands.")
    ] = None,
    adapters: Annotated[
        bool, typer.Option("--adapters", help="Remove adapters trained on it, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Take a task, session, subject or text out of everything that lasts; it cannot be undone."""
    from instar import purging
    from instar._purge_pages import rewrite

    named = {"task": task, "session": session, "subject": subject, "text": text}
    wish = _wish({k: v for k, v in named.items() if v is not None}, adapters)
    config = load(workspace, seed, None)
    found = purging.find(config.workspace, wish)
    if found.empty:
        emit(as_json, _value(found, False), "Nothing here holds it.")
        return
    typer.echo(_shown(found, wish), err=as_json)
    if dry_run or not _agreed(yes, as_json):
        told = "Nothing was changed." if dry_run else "Nothing was changed. To purge, add --yes"
        emit(as_json, _value(found, False), told)
        return
    found = purging.purge(config.workspace, wish, rewrite)
    _index_again(config)
    left = purging.left(config.workspace, wish)
    emit(as_json, _value(found, True) | {"left": left}, _told(found, wish, left))


def _wish(named: dict[str, str], adapters: bool) -> Wish:
    from instar.errors import UserError
    from instar.purging import Wish

    if len(named) != 1:
        raise UserError("Say what to purge by one of: --task, --session, --subject, --text")
    ((kind, value),) = named.items()
    if not value.strip():
        raise UserError(f"--{kind} is empty: say what to purge")
    return Wish.model_validate({"kind": kind, "value": value, "adapters": adapters})


def _agreed(yes: bool, as_json: bool) -> bool:
    if yes:
        return True
    asked = not as_json and sys.stdin.isatty()
    return asked and typer.confirm("Purge this? It cannot be undone.")


def _index_again(config: Config) -> None:
    """Opening the bank makes its index anew, from the vectors in the store."""
    from instar.errors import InstarError

    async def opened() -> None:
        from instar.compose import Workspace

        async with Workspace.open(config, create=False) as workspace:
            assert workspace.bank

    if (config.workspace / "index").exists():
        try:
            wait_for(opened())
        except InstarError as error:  # it is purged all the same
            typer.echo(
                f"The index is made anew when the memories are next opened: {error}", err=True
            )


# What is shown


def _value(found: Found, purged: bool) -> dict[str, object]:
    return {**found.model_dump(mode="json"), "purged": purged}


def _shown(found: Found, wish: Wish) -> str:
    rows = [
        [label, str(len(ids)), _some(ids)]
        for name, label in _LABELS.items()
        if (ids := getattr(found, name))
    ]
    runs = [f"{run} ({n} episodes)" if n else run for run, n in found.runs.items()]
    if runs:
        rows.append(["runs that change", str(len(runs)), _some(runs)])
    if found.notes:
        rows.append(["lines of the log and other notes", str(found.notes), ""])
    if found.traces:
        rows.append(["what is left of deleted records", "", "the file of the store is made anew"])
    if found.adapters:
        fate = "adapters that go" if wish.adapters else "adapters trained on it, which stay"
        rows.append([fate, str(len(found.adapters)), _some(found.adapters)])
    if found.generations:
        rows.append(
            [
                "generations made of that",
                str(len(found.generations)),
                _some(found.generations),
            ]
        )
    if found.unfinished:
        rows.append(["an earlier purge", "", "was interrupted and will be finished"])
    return table(["what", "how many", "which"], rows)


def _some(ids: tuple[str, ...] | list[str]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _told(found: Found, wish: Wish, left: list[str]) -> str:
    counts = {"tasks": found.tasks, "episodes": found.episodes, "memories": found.memories}
    lines = ["Purged: " + ", ".join(f"{len(ids)} {name}" for name, ids in counts.items()) + "."]
    if found.unfinished:
        lines.append("The purge that was interrupted is finished.")
    if found.adapters and not wish.adapters:
        served = f", served by {', '.join(found.generations)}" if found.generations else ""
        lines.append(f"Still there, trained on it: adapters {', '.join(found.adapters)}{served}.")
    if left:
        files = ", ".join(shlex.quote(name) for name in left)
        lines.append(f"These files are yours and hold it still: {files}")
    lines.append("Files made by instar backup before now keep it: make new ones, remove the old.")
    return "\n".join(lines)
