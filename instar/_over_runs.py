"""Figures with the whole run as the unit: one value a seed, and differences paired by seed.

Differences are taken over runs, which is what a claim about a method needs, and also over their
tasks clustered by seed and family, which speaks of these runs alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple, TypeAlias

from benchmarks.summary import pairs
from instar._measure import Measure
from instar.stats import holm, mean_interval, paired

__all__ = ["Cell", "Outcome", "Outcomes", "figures", "over_runs", "paired_over_runs"]


class Outcome(NamedTuple):
    """How an attempt at a task went, and the tokens that it took; None where that is not known."""

    family: str
    success: float | None
    tokens: int | None = None


Outcomes: TypeAlias = dict[tuple[str, int], Outcome]
"""By task and attempt."""


@dataclass
class Cell:
    """What was measured of one finished evolution.

    Attributes:
        world: Id of the world.
        outcomes: Of each label.
        tokens: Of an attempt on average, prompt and answers, by label.
        instead: Which arm stands for one that the evolution has not what it takes for.
        left_out: Labels that could not be measured, each with the reason.
        problems: What is wrong with a run, such as arms that had not the same chance.
        runs: Names of the runs.
    """

    world: str = ""
    outcomes: dict[str, Outcomes] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def put(self, label: str, arm: str, stands: str, ran: Mapping[str, Outcomes]) -> None:
        """Take what was run for an arm, or for the one that stands for it."""
        if stands in ran:
            self.outcomes[label] = ran[stands]
            spent = _mean([o.tokens for o in ran[stands].values()])
            if spent is not None:
                self.tokens[label] = round(spent, 1)
            if stands != arm:
                self.instead[label] = stands

    def success(self, label: str) -> float | None:
        """Clean success of an arm over its known attempts."""
        return _mean([o.success for o in self.outcomes.get(label, {}).values()])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return fmean(known) if known else None


def over_runs(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean success with its interval, and the value of each run."""
    interval = mean_interval(values)
    return {
        "success": _mean(values),
        "interval": list(interval) if interval else None,
        "runs": list(values),
    }


def paired_over_runs(
    a: Sequence[float | None], b: Sequence[float | None], seeds: Sequence[int]
) -> dict[str, Any] | None:
    """Difference b minus a over the seeds; None where no seed has both."""
    result = paired(a, b, clusters=seeds)
    if result is None:
        return None
    return {
        "difference": result.difference,
        "interval": list(result.interval) if result.interval else None,
        "p": result.p,
        "n": result.n,
    }


def figures(
    wanted: Measure, turns: int, seeds: Sequence[int], cells: Sequence[Cell]
) -> dict[str, Any]:
    """Success of each arm over the runs, and paired differences.

    Args:
        wanted: What was measured.
        turns: Generations of each evolution.
        seeds: Of the evolutions.
        cells: In the same order.
    """
    labels = wanted.labels(turns)
    first, *others = labels
    last = wanted.generation == "last"
    names = pairs(labels) if last else [(first, other) for other in others]
    found = [(a, b, _compared(seeds, cells, a, b)) for a, b in names]
    known = [{"a": a, "b": b, **f} for a, b, f in found if f]
    corrected = holm([f["p"] for f in known])
    told = dict(zip(map(str, seeds), cells, strict=True))
    return {
        "world": cells[0].world,
        "n": wanted.n,
        "arms": {a: _arm(a, cells) for a in labels},
        "paired": [f | {"p_holm": p} for f, p in zip(known, corrected, strict=True)],
        "instead": {seed: c.instead for seed, c in told.items() if c.instead},
        "left_out": {seed: c.left_out for seed, c in told.items() if c.left_out},
        "problems": {seed: c.problems for seed, c in told.items() if c.problems},
        "runs": {seed: c.runs for seed, c in told.items()},
    }


def _arm(label: str, cells: Sequence[Cell]) -> dict[str, Any]:
    tokens = _mean([c.tokens.get(label) for c in cells])
    spent = {} if tokens is None else {"tokens": round(tokens, 1)}
    return over_runs([c.success(label) for c in cells]) | spent


def _compared(seeds: Sequence[int], cells: Sequence[Cell], a: str, b: str) -> dict[str, Any] | None:
    """A difference over runs, and as ``pooled`` over their tasks."""
    one, other = ([c.success(label) for c in cells] for label in (a, b))
    found = paired_over_runs(one, other, seeds)
    if found is None:
        return None
    rows = [
        (x.success, cell.outcomes[b][key].success, (seed, x.family))
        for seed, cell in zip(seeds, cells, strict=True)
        for key, x in cell.outcomes.get(a, {}).items()
        if key in cell.outcomes.get(b, {})
    ]
    pooled = paired([x for x, _, _ in rows], [y for _, y, _ in rows], [c for _, _, c in rows])
    return found | {"pooled": None if pooled is None else pooled.model_dump(mode="json")}
