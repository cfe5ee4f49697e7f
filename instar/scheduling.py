"""What makes a machine turn a workspace by the clock: a line for cron, or units for systemd."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from instar.errors import UserError

__all__ = ["cron", "program", "systemd"]

_LEAVE = 600
"""Seconds that systemd gives a run to leave: a stage of it ends soon, a step of training sooner."""


def program() -> list[str]:
    """The command that is running now, by its whole path."""
    beside = Path(sys.executable).with_name("instar")
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", "instar.cli"]


def _time(at: str) -> tuple[int, int]:
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", at)
    if not found:
        raise UserError(f"{at!r} is no time of day. Type one such as 02:30.")
    return int(found[1]), int(found[2])


def cron(at: str, workspace: Path, once: Sequence[str], max_age: str) -> str:
    """Two lines of a crontab: the turn, and a check that says when turns stopped coming.

    Args:
        at: Time of day, ``HH:MM``.
        workspace: Absolute.
        once: Command of a turn.
        max_age: See `instar.standing.age`.

    Raises:
        UserError: The time is no time.
    """
    hour, minute = _time(at)
    # What cron says by mail is what a command prints: a turn into a log, the check to a person. A log
    # for each day of the week, so that seven are kept and none grows.
    log = shlex.quote(str(workspace / "cron-")) + "$(date +%u).log"
    here, env = shlex.quote(str(Path.cwd())), shlex.quote(str(workspace / "env"))
    keys = f"set -a && if [ -f {env} ]; then . {env}; fi"
    check = shlex.join(_check(workspace, max_age))
    lines = [
        f"{minute} {hour} * * * cd {here} && {keys} && {shlex.join(once)} >{log} 2>&1",
        f"{minute} {_later(hour)} * * * {check} >/dev/null",
    ]
    return "\n".join(line.replace("%", r"\%") for line in lines)


def systemd(at: str, workspace: Path, once: Sequence[str], max_age: str) -> dict[str, str]:
    """A service and its timer for the turn, and two for the check, by file name.

    Args:
        at: Time of day, ``HH:MM``.
        workspace: Absolute; names the units.
        once: Command of a turn.
        max_age: See `instar.standing.age`.

    Raises:
        UserError: The time is no time.
    """
    hour, minute = _time(at)
    name = "instar-" + (re.sub(r"[^A-Za-z0-9_-]+", "-", workspace.name).strip("-") or "workspace")
    folder = _unit(str(workspace))
    service = f"""[Unit]
Description=One turn of the agent in {folder}

[Service]
Type=oneshot
WorkingDirectory={_unit(str(Path.cwd()))}
EnvironmentFile=-{_unit(str(workspace / "env"))}
ExecStart={_command(once)}
SuccessExitStatus=3 4
TimeoutStartSec=infinity
TimeoutStopSec={_LEAVE}
Nice=10
"""
    check = f"""[Unit]
Description=Fails when the last success of the agent in {folder} is older than {max_age}

[Service]
Type=oneshot
ExecStart={_command(_check(workspace, max_age))}
"""
    return {
        f"{name}.service": service,
        f"{name}.timer": _timer(f"When the agent in {folder} turns", hour, minute),
        f"{name}-check.service": check,
        f"{name}-check.timer": _timer(
            f"When it is looked whether the agent in {folder} still turns", _later(hour), minute
        ),
    }


def _check(workspace: Path, max_age: str) -> list[str]:
    """The command that fails when turns stopped coming."""
    return [*program(), "status", "--max-age", max_age, "--workspace", str(workspace)]


def _later(hour: int) -> int:
    """When the check runs: a turn of that night is over by then."""
    return (hour + 6) % 24


def _timer(what: str, hour: int, minute: int) -> str:
    return f"""[Unit]
Description={what}

[Timer]
OnCalendar=*-*-* {hour:02d}:{minute:02d}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


def _unit(text: str) -> str:
    """Text in a unit, where a percent sign begins a specifier."""
    return text.replace("%", "%%")


def _command(words: Sequence[str]) -> str:
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """A word of a command in a unit."""
    if re.fullmatch(r"[\w./:=,+-]+", word):
        return word
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_unit(plain)}"'
