"""``instar status``, ``schedule``, ``score`` and ``audit``: what an unattended workspace is asked and told."""

from __future__ import annotations

import datetime
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

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["register"]

_OVERDUE = 5


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("status")(status)
    app.command("schedule")(schedule)
    app.command("score")(score)
    app.command("audit")(audit)


def status(
    max_age: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Exit with 5 if the last success is older, as 36h or 2d."),
    ] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
) -> None:
    """Where the workspace stands: active generation, open run, last success, disk."""
    from instar.standing import age, standing, too_old

    most = age(max_age) if max_age else None
    found = standing(load(workspace, None, None).workspace)
    emit(as_json, found, facts(_told(found)))
    overdue = too_old(found, most) if most is not None else ""
    if overdue:
        typer.echo(overdue, err=True)
        raise typer.Exit(_OVERDUE)


def _told(found: dict[str, Any]) -> dict[str, Any]:
    last = found["last"]
    when = datetime.datetime.fromtimestamp(last).strftime("%Y-%m-%d %H:%M") if last else "never"
    run = found["open"]
    place = f"{run['run']}, {_stands(run)}" if run else "none"
    size, free = found["bytes"] / 2**20, found["free"] / 2**30
    return {
        "workspace": found["workspace"],
        "active": found["active"] or "none yet",
        "turns": f"{found['turns']}, of which {found['promoted']} promoted something",
        "open run": place,
        "last success": when,
        "recorded": f"{found['recorded']} successes not learnt from",
        "disk": f"{size:.1f} MiB used, {free:.1f} GiB free",
        "stopped by": "a file STOP: no run begins until it is removed" if found["stop"] else "",
    }


def _stands(run: dict[str, Any]) -> str:
    if run["turn"] is None:
        return "of which only the report is left: instar evolve"
    return f"turn {run['turn']}, " + (f"after {run['did']}" if run["did"] else "just begun")


def schedule(
    cron: Annotated[bool, typer.Option("--cron", help="Lines for crontab -e.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="Services and their timers.")] = False,
    at: Annotated[str, typer.Option(metavar="HH:MM", help="When, each day.")] = "02:30",
    practise: Annotated[
        bool, typer.Option("--practise", help="Practise, instead of waiting for recorded sessions.")
    ] = False,
    max_age: Annotated[
        str, typer.Option(metavar="AGE", help="After how long without success the check fails.")
    ] = "2d",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the units there too.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model that acts.")] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Print what makes this machine run `instar evolve --once` each day."""
    from instar import scheduling
    from instar.errors import UserError
    from instar.standing import age

    if cron == systemd or (cron and out):
        raise UserError("Say which: --cron, or --systemd [--out DIR].")
    age(max_age)
    config = load(workspace, seed, option, *([f"model.name={model}"] if model else []))
    folder = config.workspace.resolve()
    if not (folder / "instar.db").is_file():
        raise UserError(f"There is no workspace in {folder} to turn. Make it first: instar init")
    wait_for(_would_run(config))
    more = ["--practise"] if practise else []
    more += ["--model", model] if model else []
    more += ["--seed", str(seed)] if seed is not None else []
    settings = [word for one in option or [] for word in ("-o", one)]
    once = [*scheduling.program(), "evolve", "--once", *more, "--workspace", str(folder), *settings]
    if cron:
        lines = scheduling.cron(at, folder, once, max_age)
        emit(as_json, {"crontab": lines}, lines)
        return
    units = scheduling.systemd(at, folder, once, max_age)
    emit(as_json, {"units": units}, _units(units, out))


async def _would_run(config: Config) -> None:
    """Raise the mistake that the clock would find each night: another seed, a model that is none."""
    from instar.compose import Workspace
    from instar.evolve import check

    async with Workspace.open(config, create=False) as workspace:
        check(workspace)


def _units(units: dict[str, str], out: Path | None) -> str:
    place = out or Path("~/.config/systemd/user")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            (out / name).write_text(text, encoding="utf-8")
    blocks = [f"# {place / name}\n{text}" for name, text in units.items()]
    timers = " ".join(name for name in units if name.endswith(".timer"))
    blocks.append(
        f"# Then: systemctl --user daemon-reload && systemctl --user enable --now {timers}\n"
        "# So that they also run while you are not logged in: loginctl enable-linger\n"
        "# A check that failed is in: systemctl --user --failed"
    )
    return "\n".join(blocks)


def score(
    id: Annotated[
        str | None, typer.Argument(help="Of a session; without one they are listed.")
    ] = None,
    verdict: Annotated[str | None, typer.Argument(help="pass or fail.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with it.")] = "a person said so",
    as_json: AsJson = False,
    workspace: Folder = None,
) -> None:
    """Say how a session went, so that `instar evolve --once` can learn from it, or correct what a person said."""
    from instar import recorded
    from instar.errors import UnknownName, UserError

    config = load(workspace, None, None)
    with open_store(config) as store:
        waiting = {t.id: t for t in recorded.unscored(store)}
        if id is None:
            rows = [[t.id, t.task.instruction] for t in waiting.values()]
            listed = [{"id": name, "instruction": what} for name, what in rows]
            emit(as_json, {"sessions": listed}, table(["session", "instruction"], rows))
            return
        if verdict not in ("pass", "fail"):
            raise UserError(f"Say how it went: instar score {id} pass, or fail.")
        said = {t.id: t for t in recorded.said(store)}
        name = by_prefix(id, waiting | said)
        if name not in waiting | said:
            known = list(waiting)[:20]
            raise UnknownName("session without a score", id, known, "See: instar score")
        score = recorded.said_by_a_person(verdict == "pass", reason)
        recorded.judge(store, (waiting | said)[name], score)
        read = name in recorded.read(store)
    told = f"{name}: {verdict}" + (f", was {said[name].score.status}." if name in said else ".")
    if name in said and read:
        told += " A turn has read it as it was; what it wrote then stays: instar memory list"
    emit(as_json, {"session": name, "score": verdict}, told)


def audit(as_json: AsJson = False, workspace: Folder = None, option: Options = None) -> None:
    """Ask the judge about episodes of which a program knows how they went, and count where it errs."""
    from instar.errors import UserError

    config = load(workspace, None, option)
    if config.memory.judge is None:
        raise UserError("There is no judge to audit. Name one: -o memory.judge=judge")
    found = wait_for(_audit(config), "instar audit")
    rows = [[was, *(str(n) for n in said.values())] for was, said in found["matrix"].items()]
    blocks = [table(["was / said", "pass", "fail", "unknown"], rows)]
    if found["precision"] is not None:
        low, high = found["interval"]
        blocks.append(
            f"Where {found['share']:.0%} of the episodes succeed, as in practice, {found['precision']:.0%} "
            f"of its passes are passes (95 %: {low:.0%} to {high:.0%}); "
            f"audit.precision wants {found['wanted']:.0%} at the lower end."
        )
    if not found["asked"]:
        blocks = [
            "There was no episode to ask about: a program scores those of practice (instar evolve)."
        ]
    word = "may" if found["trusted"] else "may not"
    blocks.append(f"Its verdicts {word} write memories and train.")
    emit(as_json, found, "\n".join(blocks))


async def _audit(config: Config) -> dict[str, Any]:
    from instar.auditing import audit as run
    from instar.compose import Workspace

    async with Workspace.open(config, create=False) as workspace:
        return await run(workspace, progress())
