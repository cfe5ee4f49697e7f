"""Whether a candidate generation may take the place of the active one.

Pure arithmetic on paired episodes. A candidate is promoted if its clean success is shown to be no
worse than a margin allows, and it is significantly better in success, in tokens or in steps; the
last two are compared where both succeeded, else failing quickly would look like thrift, and must be
saved by a share that matters. It is rejected only for measured failures. An episode that could not be
measured counts against the candidate when it asks to be promoted, and for it when it would be
rejected. Three looks at 95 % are taken, one a figure; the rates of false promotion that follow are in
the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pydantic import Field

from instar.stats import Interval, Paired, paired
from instar.types import Record, Status, Trajectory

__all__ = ["Figure", "GateConfig", "Verdict", "decide"]

Decision: TypeAlias = Literal["promote", "reject", "undecided"]
_Key: TypeAlias = tuple[str, int]


class GateConfig(Record):
    """What it takes to be promoted.

    Attributes:
        margin: How much worse clean success may be at most and still be called no worse.
        level: Of the intervals.
        alpha: Of the exact test on success.
        thrift: Share of tokens or steps that must be saved at least for that to count as better.
        seed: Of the bootstrap.
    """

    margin: float = Field(default=0.05, ge=0, lt=1)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    thrift: float = Field(default=0.02, ge=0, lt=1)
    seed: int = 0


class Figure(Record):
    """One paired comparison: means of both sides, and candidate minus active.

    Attributes:
        n: Pairs compared; 0 where there was nothing to compare.
    """

    active: float | None = None
    candidate: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    n: int = 0

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above ``bound``."""
        return self.interval is not None and self.interval.low > bound

    def below(self, bound: float) -> bool:
        """Whether the whole interval lies below ``bound``."""
        return self.interval is not None and self.interval.high < bound


class Verdict(Record):
    """What the gate decided, with its numbers.

    Attributes:
        sentence: The decision for people.
        reasons: What was and what was not shown.
        success: With every unknown counted against the candidate.
        best_case: The same with every unknown counted for it.
        tokens: Where both succeeded.
        steps: Where both succeeded.
        unknown: Pairs with an episode that could not be measured.
        missing: Episodes of the active side without a candidate's; counted as unknown.
    """

    decision: Decision
    sentence: str
    reasons: tuple[str, ...]
    n: int
    margin: float
    success: Figure
    best_case: Figure
    tokens: Figure
    steps: Figure
    unknown: int
    missing: int


def decide(
    candidate: Sequence[Trajectory],
    active: Sequence[Trajectory],
    config: GateConfig | None = None,
) -> Verdict:
    """Compare two generations on the same tasks and seeds.

    Raises:
        ValueError: A side has two episodes of one task and seed.
    """
    config = config or GateConfig()
    ours, theirs = _by_key(candidate), _by_key(active)
    keys = sorted(theirs)
    missing = sum(key not in ours for key in keys)
    outcome = [(_passed(theirs[key]), _passed(ours.get(key))) for key in keys]
    success = _success(keys, outcome, config)
    best_case = _success(keys, [_for_candidate(pair) for pair in outcome], config)
    both = [k for k, pair in zip(keys, outcome, strict=True) if pair == (1.0, 1.0)]
    tokens = _figure(both, [(theirs[k].usage.tokens, ours[k].usage.tokens) for k in both], config)
    steps = _figure(both, [(len(theirs[k].steps), len(ours[k].steps)) for k in both], config)
    decision, reasons = _judge(success, best_case, tokens, steps, config)
    return Verdict(
        decision=decision,
        sentence=_sentence(decision, reasons, success, best_case),
        reasons=reasons,
        n=success.n,
        margin=config.margin,
        success=success,
        best_case=best_case,
        tokens=tokens,
        steps=steps,
        unknown=sum(None in pair for pair in outcome),
        missing=missing,
    )


def _by_key(trajectories: Sequence[Trajectory]) -> dict[_Key, Trajectory]:
    found = {(t.task.id, t.seed): t for t in trajectories}
    if len(found) < len(trajectories):
        raise ValueError("one side of the gate has two episodes of one task and seed")
    return found


def _passed(trajectory: Trajectory | None) -> float | None:
    if trajectory is None or trajectory.score.status is Status.UNKNOWN:
        return None
    return float(trajectory.score.status is Status.PASS)


def _for_candidate(pair: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    active, candidate = pair
    if active is None and candidate is None:
        return pair
    return (0.0 if active is None else active), (1.0 if candidate is None else candidate)


def _success(
    keys: Sequence[_Key], outcome: Sequence[tuple[float | None, float | None]], config: GateConfig
) -> Figure:
    known = [(k, pair) for k, pair in zip(keys, outcome, strict=True) if pair != (None, None)]
    against = [(1.0 if a is None else a, 0.0 if c is None else c) for _, (a, c) in known]
    return _figure([k for k, _ in known], against, config)


def _figure(
    keys: Sequence[_Key], values: Sequence[tuple[float, float]], config: GateConfig
) -> Figure:
    """Compare (active, candidate) values; seeds of one task are one cluster."""
    if not values:
        return Figure()
    active, candidate = [a for a, _ in values], [c for _, c in values]
    tasks = [task for task, _ in keys]
    found: Paired | None = paired(active, candidate, tasks, config.level, config.seed)
    if found is None:
        return Figure()
    return Figure(
        active=sum(active) / len(active),
        candidate=sum(candidate) / len(candidate),
        difference=found.difference,
        interval=found.interval,
        p=found.p,
        n=found.n,
    )


def _judge(
    success: Figure, best_case: Figure, tokens: Figure, steps: Figure, config: GateConfig
) -> tuple[Decision, tuple[str, ...]]:
    if best_case.below(0) and _exact(best_case, config):
        return "reject", ("clean success is significantly worse",)
    no_worse = success.interval is not None and success.interval.low >= -config.margin
    if not no_worse:
        return "undecided", (
            f"clean success is not shown to be within {config.margin * 100:g} points",
        )
    gains = (
        (success.above(0) and _exact(success, config), "clean success is significantly better"),
        (_saves(tokens, config), f"{_saving(tokens)} tokens where both succeed"),
        (_saves(steps, config), f"{_saving(steps)} steps where both succeed"),
    )
    found = tuple(reason for shown, reason in gains if shown)
    if found:
        return "promote", found
    return "undecided", ("neither success nor tokens nor steps are significantly better",)


def _exact(figure: Figure, config: GateConfig) -> bool:
    return figure.p is not None and figure.p < config.alpha


def _saves(figure: Figure, config: GateConfig) -> bool:
    """Whether less is surely used, and so much less that it matters to somebody."""
    if not figure.active or figure.difference is None:
        return False
    return figure.below(0) and -figure.difference >= config.thrift * figure.active


def _saving(figure: Figure) -> str:
    if not figure.active or figure.difference is None:
        return "no fewer"
    return f"{-figure.difference / figure.active:.0%} fewer"


def _sentence(
    decision: Decision, reasons: Sequence[str], success: Figure, best_case: Figure
) -> str:
    head = {"promote": "Promoted", "reject": "Rejected", "undecided": "Undecided"}[decision]
    if success.difference is None or success.active is None or success.candidate is None:
        return f"{head}: no pair of episodes could be compared."
    numbers = (
        f"clean success {success.active:.0%} -> {success.candidate:.0%}, "
        f"difference {_points(success)}{_p(success)}, n={success.n}"
    )
    if best_case.difference != success.difference:
        numbers += f"; with every unknown counted for the candidate {_points(best_case)}"
    return f"{head}: {' and '.join(reasons)} ({numbers})."


def _p(figure: Figure) -> str:
    """The exact test decides together with the interval, and may not agree with it."""
    if figure.p is None:
        return ""
    return ", p<0.001" if figure.p < 0.001 else f", p={figure.p:.3f}"


def _points(figure: Figure) -> str:
    points = f"{(figure.difference or 0) * 100:+.1f} points"
    if figure.interval is None:
        return points
    return f"{points} [{figure.interval.low * 100:+.1f}, {figure.interval.high * 100:+.1f}]"
