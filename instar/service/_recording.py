"""What becomes of a session by what is reported of it, and by memories that it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instar._config_layers import UNKNOWN
from instar.service import shapes
from instar.service._messages import steps_of, tools_of
from instar.types import Recalled, StopReason, Trajectory, Usage

__all__ = ["shown", "told"]


def told(
    lived: Trajectory, asked: shapes.Steps, stop: StopReason | None, now: float
) -> dict[str, Any]:
    """The fields that a report changes.

    Args:
        stop: Why nothing more came, where that is known.
        now: Seconds since the epoch.

    Raises:
        BadMessage: A message is none.
    """
    earlier, last = lived.steps[:-1], lived.steps[-1] if lived.steps else None
    steps = (*earlier, *steps_of(asked.messages, last))
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
        "tools": lived.tools or tools_of(asked.tools),
        "model": asked.model if lived.model == UNKNOWN else lived.model,
    }


def shown(
    lived: Trajectory, memories: Sequence[Recalled], since: int | None = None
) -> dict[str, Any]:
    """The fields that change where memories are shown from now on.

    Args:
        since: How many turns are over, where that is not the number of steps on record.
    """
    turns = len(lived.steps) if since is None else since
    new = (m.model_copy(update={"since": turns}) for m in memories)
    return {"memories": (*lived.memories, *new)}
