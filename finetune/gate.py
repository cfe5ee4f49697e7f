"""Whether a candidate generation may take the place of the active one.

Pure arithmetic on paired episodes. A candidate is promoted if its clean success is shown to be no
worse than a margin allows, it is surely better in success, in tokens or in steps, and no group of
tasks has surely lost more than a line allows. Tokens and steps are compared where both succeeded,
else failing quickly would look like thrift, and must be saved by a share that matters. It is rejected
only for measured failures. An episode that could not be measured counts against the candidate when it
asks to be promoted, and for it when it would be rejected.

The chance of a false promotion is at most ``alpha``: one that is worse than the margin passes the
first condition with that chance, one that is better in nothing the second, of which success takes
half and tokens and steps a quarter each. `finetune.stopping` keeps to that over several looks, so that
one may stop as soon as something is decided. `benchmarks.studies.gate` measures the rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from pydantic import Field

from finetune._figures import (
    Figure,
    Values,
    evidence,
    figure,
    means,
    savings,
    success,
    watched,
)
from finetune._groups import Group, groups
from finetune._pairs import Pair, pairs_of
from finetune._wording import sentence
from instar.types import Record, Trajectory

__all__ = [
    "Figure",
    "SUCCESS",
    "THRIFT",
    "GateConfig",
    "Pair",
    "Shown",
    "Test",
    "Verdict",
    "decide",
    "pairs_of",
    "shown",
    "values_of",
    "weigh",
]

Decision: TypeAlias = Literal["promote", "reject", "undecided"]
Test: TypeAlias = Literal["once", "spending", "betting"]

SUCCESS, THRIFT = 0.5, 0.25
"""Parts of alpha that a gain of success and one of tokens or of steps may take."""


class GateConfig(Record):
    """What it takes to be promoted.

    Attributes:
        margin: How much worse clean success may be at most and still be called no worse.
        alpha: Highest chance of a false promotion.
        harm: Highest chance of rejecting what is not worse.
        level: Of the intervals that are shown.
        thrift: Share of tokens or steps that must be saved at least for that to count as better.
        group_margin: How much worse a group may be at most.
        group_level: Of the intervals of all groups together.
        test: ``once`` and ``spending`` use intervals and exact tests; ``betting`` what may be looked at
            without end.
        seed: Of the bootstrap.
    """

    margin: float = Field(default=0.05, ge=0, lt=1)
    alpha: float = Field(default=0.025, gt=0, lt=0.25)
    harm: float = Field(default=0.025, gt=0, lt=0.25)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    thrift: float = Field(default=0.02, ge=0, lt=1)
    group_margin: float = Field(default=0.1, ge=0, lt=1)
    group_level: float = Field(default=0.95, gt=0.5, lt=1)
    test: Test = "once"
    seed: int = 0


class Verdict(Record):
    """What the gate decided, with its numbers.

    Attributes:
        sentence: The decision for people.
        reasons: What was and what was not shown.
        alpha: Highest chance of a false promotion that it took.
        test: How it was looked at.
        success: With every unknown counted against the candidate.
        best_case: The same with every unknown counted for it.
        tokens: Where both succeeded.
        steps: Where both succeeded.
        groups: Success by group, the one that looks worst first.
        unknown: Pairs with an episode that could not be measured.
        missing: Episodes of the active side without a candidate's; counted as unknown.
    """

    decision: Decision
    sentence: str
    reasons: tuple[str, ...]
    n: int
    margin: float
    alpha: float
    test: Test
    success: Figure
    best_case: Figure
    tokens: Figure
    steps: Figure
    groups: tuple[Group, ...] = ()
    unknown: int
    missing: int


class Shown(NamedTuple):
    """What is surely so of a candidate."""

    no_worse: bool
    better: bool
    fewer_tokens: bool
    fewer_steps: bool
    worse: bool

    @property
    def gain(self) -> bool:
        """Whether it is better in something."""
        return self.better or self.fewer_tokens or self.fewer_steps


def decide(
    candidate: Sequence[Trajectory],
    active: Sequence[Trajectory],
    config: GateConfig | None = None,
) -> Verdict:
    """Compare two generations on the same tasks and seeds.

    Raises:
        ValueError: A side has two episodes of one task and seed.
    """
    return weigh(pairs_of(candidate, active), config)


def weigh(pairs: Sequence[Pair], config: GateConfig | None = None) -> Verdict:
    """Decide on pairs, in the order in which they were measured."""
    config = config or GateConfig()
    values = values_of(pairs)
    figures = {name: _figure(name, part, config) for name, part in values.items()}
    found = shown(values, config)
    limit = (config.group_margin, config.group_level)
    parts = groups(pairs, *limit, _betting(config), config.seed)
    decision, reasons = _judge(found, figures, parts, config)
    success, best_case = figures["success"], figures["best_case"]
    return Verdict(
        decision=decision,
        sentence=sentence(decision, reasons, success, best_case),
        reasons=reasons,
        n=success.n,
        margin=config.margin,
        alpha=config.alpha,
        test=config.test,
        groups=parts,
        unknown=sum(pair.unknown for pair in pairs),
        missing=sum(pair.missing for pair in pairs),
        **figures,
    )


def values_of(pairs: Sequence[Pair]) -> dict[str, Values]:
    """What is compared, by the name of its figure in the verdict."""
    return {
        "success": success(pairs),
        "best_case": success(pairs, favouring=True),
        "tokens": savings(pairs, "tokens"),
        "steps": savings(pairs, "steps"),
    }


def _figure(name: str, values: Values, config: GateConfig) -> Figure:
    if _betting(config):
        return watched(values, config.level, name not in ("tokens", "steps"))
    return figure(values, config.level, config.seed)


def _betting(config: GateConfig) -> bool:
    return config.test == "betting"


def shown(values: Mapping[str, Values], config: GateConfig) -> Shown:
    """What is surely so at this look."""
    return _watched(values, config) if _betting(config) else _once(values, config)


def _once(values: Mapping[str, Values], config: GateConfig) -> Shown:
    """By intervals and exact tests, for one look."""

    def at(name: str, chance: float) -> Figure:
        return figure(values[name], 1 - 2 * chance, config.seed)

    def beyond(found: Figure, chance: float, sign: int) -> bool:
        sure = found.above(0) if sign > 0 else found.below(0)
        return sure and found.p is not None and found.p < 2 * chance

    floor = at("success", config.alpha).interval
    gain, saving = SUCCESS * config.alpha, THRIFT * config.alpha
    return Shown(
        no_worse=floor is not None and floor.low >= -config.margin,
        better=beyond(at("success", gain), gain, 1),
        fewer_tokens=_matters(values["tokens"], config) and at("tokens", saving).below(0),
        fewer_steps=_matters(values["steps"], config) and at("steps", saving).below(0),
        worse=beyond(at("best_case", config.harm), config.harm, -1),
    )


def _watched(values: Mapping[str, Values], config: GateConfig) -> Shown:
    """By the evidence that bets have won, for any number of looks."""
    success, best_case = values["success"], values["best_case"]

    def sure(won: Sequence[float], chance: float) -> bool:
        return max(won, default=0.0) >= math.log(1 / chance)

    def saved(name: str) -> bool:
        won = evidence(values[name], turned=True, signs=True)
        return _matters(values[name], config) and sure(won.tolist(), THRIFT * config.alpha)

    return Shown(
        no_worse=sure(evidence(success, -config.margin).tolist(), config.alpha),
        better=sure(evidence(success).tolist(), SUCCESS * config.alpha),
        fewer_tokens=saved("tokens"),
        fewer_steps=saved("steps"),
        worse=sure(evidence(best_case, turned=True).tolist(), config.harm),
    )


def _judge(
    seen: Shown, figures: Mapping[str, Figure], parts: Sequence[Group], config: GateConfig
) -> tuple[Decision, tuple[str, ...]]:
    if seen.worse:
        return "reject", ("clean success is significantly worse",)
    if not seen.no_worse:
        return "undecided", (
            f"clean success could still be more than {config.margin * 100:g} points worse",
        )
    tokens, steps = figures["tokens"], figures["steps"]
    gains = (
        (seen.better, "clean success is significantly better"),
        (seen.fewer_tokens, f"{_share(tokens)} tokens where both succeed"),
        (seen.fewer_steps, f"{_share(steps)} steps where both succeed"),
    )
    found = tuple(reason for yes, reason in gains if yes)
    if not found:
        return "undecided", ("neither success nor tokens nor steps are significantly better",)
    lost = tuple(part.told(config.group_margin) for part in parts if part.blocks)
    return ("reject", lost) if lost else ("promote", found)


def _matters(values: Values, config: GateConfig) -> bool:
    """Whether so much less is used that it matters to somebody."""
    saved = means(values)
    if not saved.active or saved.difference is None:
        return False
    return -saved.difference >= config.thrift * saved.active


def _share(saved: Figure) -> str:
    if not saved.active or saved.difference is None:
        return "no fewer"
    return f"{-saved.difference / saved.active:.0%} fewer"
