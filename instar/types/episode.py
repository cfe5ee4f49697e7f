"""The record of an episode and the verdict on it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from instar.types.memory import BankDraw, Recalled
from instar.types.record import Record
from instar.types.task import Task
from instar.types.turn import Prompts, Step, ToolSpec, Usage

__all__ = ["Score", "ScoreSource", "Status", "StopReason", "Trajectory"]


class Status(StrEnum):
    """Verdict on one episode; ``unknown`` means that it could not be measured."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


class ScoreSource(StrEnum):
    """Who said so. Only ``environment`` and ``program`` may train weights by default."""

    ENVIRONMENT = "environment"
    PROGRAM = "program"
    JUDGE = "judge"
    USER = "user"
    SELF = "self"


class StopReason(StrEnum):
    """Why an episode ended."""

    FINISHED = "finished"
    WORLD_DONE = "world_done"
    STEPS = "steps"
    TOKENS = "tokens"
    COST = "cost"
    TIME = "time"
    LOOP = "loop"
    GARBAGE = "garbage"
    INTERRUPTED = "interrupted"
    FAULT = "fault"


class Score(Record):
    """Verdict on one episode.

    Attributes:
        status: Clean success passes; everything else that could be measured fails.
        value: In [0, 1], or None where unknown.
        source: Who judged.
        evidence: Why, for people and for learning from practise episodes.
        metrics: Further named results, such as ``recovered``; absent where not measured.
    """

    status: Status
    value: float | None = None
    source: ScoreSource = ScoreSource.ENVIRONMENT
    evidence: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)


class Trajectory(Record):
    """The record of one episode: the one artefact that learning, training and reports read.

    Attributes:
        purpose: What it was run for: ``practise``, ``gate``, ``report``, ``foreign``, ``live``...
        arm: Arm of an evaluation, empty in practise.
        memories: Recalled ones, shown and withheld, with propensities.
        bank: The draw for the whole bank; None where none was made.
        prompts: The fixed texts as served.
        tools: The tools as served.
        started: Seconds since the epoch.
    """

    id: str
    task: Task
    seed: int
    generation: str
    model: str
    provider: str
    adapter: str | None = None
    purpose: str = "practise"
    arm: str = ""
    prompts: Prompts
    tools: tuple[ToolSpec, ...] = ()
    memories: tuple[Recalled, ...] = ()
    bank: BankDraw | None = None
    steps: tuple[Step, ...] = ()
    stop: StopReason
    answer: str = ""
    score: Score
    usage: Usage = Usage()
    started: float = 0.0
    seconds: float = 0.0
