"""``instar tasks from-sessions``."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import AsJson, Folder, Options, Seed, emit, load, open_store

if TYPE_CHECKING:
    from instar.config import Config
    from instar.types import Trajectory

__all__ = ["register"]

tasks = typer.Typer(help="Tasks of your own.", no_args_is_help=True)
_SPLITS = ("hash", "practise", "gate", "held_out")


@tasks.callback()
def _group() -> None:
    """Keep the name of the command that there is."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(tasks, name="tasks")
    tasks.command("from-sessions")(from_sessions)


def from_sessions(
    agent: Annotated[str | None, typer.Option(help="Whose sessions; default: of any.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="AGE", help="Not older than this, such as 7d.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write; must not exist.")] = Path(
        "tasks.jsonl"
    ),
    check: Annotated[
        str | None,
        typer.Option(help="Command that tells how an attempt went; $INSTAR_TASK_ID says at which."),
    ] = None,
    later: Annotated[
        bool, typer.Option("--later", help="The agent reports each outcome: a person's word.")
    ] = False,
    split: Annotated[
        str, typer.Option(help="practise, gate or held_out; hash deals them out.")
    ] = "hash",
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Make tasks of recorded sessions, to measure an agent of yours on what it is really asked.

    Without a check, sessions of known outcome are taken, and each line waits for a check to be written.
    """
    from instar._from_sessions import lines_of, usable
    from instar.errors import UnknownName, UserError
    from instar.standing import age

    if split not in _SPLITS:
        raise UnknownName("split", split, _SPLITS)
    if later and check is not None:
        raise UserError("Say by --check or by --later how it is told, but not by both.")
    if out.suffix != ".jsonl":
        raise UserError(f"A file of tasks ends in .jsonl: --out {out.stem}.jsonl")
    after = time.time() - age(since) if since else 0.0
    open_ends = check is None and not later
    lived = _recorded(load(workspace, seed, option))
    groups = usable(lived, agent, after, judged=open_ends)
    if not groups:
        raise UserError(_none(usable(lived, agent, after, judged=False), agent))
    _write(out, lines_of(groups, check, later, split))
    name = shlex.quote(str(out))
    step = f"instar bench run {name} --arms base,memory -o agent.command=..."
    told = f"Wrote {len(groups)} tasks to {out}; they hold the words of users. "
    told += f"Write the checks, then: {step}" if open_ends else f"To measure on them: {step}"
    found = {"file": str(out), "tasks": len(groups), "sessions": sum(map(len, groups))}
    emit(as_json, {**found, "checks": not open_ends, "next": step}, told)


def _recorded(config: Config) -> list[Trajectory]:
    with open_store(config) as store:
        return store.trajectories(purpose="live")


def _none(unjudged: list[list[Trajectory]], agent: str | None) -> str:
    whose = f" of {agent}" if agent else ""
    if unjudged:
        return (
            f"Nobody has said how the {len(unjudged)} recorded sessions{whose} went. Report outcomes, "
            "or name a program that tells: --check COMMAND"
        )
    return f"There are no recorded sessions{whose}. To record some: instar serve"


def _write(out: Path, lines: list[str]) -> None:
    from instar.errors import UserError

    try:
        with out.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except FileExistsError as error:
        raise UserError(f"{out} is there already; choose another name: --out FILE.jsonl") from error
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
