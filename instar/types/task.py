"""What is asked."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, JsonValue

from instar.types.record import Record
from instar.types.turn import ToolCall

__all__ = ["Reading", "Split", "Task", "TaskDraft"]


class Split(StrEnum):
    """What a task may be used for. The three sets of one house share no task."""

    PRACTISE = "practise"
    GATE = "gate"
    HELD_OUT = "held_out"


class Task(Record):
    """What is asked.

    Attributes:
        id: Stable; a hash of what defines the task.
        instruction: The words the agent reads.
        world: Id of the world that can open it.
        namespace: Scope of memories, for example one house of a world.
        group: Arm of the curriculum: a family of like tasks.
        family: Kind of work, coarser than or equal to the group.
        params: The dials of difficulty and the content, JSON values only.
        split: What it may be used for.
        origin: ``world`` for the world's own tasks, else the id of the proposer.
        parents: Ids of the tasks that this one was made from.
    """

    id: str
    instruction: str
    world: str
    namespace: str
    group: str
    family: str
    params: dict[str, JsonValue] = Field(default_factory=dict)
    split: Split = Split.PRACTISE
    origin: str = "world"
    parents: tuple[str, ...] = ()


class TaskDraft(Record):
    """A proposed task before its checks.

    Attributes:
        params: What the world is asked to make a practise task of.
        parents: Tasks it was made from.
        proposer: Id of the method.
        reason: Why it was proposed, for people.
    """

    world: str
    family: str
    params: dict[str, JsonValue]
    parents: tuple[str, ...] = ()
    proposer: str = ""
    reason: str = ""


class Reading(Record):
    """A task that a walk did, as its world reads it off what the walk left.

    Attributes:
        draft: What to make the task of.
        ways: Parts of the walk, each in its order, that may do that task and nothing else,
            likeliest first.
    """

    draft: TaskDraft
    ways: tuple[tuple[ToolCall, ...], ...]
