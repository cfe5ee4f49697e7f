"""What an episode knows in its middle, and what is alive in it.

State is JSON only, so that any checkpointer can keep it; whatever is alive (episode, model, tools)
is in `Run`, which LangGraph passes beside the state and never stores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from agent.approval import Approve
from agent.budget import Budget
from instar.contracts import ChatModel, Episode, Recall
from instar.types import Prompts, Sampling, Step, Task, ToolSpec

__all__ = ["FINISH", "Run", "State", "steps_of", "utf8"]

FINISH = ToolSpec(
    name="finish",
    description="End the task, with an answer where one is asked for.",
    parameters={"type": "object", "properties": {"answer": {"type": "string"}}, "required": []},
)
"""The tool that every agent has besides those of its episode."""


class State(TypedDict, total=False):
    """What is known in the middle of an episode, as JSON values.

    Attributes:
        id: Id of the trajectory to be.
        turn: The step under way; None between turns.
        refused: Reasons by index of the call in the turn.
        again: Whether it has been stuck and has recalled a second time.
        observation: What there is to see now.
        error: What failed, where the stop reason is a fault.
    """

    id: str
    started: float
    memories: list[dict[str, Any]]
    bank: dict[str, Any] | None
    again: bool
    steps: list[dict[str, Any]]
    turn: dict[str, Any] | None
    refused: dict[str, str]
    observation: str
    stop: str
    answer: str
    error: str
    score: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What is alive in one episode."""

    model: ChatModel
    prompts: Prompts
    recall: Recall | None
    budget: Budget
    sampling: Sampling
    approve: Approve
    on_step: Callable[[Step], None] | None
    clock: Callable[[], float]
    task: Task
    episode: Episode
    tools: tuple[ToolSpec, ...]
    seed: int
    live: bool


def steps_of(state: State) -> list[Step]:
    """The turns so far."""
    return [Step.model_validate(s) for s in state.get("steps", ())]


def utf8(text: str) -> str:
    """The text without lone surrogates, which models and pages do send and no store can keep."""
    return text.encode("utf-8", "replace").decode()
