"""How an agent learnt a house, from an ordered list of trajectories.

Each rule is a family of work with a kind of rule (and the era, where rules change). It was *met*
in an episode that put it to the test, and then either kept or broken; an episode that never came
so far says nothing of it. What could not be measured is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from instar.stats import Paired, paired
from instar.types import Record, Status, Trajectory

__all__ = ["FalseMemory", "Learning", "RuleCurve", "cost_of_false_memory", "learning"]

_KEPT = "kept/"


class RuleCurve(Record):
    """What became of one rule.

    Attributes:
        rule: Namespace, family and kind, and ``later`` for a rule of the second era.
        met: Episodes that put it to the test.
        first_kept: Which of those, counted from 1, was the first that kept it; None if none did.
        episodes: Episodes from the first that met it to the first that kept it, both included, the
            ones in between that did not meet it too; None if it was never kept.
        later: Episodes that met it after it was first kept.
        relapses: How many of those broke it.
    """

    rule: str
    met: int
    first_kept: int | None
    episodes: int | None
    later: int
    relapses: int


class Learning(Record):
    """Figures of a run of episodes in order.

    Attributes:
        known: Episodes with a known score.
        clean: Share of clean successes.
        recovered: Share that reached the right state after a break.
        rules: One curve a rule, in the order in which they were met.
        episodes_until_kept: Mean over the rules that were ever kept.
        met_until_kept: The same, counted in episodes that met the rule.
        never_kept: How many rules were met and never kept.
        relapse_rate: Share of breaks in episodes that met a rule kept before.
        steps_per_success: All steps, failures included, over the number of clean successes.
        tokens_per_success: The same of tokens; None where no model call was counted.
        misled: Share of the episodes with false advice in which it was followed.
    """

    episodes: int
    known: int
    clean: float | None
    recovered: float | None
    rules: tuple[RuleCurve, ...]
    episodes_until_kept: float | None
    met_until_kept: float | None
    never_kept: int
    relapse_rate: float | None
    steps_per_success: float | None
    tokens_per_success: float | None
    misled: float | None


class FalseMemory(Record):
    """What planted false memories cost: the arm with them minus the arm without, pair by pair.

    Attributes:
        clean: Difference of clean success, with interval and exact test.
        broken: Mean difference of rules broken an episode.
        steps: Mean difference of steps.
        tokens: Mean difference of tokens; None where no model call was counted.
        misled: Share of the planted arm's episodes that followed false advice, where that is known.
    """

    clean: Paired | None
    broken: float | None
    steps: float | None
    tokens: float | None
    misled: float | None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _is_known(trajectory: Trajectory) -> bool:
    return trajectory.score.status is not Status.UNKNOWN


def _passed(trajectory: Trajectory) -> float | None:
    return float(trajectory.score.status is Status.PASS) if _is_known(trajectory) else None


def _tested(trajectory: Trajectory) -> Mapping[str, bool]:
    """The rules that an episode put to the test, and whether it kept them."""
    task = trajectory.task
    era = " later" if task.params.get("era") else ""
    metrics = trajectory.score.metrics if _is_known(trajectory) else {}
    return {
        f"{task.namespace} {task.family} {key.removeprefix(_KEPT)}{era}": value >= 1
        for key, value in metrics.items()
        if key.startswith(_KEPT)
    }


def _curve(rule: str, tests: Sequence[tuple[int, bool]]) -> RuleCurve:
    """A rule's curve from the places of the episodes that met it."""
    first = next((i for i, (_, kept) in enumerate(tests) if kept), None)
    later = [] if first is None else [kept for _, kept in tests[first + 1 :]]
    return RuleCurve(
        rule=rule,
        met=len(tests),
        first_kept=None if first is None else first + 1,
        episodes=None if first is None else tests[first][0] - tests[0][0] + 1,
        later=len(later),
        relapses=later.count(False),
    )


def learning(trajectories: Sequence[Trajectory]) -> Learning:
    """Figures of episodes in the order in which they were lived."""
    tests: dict[str, list[tuple[int, bool]]] = {}
    for place, one in enumerate(trajectories):
        for rule, kept in _tested(one).items():
            tests.setdefault(rule, []).append((place, kept))
    curves = tuple(_curve(rule, found) for rule, found in tests.items())
    known = [t for t in trajectories if _is_known(t)]
    later = sum(c.later for c in curves)
    successes = sum(t.score.status is Status.PASS for t in known)
    steps, tokens = sum(len(t.steps) for t in known), sum(t.usage.tokens for t in known)
    counted = any(t.usage.calls for t in known)
    return Learning(
        episodes=len(trajectories),
        known=len(known),
        clean=successes / len(known) if known else None,
        recovered=_metric(known, "recovered"),
        rules=curves,
        episodes_until_kept=_mean([c.episodes for c in curves if c.episodes is not None]),
        met_until_kept=_mean([c.first_kept for c in curves if c.first_kept is not None]),
        never_kept=sum(c.first_kept is None for c in curves),
        relapse_rate=sum(c.relapses for c in curves) / later if later else None,
        steps_per_success=steps / successes if successes else None,
        tokens_per_success=tokens / successes if successes and counted else None,
        misled=_metric(known, "misled"),
    )


def _metric(known: Sequence[Trajectory], name: str) -> float | None:
    return _mean([t.score.metrics[name] for t in known if name in t.score.metrics])


def cost_of_false_memory(
    without: Sequence[Trajectory], planted: Sequence[Trajectory]
) -> FalseMemory:
    """Compare two arms over the attempts (task and seed) that both made.

    Args:
        without: The arm as it is.
        planted: The same arm with false memories beside its own.
    """
    first = {(t.task.id, t.seed): t for t in without}
    second = {(t.task.id, t.seed): t for t in planted}
    pairs = [(first[key], second[key]) for key in first if key in second]
    clean = paired([_passed(a) for a, _ in pairs], [_passed(b) for _, b in pairs])
    both = [(a, b) for a, b in pairs if _is_known(a) and _is_known(b)]
    counted = any(t.usage.calls for pair in both for t in pair)
    return FalseMemory(
        clean=clean,
        broken=_mean(
            [
                b.score.metrics["broken"] - a.score.metrics["broken"]
                for a, b in both
                if "broken" in a.score.metrics and "broken" in b.score.metrics
            ]
        ),
        steps=_mean([float(len(b.steps) - len(a.steps)) for a, b in both]),
        tokens=_mean([float(b.usage.tokens - a.usage.tokens) for a, b in both])
        if counted
        else None,
        misled=_metric([b for _, b in both], "misled"),
    )
