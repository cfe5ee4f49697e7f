"""What the door of an attempt is sent and answers: calls of the world's tools."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from instar.service.shapes import Shape

__all__ = ["Answered", "Call", "Seen"]


class Call(Shape):
    """A call of a tool of the world in which an agent is measured."""

    name: Annotated[str, StringConstraints(max_length=200)]
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class Answered(Shape):
    """What a tool answered.

    Attributes:
        text: For the model; for an error, what was wrong.
        error: Whether the call failed.
        observation: What there is to see afterwards, where the call changed it.
    """

    text: str
    error: bool
    observation: str | None = None


class Seen(Shape):
    """What there is to see."""

    text: str
