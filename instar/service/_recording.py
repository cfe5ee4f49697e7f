"""A session as it begins, what it is shown, and what becomes of it by a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from instar._config_layers import UNKNOWN
from instar.service import shapes
from instar.service._messages import steps_of, tools_of
from instar.service._redacting import Redacting
from instar.types import (
    BankDraw,
    Prompts,
    Recalled,
    Score,
    ScoreSource,
    Status,
    StopReason,
    Task,
    Trajectory,
    Usage,
)

__all__ = ["NONE", "SHADOW", "Looked", "begun", "place", "reported"]

SHADOW = "shadow"
"""Arm of a session that is shown nothing."""
NONE = "none"
"""Generation of a session that began when none was active."""


@dataclass(frozen=True)
class Looked:
    """What a session recalled.

    Attributes:
        told: As it is told, those that are withheld left out.
        memories: What is to be kept of it, those that are withheld with it; in shadow none.
        bank: The draw for all of them, where something may be withheld.
    """

    told: shapes.Recalled
    memories: tuple[Recalled, ...] = ()
    bank: BankDraw | None = None


def begun(
    asked: shapes.Begin, id: str, generation: str, prompts: Prompts, now: float
) -> Trajectory:
    """A session that begins.

    Args:
        prompts: With the texts between which memories are fenced.
        now: Seconds since the epoch.

    Raises:
        BadMessage: A tool is none.
    """
    task = Task(
        id=f"task-{id}",
        instruction=asked.task,
        world="live",
        namespace=place(asked.agent, asked.subject),
        group=asked.agent,
        family=asked.agent,
        params={"agent": asked.agent, "subject": asked.subject},
    )
    unknown = Score(
        status=Status.UNKNOWN, source=ScoreSource.SELF, evidence="nobody said how it went"
    )
    return Trajectory(
        id=id,
        task=task,
        seed=int(id[2:10], 16) % 2**31,
        generation=generation,
        model=asked.model,
        provider="client",
        purpose="live",
        arm=SHADOW if asked.shadow else "",
        prompts=prompts,
        tools=tools_of(asked.tools),
        stop=StopReason.INTERRUPTED,
        score=unknown,
        started=now,
    )


def place(agent: str, subject: str | None) -> str:
    """The namespace of an agent's sessions, or of those about one subject."""
    return f"live/{agent}/{subject}" if subject else f"live/{agent}"


def reported(
    lived: Trajectory,
    asked: shapes.Steps,
    stop: StopReason | None,
    now: float,
    redacting: Redacting,
) -> dict[str, Any]:
    """The fields of a session that a report changes.

    Args:
        stop: Why nothing more came, where that is known.
        now: Seconds since the epoch.
        redacting: Applied to all that is new.

    Raises:
        BadMessage: A message is none, or a tool.
    """
    earlier, last = lived.steps[:-1], lived.steps[-1] if lived.steps else None
    steps = (*earlier, *map(redacting.step, steps_of(asked.messages, last)))
    tools = tools_of(asked.tools)
    used = Usage(
        calls=len(steps) - len(lived.steps),
        prompt_tokens=asked.prompt_tokens,
        completion_tokens=asked.completion_tokens,
        cost=asked.cost,
    )
    answers = len(steps) > len(lived.steps) and not steps[-1].calls
    went_on = StopReason.INTERRUPTED if lived.stop is StopReason.FAULT else lived.stop
    return {
        "steps": steps,
        "usage": lived.usage + used,
        "answer": steps[-1].content if answers else lived.answer,
        "seconds": max(0.0, now - lived.started),
        "stop": stop or went_on,
        "tools": lived.tools or tools,
        "model": asked.model if lived.model == UNKNOWN else lived.model,
    }
