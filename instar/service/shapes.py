"""What the service is sent and what it answers; the OpenAPI document is made of these."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from instar._config_layers import UNKNOWN

__all__ = [
    "LONGEST_TASK",
    "Asked",
    "Begin",
    "Begun",
    "Memory",
    "Outcome",
    "Problem",
    "Recalled",
    "Recorded",
    "Shape",
    "Steps",
    "Worth",
    "is_name",
    "writable",
]

V = TypeVar("V")


def writable(value: V) -> V:
    """A value that can be kept: JSON as Python reads it knows more, such as NaN and half a character."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError("a number or a text in it is none, or it is too deep") from error
    return value


_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]
"""Of an agent or a subject: it becomes part of a namespace."""
Text = Annotated[str, StringConstraints(max_length=100_000)]
LONGEST_TASK = 20_000
"""Characters of what was asked of an agent."""


def is_name(text: str) -> bool:
    """Whether a text can be the name of an agent or a subject."""
    return re.fullmatch(_NAME, text) is not None


class Shape(BaseModel):
    """What is sent or answered; a field that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Begin(Shape):
    """A session that begins.

    Attributes:
        agent: Whose experience it becomes; agents never recall one another's.
        task: What was asked of the agent, in words.
        subject: Whom the session is about, such as a customer; subjects never recall one another's.
        shadow: Recall and record, and show nothing.
        tools: At the agent's hand, in OpenAI's form.
        model: What answers there; experience is worth something to a model.
        session: One of this agent and subject that has begun already, to be taken up.
    """

    agent: Name
    task: Annotated[
        str, StringConstraints(min_length=1, max_length=LONGEST_TASK, strip_whitespace=True)
    ]
    subject: Name | None = None
    shadow: bool = False
    tools: Annotated[
        list[dict[str, JsonValue]], Field(max_length=200), AfterValidator(writable)
    ] = []
    model: Annotated[str, StringConstraints(max_length=200)] = UNKNOWN
    session: Annotated[str, StringConstraints(max_length=100)] | None = None


class Begun(Shape):
    """Where to go on: the session, and the generation that it will recall from."""

    session: str
    generation: str


class Asked(Shape):
    """A recall; later in a session it may say what the agent is stuck at.

    Attributes:
        k: At most so many memories; the settings of the workspace may allow fewer.
    """

    about: Text = ""
    k: Annotated[int, Field(ge=1)] | None = None


class Memory(Shape):
    """One memory, as the agent may be told it."""

    label: str
    id: str
    title: str
    when: str
    content: str
    relevance: float


class Recalled(Shape):
    """What was recalled.

    Attributes:
        text: The memories as data in a fence, to be put in front of the agent; empty where there are
            none, and always in shadow.
        shadow: Whether nothing is to be shown.
    """

    memories: list[Memory]
    text: str
    shadow: bool


class Steps(Shape):
    """What happened since the last report, as messages in OpenAI's form.

    Attributes:
        messages: Of the assistant with its ``tool_calls``, and of tools; others are what it saw.
        tools: At the agent's hand, in OpenAI's form, where the session began without knowing them.
        model: What answered, where the session began without knowing it.
    """

    messages: Annotated[
        list[dict[str, JsonValue]], Field(min_length=1, max_length=500), AfterValidator(writable)
    ]
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    completion_tokens: Annotated[int, Field(ge=0)] = 0
    cost: Annotated[float, Field(ge=0)] | None = None
    tools: Annotated[
        list[dict[str, JsonValue]], Field(max_length=200), AfterValidator(writable)
    ] = []
    model: Annotated[str, StringConstraints(max_length=200)] = UNKNOWN


class Recorded(Shape):
    """How much of a session is on record."""

    session: str
    steps: int


class Outcome(Shape):
    """How a session went, as soon as somebody knows; it may come days later.

    Attributes:
        status: Clean success, anything else, or nobody knows.
        value: Graded, where it is.
        source: Who says so; weights learn only from a program's word unless the settings allow more.
        correct: Whether it takes the place of another outcome.
    """

    status: Literal["pass", "fail", "unknown"]
    value: Annotated[float, Field(ge=0, le=1)] | None = None
    reason: Text = ""
    source: Literal["user", "program"] = "user"
    correct: bool = False


class Worth(Shape):
    """Whether experience helps, and which: as ``instar memory list --by uplift`` says it."""

    line: str
    episodes: int
    units: list[dict[str, Any]]


class Problem(Shape):
    """Why a request was refused, and what to do."""

    error: str
