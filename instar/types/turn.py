"""What passes between agent, model and tools in a turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import Field

from instar.types.record import Record

__all__ = [
    "Message",
    "Prompts",
    "Reply",
    "Result",
    "Sampling",
    "Step",
    "ToolCall",
    "ToolSpec",
    "Usage",
]

Message: TypeAlias = dict[str, Any]
"""One OpenAI chat message."""


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
        misuse: Whether the call itself was wrong (no such tool, element, argument or record). That
            speaks of the caller and of nothing in the world, so nothing is remembered of it.
    """

    text: str
    observation: str | None = None
    error: bool = False
    misuse: bool = False


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
