"""Recorded sessions as tasks of the world ``yours``, one line each, with what is known of them beside it.

What is asked is what was asked then. How an attempt went is told by a program or a person; where neither is
named the line has an empty check, which that world refuses until somebody has written one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from instar.render import call_line
from instar.types import ScoreSource, Status, Trajectory

__all__ = ["lines_of", "told", "usable"]

_TRUSTED = (ScoreSource.USER, ScoreSource.PROGRAM, ScoreSource.ENVIRONMENT)
_SHOWN = 200


def usable(
    lived: Iterable[Trajectory], agent: str | None, since: float, judged: bool
) -> list[list[Trajectory]]:
    """Sessions of agents, those that were asked the same together, the earliest first.

    Args:
        lived: Live trajectories.
        agent: Whose; None: of any agent.
        since: Seconds since the epoch.
        judged: Whether a person or a program must have said how it went.
    """
    found: dict[tuple[str, str], list[Trajectory]] = {}
    for one in sorted(lived, key=lambda t: (t.started, t.id)):
        name = one.task.params.get("agent")
        if not isinstance(name, str) or agent not in (None, name) or one.started < since:
            continue
        if judged and not told(one):
            continue
        asked = " ".join(one.task.instruction.casefold().split())
        found.setdefault((name, asked), []).append(one)
    return list(found.values())


def told(session: Trajectory) -> bool:
    """Whether a person or a program has said how a session went."""
    return session.score.status is not Status.UNKNOWN and session.score.source in _TRUSTED


def lines_of(
    groups: Sequence[Sequence[Trajectory]], check: str | None, later: bool, split: str
) -> list[str]:
    """The file, line by line: a task for each group of sessions, below comments about them.

    Args:
        groups: See `usable`.
        check: Command that tells how an attempt went.
        later: Whether a person tells it, after the attempt.
        split: Of every task.
    """
    lines = [
        f"# {len(groups)} tasks, made of recorded sessions by: instar tasks from-sessions",
        "# They hold the words of users: keep this file where their sessions may be kept.",
    ]
    if check is None and not later:
        lines.append(
            '# Write a command into each "check": it runs after the attempt, with the answer in '
            "$INSTAR_ANSWER, and exits with 0 where the task was done. Lines without one are left out."
        )
    for group in groups:
        lines += ["", *(f"# {_about(session)}" for session in group)]
        lines.append(json.dumps(_task(group, check, later, split), ensure_ascii=False))
    return lines


def _task(
    group: Sequence[Trajectory], check: str | None, later: bool, split: str
) -> dict[str, Any]:
    first = group[0]
    judge = {"outcome": "later"} if later else {"check": check or ""}
    return {
        "id": first.id,
        "instruction": first.task.instruction,
        "family": first.task.group,
        "split": split,
        "parents": [session.task.id for session in group],
        "files": {},
        **judge,
    }


def _about(session: Trajectory) -> str:
    """What is known of a session, in one line."""
    day = datetime.fromtimestamp(session.started, UTC).date()
    score = session.score
    how = f"{score.status.value} by {score.source.value}" if told(session) else "outcome unknown"
    made = "; ".join(call_line(c) for s in session.steps for c in s.calls)
    parts = [how + (f" ({score.evidence})" if told(session) and score.evidence else "")]
    parts += [f"did: {made}"] if made else []
    parts += [f"answered: {session.answer}"] if session.answer else []
    said = " | ".join(" ".join(part.split())[:_SHOWN] for part in parts)
    return f"{session.id}, {day}: {said}"
