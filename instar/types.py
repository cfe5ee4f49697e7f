"""The records that everything else passes around: frozen, and equal after a round trip through JSON.

A record holds data only. What acts on it lives in the package that owns the verb: a trajectory is
made by `agent`, rendered by `instar.render`, kept by `instar.store`, learnt from by `memory` and
`finetune`. "Not measured" is ``None``, never zero.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "Adapter",
    "Generation",
    "GenerationStatus",
    "MemoryItem",
    "MemoryKind",
    "MemoryOp",
    "MemoryStatus",
    "Message",
    "OpKind",
    "Origin",
    "Prompts",
    "Recalled",
    "Record",
    "Reply",
    "Result",
    "Sampling",
    "Score",
    "ScoreSource",
    "Split",
    "Status",
    "Step",
    "StopReason",
    "Task",
    "TaskDraft",
    "ToolCall",
    "ToolSpec",
    "Trajectory",
    "Usage",
    "content_hash",
]

Message: TypeAlias = dict[str, Any]
"""One OpenAI chat message."""


def content_hash(value: object, length: int = 12) -> str:
    """Hexadecimal SHA-256 of a JSON-able value in canonical form, cut to ``length`` characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class Record(BaseModel):
    """Base of all records: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Split(StrEnum):
    """What a task may be used for. The three sets of one house share no task."""

    PRACTISE = "practise"
    GATE = "gate"
    HELD_OUT = "held_out"


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


class ToolSpec(Record):
    """A tool as a model sees it.

    Attributes:
        name: Unique within a toolset.
        description: First line of the tool's docstring.
        parameters: JSON schema of type ``object``; the order of its properties is the order of arguments.
        effects: What it touches: ``read``, ``write``, ``network``, ``execute``.
        volatile: Arguments that mean nothing after the observation they came from (element references).
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    effects: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()

    def schema_openai(self) -> dict[str, Any]:
        """The tool in the form of OpenAI's ``tools`` argument."""
        body = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": body}

    def argument_names(self) -> tuple[str, ...]:
        """Argument names in the order of the schema."""
        properties: Mapping[str, Any] = self.parameters.get("properties", {})
        return tuple(properties)


class ToolCall(Record):
    """One call that a model asked for, with decoded arguments."""

    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Result(Record):
    """What a tool answered.

    Attributes:
        text: For the model; for an error, what was wrong.
        observation: What there is to see afterwards, if the tool changed it.
        error: Whether the call failed.
    """

    text: str
    observation: str | None = None
    error: bool = False


class Usage(Record):
    """What model calls used. ``cost`` is in US dollars, ``None`` where no price is known."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        known = [c for c in (self.cost, other.cost) if c is not None]
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=sum(known) if known else None,
        )


class Sampling(Record):
    """How to decode. Temperature 0 is greedy; ``seed`` belongs to the single request."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0


class Reply(Record):
    """One answer of a model."""

    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    model: str = ""
    provider: str = ""
    finish: str = "stop"
    seconds: float = 0.0


class Recalled(Record):
    """A memory that recall chose for an episode, shown or withheld.

    Attributes:
        label: What the prompt calls it: ``m1``, ``m2``...
        item: Id of the memory item.
        version: Version of the item.
        shown: False where it was withheld at random.
        propensity: Probability with which it was shown, in (0, 1].
        relevance: Score of the recall, higher is nearer.
    """

    label: str
    item: str
    version: int
    title: str
    when: str
    content: str
    kind: MemoryKind
    shown: bool = True
    propensity: float = 1.0
    relevance: float = 0.0


class Step(Record):
    """One turn: what was seen, what the model said and called, what came back.

    Attributes:
        observation: What the model saw in full in this turn.
        citation: The leading bracket in which the model names the memory it uses, kept apart from
            ``content`` so that training can leave it out by structure.
        cited: Ids of the memory items cited.
        content: The rest of what the model wrote.
    """

    observation: str
    content: str = ""
    citation: str = ""
    cited: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    results: tuple[Result, ...] = ()
    usage: Usage = Usage()
    seconds: float = 0.0


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


class Prompts(Record):
    """The fixed texts of the agent, part of a generation.

    Attributes:
        name: Id of the set, ``standard`` or ``compact``.
        system: Policy, before the memories.
        memory_open: Line that opens the fence around memories.
        memory_close: Line that closes it.
        after_memory: Fixed line of policy after the memories.
    """

    name: str
    system: str
    memory_open: str = "<memory>"
    memory_close: str = "</memory>"
    after_memory: str = ""


class Trajectory(Record):
    """The record of one episode: the one artefact that learning, training and reports read.

    Attributes:
        purpose: What it was run for: ``practise``, ``gate``, ``report``, ``foreign``, ``live``...
        arm: Arm of an evaluation, empty in practise.
        memories: Recalled ones, shown and withheld, with propensities.
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
    steps: tuple[Step, ...] = ()
    stop: StopReason
    answer: str = ""
    score: Score
    usage: Usage = Usage()
    started: float = 0.0
    seconds: float = 0.0


class MemoryKind(StrEnum):
    """What a memory is."""

    LESSON = "lesson"
    WORKFLOW = "workflow"
    FACT = "fact"
    TOOL_NOTE = "tool_note"
    PRINCIPLE = "principle"


class MemoryStatus(StrEnum):
    """Where an item stands in its life."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    RETIRED = "retired"
    INTERNALISED = "internalised"


class Origin(StrEnum):
    """Class of the text that an item was made from; decides how far it is trusted."""

    ENVIRONMENT = "environment"
    TOOL = "tool"
    WEB_PAGE = "web_page"
    USER = "user"
    SELF = "self"


class MemoryItem(Record):
    """One memory in one version.

    Attributes:
        id: Stable over versions.
        version: Counts from 1.
        when: When to use it; this is what recall compares with the instruction.
        polarity: +1 for what worked, -1 for what went wrong.
        tools: Names of the tools it speaks of; recall skips it where they are not at hand.
        sources: Ids of the trajectories it was distilled from.
        generation: Generation that made this version.
        support: Number of verified successes behind it.
    """

    id: str
    version: int = 1
    title: str
    when: str
    content: str
    kind: MemoryKind
    polarity: int = 1
    group: str = ""
    namespace: str
    origin: Origin = Origin.ENVIRONMENT
    tools: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    status: MemoryStatus = MemoryStatus.ACTIVE
    generation: str = ""
    support: int = 0


class OpKind(StrEnum):
    """Kinds of change to the bank."""

    ADD = "add"
    EDIT = "edit"
    MERGE = "merge"
    SUPERSEDE = "supersede"
    RETIRE = "retire"


class MemoryOp(Record):
    """One change to the bank, by id.

    Attributes:
        target: Id of the item that is changed; None for ``add``.
        item: The new item or version; None for ``retire``.
        reason: For people.
    """

    kind: OpKind
    target: str | None = None
    item: MemoryItem | None = None
    reason: str = ""


class GenerationStatus(StrEnum):
    """Life of a generation."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    RETIRED = "retired"
    REJECTED = "rejected"


class Generation(Record):
    """One (prompts, memory as of, adapter, tools), the unit that is promoted and rolled back.

    Attributes:
        id: Hash of the contents, parent and sequence.
        seq: Counts from 0, the generation that has learnt nothing.
        verdict: The gate's words and numbers; None before the gate.
    """

    id: str
    seq: int
    parent: str | None
    status: GenerationStatus
    model: str
    prompts: str
    adapter: str | None = None
    memory: bool = True
    tools: str = ""
    verdict: dict[str, JsonValue] | None = None
    created: float = 0.0


class Adapter(Record):
    """A LoRA adapter with its lineage; its name is its content hash and is never reused.

    Attributes:
        base: Hash of the base model's weights.
        dataset: Hash of the rows it was trained on.
        recipe: Settings of the training.
        metrics: What was measured while training.
    """

    name: str
    path: str
    base: str
    parent: str | None = None
    dataset: str
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    created: float = 0.0


Recalled.model_rebuild()
