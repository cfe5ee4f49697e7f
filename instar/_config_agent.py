"""The settings of the agent that does the tasks: Instar's own, or somebody else's in its place."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from instar._urls import Url

__all__ = ["Agent", "Section", "Share"]

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, or a probability."""


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class Agent(Section):
    """The inner loop: which prompts, how they evolve (``off``: they do not), when an episode ends.

    Without a prompt model the one that writes memories is asked for new texts. An agent of
    somebody's own takes the place of Instar's by a ``command`` (a text for the shell) or a ``url``
    that requests are posted to. Its episodes end after ``seconds`` at the latest, and it finds tools
    and session at ``port`` of this machine (0 takes a free one).
    """

    prompts: str = "compact"
    prompt: str = "off"
    prompt_model: str | None = None
    max_steps: PositiveInt = 14
    max_tokens: PositiveInt = 60_000
    loop: PositiveInt = 3
    command: str | None = None
    url: Url | None = None
    seconds: PositiveFloat = 600.0
    port: Annotated[int, Field(ge=0, le=65535)] = 0

    @model_validator(mode="after")
    def _one_agent(self) -> Self:
        if self.command is not None and self.url is not None:
            raise ValueError("command and url name two agents; set one of them")
        if self.outside and self.prompt != "off":
            raise ValueError("the prompts of an agent of yours are its own; leave prompt off")
        return self

    @property
    def outside(self) -> bool:
        """Whether an agent that is not Instar's does the tasks."""
        return self.command is not None or self.url is not None
