"""Who may stop a call before it runs.

Approval is asked for in a node of its own, for LangGraph runs a node again from its beginning when
an interrupt inside it is answered: a tool in that node would run twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from langgraph.types import interrupt

from instar.types import Record, ToolCall

__all__ = ["Approve", "Paused", "Refusal", "allow", "pause"]


class Refusal(Record):
    """A call that must not run, and what the model is told."""

    reason: str


Approve: TypeAlias = Callable[[Sequence[ToolCall]], Awaitable[Sequence[ToolCall | Refusal]]]
"""One decision for each call, in order: the call (perhaps edited), or a refusal."""


class Paused(Exception):
    """A session waits for decisions on calls; its episode is still open.

    Attributes:
        thread_id: Session to go on with.
        calls: The calls that wait.
    """

    def __init__(self, thread_id: str, calls: Sequence[ToolCall]) -> None:
        super().__init__(f"session {thread_id} waits for {len(calls)} approvals")
        self.thread_id = thread_id
        self.calls = tuple(calls)


async def allow(calls: Sequence[ToolCall]) -> Sequence[ToolCall | Refusal]:
    """Let every call run."""
    return calls


async def pause(calls: Sequence[ToolCall]) -> Sequence[ToolCall | Refusal]:
    """Stop the session until it is resumed with a decision a call: None, or why it is refused.

    Needs an agent with a checkpointer.
    """
    decisions: Sequence[str | None] = interrupt([c.model_dump(mode="json") for c in calls])
    return [
        call if reason is None else Refusal(reason=reason)
        for call, reason in zip(calls, decisions, strict=True)
    ]
