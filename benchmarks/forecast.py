"""What a run will cost and what it can show, before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.fairness import Limits
from instar.power import detectable
from instar.types import Record

__all__ = ["Forecast", "Past", "forecast"]

_DISCORDANT = 0.3
"""Share of pairs that differ where nothing better is known."""
_ENOUGH = 30
"""Pairs from which on the share that differed is worth more than that."""


class Forecast(Record):
    """Expected use of a run.

    Attributes:
        calls: Of the model.
        tokens: Prompt and completion tokens.
        usd: US dollars; None where no price is known.
        known: Whether it follows from earlier episodes; else it is the most that the limits allow.
        detectable: Smallest difference of clean success between two arms that is found with 80 %
            power at 5 %; None where the number of tasks cannot show any.
        discordant: Share of pairs that differ, on which that rests.
        pairs: Of a comparison; 0 where nothing is compared.
    """

    episodes: int
    pairs: int
    calls: int
    tokens: int
    usd: float | None
    known: bool
    detectable: float | None
    discordant: float

    @property
    def sentence(self) -> str:
        """For people."""
        how = "expected" if self.known else "at most"
        money = "" if self.usd is None else f", {self.usd:.2f} USD"
        costs = f"{self.episodes} episodes, {how} {self.calls:,} calls and {self.tokens:,} tokens"
        if not self.pairs:
            return costs + money
        found = (
            "no difference can be shown with so few tasks"
            if self.detectable is None
            else f"differences from {100 * self.detectable:.0f} points can be found"
        )
        return (
            f"{costs}{money}; {found} (80 % power, if {100 * self.discordant:.0f} % of the "
            f"{self.pairs} pairs differ)"
        )


class Past(Record):
    """Means over the episodes of an earlier run of the same world and model.

    Attributes:
        discordant: Mean share of pairs that differed between two arms; None where nothing was compared.
    """

    calls: float
    tokens: float
    usd: float | None = None
    discordant: float | None = None

    @classmethod
    def of(cls, summary: Mapping[str, Any], wanted: Sequence[str]) -> Past | None:
        """What the summary of a run says of like arms; None where it measured none of them."""
        known = {a: f for a, f in summary["arms"].items() if f["calls"] is not None}
        if not set(wanted) <= set(known):
            return None
        arms = [known[a] for a in wanted]
        costs = [f["cost"] for f in arms if f.get("cost") is not None]
        shares = [
            p["discordant"]
            for p in summary["paired"]
            if p.get("discordant") is not None and p["n"] >= _ENOUGH
        ]
        return cls(
            calls=fmean([f["calls"] for f in arms]),
            tokens=fmean([f["tokens"] for f in arms]),
            usd=fmean(costs) if costs else None,
            discordant=fmean(shares) if shares else None,
        )


def forecast(episodes: int, pairs: int, limits: Limits, past: Past | None = None) -> Forecast:
    """Estimate a run.

    Args:
        episodes: That have to be run.
        pairs: Of a comparison; 0 where there is none.
        limits: Of an episode.
        past: What earlier episodes of the same world and model came to.
    """
    share = past.discordant if past and past.discordant else _DISCORDANT
    return Forecast(
        episodes=episodes,
        pairs=pairs,
        calls=round(episodes * (past.calls if past else limits.steps)),
        tokens=round(episodes * (past.tokens if past else limits.tokens)),
        usd=episodes * past.usd if past and past.usd is not None else None,
        known=past is not None,
        detectable=detectable(pairs, share) if pairs else None,
        discordant=share,
    )
