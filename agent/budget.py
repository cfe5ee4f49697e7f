"""What an episode may use. A budget that is spent ends the episode; its final state is still scored."""

from __future__ import annotations

from pydantic import Field

from instar.types import Record, StopReason, Usage

__all__ = ["Budget"]


class Budget(Record):
    """Limits of one episode; None is no limit.

    Attributes:
        steps: Turns of the model.
        tokens: Prompt and completion tokens over all turns.
        cost: US dollars; never reached where the model has no known price.
        seconds: Time of model and tools. Looked at in live sessions only: elsewhere it would make a
            result depend on how busy the machine was.
        loop: How many like turns in a row count as a loop.
    """

    steps: int = Field(default=14, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    cost: float | None = Field(default=None, gt=0)
    seconds: float | None = Field(default=None, gt=0)
    loop: int = Field(default=3, ge=2)

    def spent(self, steps: int, usage: Usage, seconds: float, live: bool) -> StopReason | None:
        """Which limit is reached, if any, before a further turn."""
        if steps >= self.steps:
            return StopReason.STEPS
        if self.tokens is not None and usage.tokens >= self.tokens:
            return StopReason.TOKENS
        if self.cost is not None and usage.cost is not None and usage.cost >= self.cost:
            return StopReason.COST
        if live and self.seconds is not None and seconds >= self.seconds:
            return StopReason.TIME
        return None
