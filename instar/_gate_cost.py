"""What a gate will come to, and what it came to: episodes, model calls, tokens, money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from instar.types import Record, Trajectory, Usage

__all__ = ["Cost", "cost_of", "forecast", "usage_of"]

_LIKE = ("gate_", "practise_")
"""Stages whose episodes are like those of a gate, the likest first."""


class Cost(Record):
    """What a number of episodes used.

    Attributes:
        usd: US dollars; None where no price is known.
    """

    episodes: int = 0
    calls: int = 0
    tokens: int = 0
    usd: float | None = Field(default=None, ge=0)

    def __str__(self) -> str:
        price = "no price known" if self.usd is None else f"${self.usd:.2f}"
        return f"{self.episodes} episodes, {self.calls} calls, {self.tokens:,} tokens, {price}"


def usage_of(episodes: Sequence[Trajectory]) -> dict[str, Any]:
    """Calls, tokens and dollars of episodes, as a stage keeps them."""
    used = sum((t.usage for t in episodes), Usage())
    return {"calls": used.calls, "tokens": used.tokens, "usd": used.cost}


def cost_of(episodes: Sequence[Trajectory]) -> Cost:
    """What they came to."""
    return Cost(episodes=len(episodes), **usage_of(episodes))


def forecast(stages: Mapping[str, Mapping[str, Any]], episodes: int) -> tuple[Cost, str] | None:
    """What so many episodes would come to if they were like those of the latest stage of their sort.

    Returns:
        The cost and the key of that stage; None where none has run yet.
    """
    for sort in _LIKE:
        for key, kept in reversed(list(stages.items())):
            if key.partition("/")[2].startswith(sort) and kept.get("calls"):
                return _scaled(kept, episodes), key
    return None


def _scaled(kept: Mapping[str, Any], episodes: int) -> Cost:
    scale = episodes / kept["episodes"]
    return Cost(
        episodes=episodes,
        calls=round(kept["calls"] * scale),
        tokens=round(kept["tokens"] * scale),
        usd=None if kept["usd"] is None else kept["usd"] * scale,
    )
