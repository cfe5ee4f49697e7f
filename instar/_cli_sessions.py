"""``instar sessions``: what was recorded of agents that are not Instar's own."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import AsJson, Folder, by_prefix, emit, facts, load, open_store, table

if TYPE_CHECKING:
    from instar.types import Recalled, Step, Trajectory

__all__ = ["register"]

sessions = typer.Typer(help="Recorded sessions of agents of your own.", no_args_is_help=True)
_WIDTH = 60
_LINES = 12


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(sessions, name="sessions")
    sessions.command("list")(list_sessions)
    sessions.command("show")(show)


def list_sessions(
    agent: Annotated[str | None, typer.Option(help="Whose sessions; default: of any.")] = None,
    subject: Annotated[str | None, typer.Option(help="Those about whom.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="AGE", help="Not older than this, such as 7d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many, the newest first.")] = 20,
    as_json: AsJson = False,
    workspace: Folder = None,
) -> None:
    """The sessions on record, the newest first, with the outcome of each."""
    from instar.standing import age

    after = time.time() - age(since) if since else 0.0
    with open_store(load(workspace, None, None)) as store:
        lived = store.trajectories(purpose="live")
    wanted = {"agent": agent, "subject": subject}
    found = sorted(
        (t for t in lived if t.started >= after and _is_of(t, wanted)),
        key=lambda t: (-t.started, t.id),
    )
    shown = found[:limit]
    text = table(["session", "began", "agent", "subject", "turns", "memories", "outcome", "task"],
                 [_row(t) for t in shown],
                 _none(len(lived)))  # fmt: skip
    if len(found) > limit:
        text += f"\n\n{len(found) - limit} more: --limit {len(found)}"
    emit(as_json, {"sessions": [_summary(t) for t in shown], "all": len(found)}, text)


def show(
    session: Annotated[str, typer.Argument(help="Its id; the beginning is enough.")],
    as_json: AsJson = False,
    workspace: Folder = None,
) -> None:
    """What was said and done in a session, which memories it was shown, and how it went."""
    from instar._worthing import ids
    from instar.errors import UserError

    with open_store(load(workspace, None, None)) as store:
        known = ids(store)
        if (id := by_prefix(session, known)) not in known:
            raise UserError(f"There is no session {id!r}. See: instar sessions list")
        found = store.trajectory(id)
    if found.purpose != "live":
        raise UserError(
            f"{found.id} is an episode of {found.purpose}, no session. See: instar memory why {found.id}"
        )
    emit(as_json, found.model_dump(mode="json"), "\n".join(_page(found)))


def _none(others: int) -> str:
    if others:
        return f"None of the {others} sessions on record is like that."
    return "No sessions are on record. To record some: instar serve, or instar gateway"


def _is_of(lived: Trajectory, wanted: dict[str, str | None]) -> bool:
    return all(value in (None, lived.task.params.get(name)) for name, value in wanted.items())


def _summary(lived: Trajectory) -> dict[str, Any]:
    return {
        "session": lived.id,
        "began": lived.started,
        "agent": lived.task.params.get("agent"),
        "subject": lived.task.params.get("subject"),
        "shadow": lived.arm == "shadow",
        "generation": lived.generation,
        "turns": len(lived.steps),
        "memories": sum(m.shown for m in lived.memories),
        "outcome": lived.score.model_dump(mode="json"),
        "task": lived.task.instruction,
    }


def _row(lived: Trajectory) -> list[str]:
    told = _summary(lived)
    asked = textwrap.shorten(told["task"], _WIDTH, placeholder="...")
    who = [str(told["agent"]), str(told["subject"] or "")]
    counts = [str(told["turns"]), "shadow" if told["shadow"] else str(told["memories"])]
    return [lived.id, _at(lived.started), *who, *counts, lived.score.status.value, asked]


def _page(lived: Trajectory) -> Iterator[str]:
    told, score = _summary(lived), lived.score
    outcome = score.status.value
    if told["outcome"]["status"] != "unknown":
        graded = "" if score.value in (0.0, 1.0, None) else f" ({score.value:g})"
        outcome += f"{graded}, says the {score.source.value}"
    used = lived.usage
    yield facts(
        {
            "session": lived.id,
            "began": f"{_at(lived.started)}, {lived.seconds:.0f} s",
            "agent": told["agent"],
            "subject": told["subject"],
            "model": lived.model,
            "generation": lived.generation,
            "outcome": outcome,
            "because": score.evidence,
            "used": f"{used.calls} calls, {used.prompt_tokens} + {used.completion_tokens} tokens",
            "task": lived.task.instruction,
        }
    )
    yield ""
    if told["shadow"]:
        yield "In shadow: no memory was shown."
    elif not lived.memories:
        yield "No memory was recalled."
    yield from map(_memory, lived.memories)
    for number, step in enumerate(lived.steps, 1):
        yield ""
        yield from _turn(number, step)


def _memory(one: Recalled) -> str:
    drawn = "shown" if one.shown else "withheld"
    return (
        f"{one.label}  {drawn} from turn {one.since + 1}  {one.item}  {one.when} -> {one.content}"
    )


def _turn(number: int, step: Step) -> Iterator[str]:
    from instar.render import call_line

    if step.observation:
        yield _said("asked", step.observation)
    if step.content or not step.calls:
        yield _said(f"turn {number}", step.content)
    for place, call in enumerate(step.calls):
        yield _said(f"turn {number} calls", call_line(call))
        if place < len(step.results):
            result = step.results[place]
            yield _said("  failed" if result.error else "  result", result.text)


def _said(by: str, text: str) -> str:
    """Who said it and what, its further lines below, the middle of a long one left out."""
    lines = text.splitlines() or [""]
    if len(lines) > _LINES:
        half = _LINES // 2
        left = len(lines) - 2 * half
        lines = [*lines[:half], f"[{left} lines; all of them: --json]", *lines[-half:]]
    return f"{by}: " + "\n    ".join(lines)


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
