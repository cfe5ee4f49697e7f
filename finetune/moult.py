"""The moult: which memories an adapter has made needless.

What memory proved is trained into an adapter, and then the same tasks are done with the memories of
one cluster and without any. A cluster is shed where being without it is no worse: the chance that
clean success falls by less than a margin must be high. The chance is that of a Dirichlet posterior
over the four outcomes of a pair, with Jeffreys' prior of one half each (Jeffreys 1946), so that ten
pairs that agree do not pass for certainty as they would with a resampled interval. Where no task went
clean with the memories or without they are shed too: they cost tokens and buy nothing. It decides what
the candidate sheds, and nothing more: whether the candidate as a whole serves is for the gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from pydantic import Field

from instar.types import Record

__all__ = ["Cluster", "MoultConfig", "Pair", "weigh"]

Pair: TypeAlias = tuple[bool | None, bool | None]
"""Whether one task went clean with the memories, and without; None where that is not known."""

_DRAWS = 20_000
_PRIOR = 0.5


class MoultConfig(Record):
    """When a cluster is shed.

    Attributes:
        margin: How far clean success may fall and still be called no worse.
        level: Least probability that it falls by less.
        least: So many pairs must be known.
    """

    margin: float = Field(default=0.1, gt=0, lt=1)
    level: float = Field(default=0.8, gt=0.5, lt=1)
    least: int = Field(default=6, ge=1)


class Cluster(Record):
    """What was found of the memories of one group of tasks.

    Attributes:
        name: The group.
        items: Ids of its memories.
        n: Pairs of which both sides are known.
        kept_clean: Share clean with the memories; None where nothing is known.
        shed_clean: Share clean without.
        lost: Pairs clean only with them.
        won: Pairs clean only without.
        probability: That success falls by less than the margin.
        decision: What became of it.
        reason: For people.
    """

    name: str
    items: tuple[str, ...]
    n: int
    kept_clean: float | None
    shed_clean: float | None
    lost: int
    won: int
    probability: float
    decision: Literal["internalised", "kept"]
    reason: str


def weigh(
    name: str, items: Sequence[str], pairs: Sequence[Pair], config: MoultConfig | None = None
) -> Cluster:
    """Decide on one cluster.

    Args:
        name: The group.
        items: Ids of its memories.
        pairs: One a task and seed.
        config: None: the usual lines.
    """
    config = config or MoultConfig()
    known = [(bool(a), bool(b)) for a, b in pairs if a is not None and b is not None]
    n = len(known)
    lost = sum(a and not b for a, b in known)
    won = sum(b and not a for a, b in known)
    both = sum(a and b for a, b in known)
    probability = _no_worse((lost, won, both, n - lost - won - both), config.margin)
    # Where all are lost without them no number of them shows that little is.
    shed = n >= config.least and probability >= config.level and (both + won > 0 or not lost)
    return Cluster(
        name=name,
        items=tuple(items),
        n=n,
        kept_clean=(both + lost) / n if n else None,
        shed_clean=(both + won) / n if n else None,
        lost=lost,
        won=won,
        probability=round(probability, 4),
        decision="internalised" if shed else "kept",
        reason=_reason(n, both + won, lost, probability, shed, config),
    )


def _no_worse(counts: Sequence[int], margin: float) -> float:
    shares = np.random.default_rng(0).dirichlet([c + _PRIOR for c in counts], _DRAWS)
    return float(np.mean(shares[:, 0] - shares[:, 1] < margin))


def _reason(
    n: int, clean: int, lost: int, probability: float, shed: bool, config: MoultConfig
) -> str:
    if n < config.least:
        return f"only {n} of {config.least} pairs are known"
    if not clean:
        return "no task went clean without them" if lost else "none went clean with them or without"
    told = f"less than {100 * config.margin:g} points worse without them, probability"
    return f"{told} {probability:.2f}" if shed else f"not shown to be {told} {probability:.2f}"
