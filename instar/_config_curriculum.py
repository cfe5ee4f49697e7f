"""Settings of what is practised."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from instar._config_agent import Section, Share

__all__ = ["Curriculum"]


class Curriculum(Section):
    """What is practised: the selector, the proposers, how many drafts they are asked for, and which are fit.

    Where ``low`` or ``high`` leaves rates out, a draft is attempted ``attempts`` times first and practised
    only if the share of successes is neither below nor above.
    """

    select: str = "uniform"
    propose: tuple[str, ...] = ("neighbours",)
    proposals: Annotated[int, Field(ge=0)] = 16
    attempts: PositiveInt = 4
    low: Share = 0.0
    high: Share = 1.0

    @model_validator(mode="after")
    def _a_band(self) -> Self:
        if self.low > self.high:
            raise ValueError(
                "low is above high, so that no draft would be practised; exchange them"
            )
        return self
