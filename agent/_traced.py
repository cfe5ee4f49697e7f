"""An episode and its tools by the conventions of OpenTelemetry."""

from __future__ import annotations

from typing import Any

from agent._state import Run, State, steps_of
from instar import tracing
from instar.tracing import Span
from instar.types import ToolCall, Usage

__all__ = ["came_to", "executing", "invoking"]

_NAME = "instar"


def invoking(run: Run, conversation: str) -> Span:
    """An episode, while it lasts.

    Args:
        conversation: The session, or else the id of the trajectory.
    """
    known = {
        "gen_ai.agent.name": _NAME,
        "gen_ai.conversation.id": conversation,
        "gen_ai.provider.name": run.model.provider,
        "gen_ai.request.model": run.model.name,
        "instar.task": run.task.id,
    }
    return tracing.span("invoke_agent", _NAME, known)


def came_to(span: Span, state: State) -> None:
    """How it ended, or what it had used when it paused."""
    usage = sum((s.usage for s in steps_of(state)), Usage())
    score = state.get("score")
    span.set(
        {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "instar.stop": state.get("stop") or None,
            "instar.score": score["status"] if score else None,
        }
    )


def executing(call: ToolCall) -> Span:
    """A call of a tool, while it lasts."""
    known: dict[str, Any] = {
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.id,
        "gen_ai.tool.type": "function",
    }
    return tracing.span("execute_tool", call.name, known)
