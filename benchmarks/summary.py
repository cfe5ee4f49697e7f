"""Figures of a run: each arm with its interval, and the paired differences between arms.

What could not be measured is absent, never zero: an arm's success is over its known episodes, and
`unknown` says how many are missing. In paired differences an unknown counts against the second
arm, and `bounds` say what the difference could have been. Several attempts at a task are one
cluster: they never count as several tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.houses.learning import learning
from benchmarks.metrics import attempts_figures
from benchmarks.runner import Line, Settings
from instar.stats import holm, mean_interval, paired, wilson
from instar.types import Status, Trajectory

__all__ = ["arm_figures", "compared", "pairs", "success", "summarise"]

_KEPT = "kept/"
_WINDOW, _FIRST = 20, 10
_REASONS = 3
_PLACEBO = {"memory": "placebo_memory", "adapter": "placebo_adapter"}


def success(trajectory: Trajectory) -> float | None:
    """1 for a clean success, 0 for a failure, None where it could not be measured."""
    if trajectory.score.status == Status.UNKNOWN:
        return None
    return float(trajectory.score.status == Status.PASS)


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _metric(known: Sequence[Trajectory], name: str) -> float | None:
    """Mean of a metric over the episodes that have it."""
    return _mean([t.score.metrics[name] for t in known if name in t.score.metrics])


def arm_figures(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """Success with its interval, and what it cost, as means over episodes."""
    known = [t for t in trajectories if success(t) is not None]
    clean = [t for t in known if t.score.status == Status.PASS]
    return {
        "success": len(clean) / len(known) if known else None,
        "interval": _interval(known),
        "recovered": _metric(known, "recovered"),
        "misled": _metric(known, "misled"),
        "unknown": len(trajectories) - len(known),
        "unknown_for": _reasons([t for t in trajectories if success(t) is None]),
        "steps": _mean([len(t.steps) for t in known]),
        "calls": _mean([t.usage.calls for t in known]),
        "tokens": _mean([t.usage.tokens for t in known]),
        "seconds": _mean([t.seconds for t in known]),
        "cost": _mean([t.usage.cost for t in known if t.usage.cost is not None]),
        "n": len(trajectories),
        "steps_per_success": _each([len(t.steps) for t in known], clean),
        "tokens_per_success": _each([t.usage.tokens for t in known], clean),
        "value": _mean([t.score.value for t in known if t.score.value is not None]),
        "families": _families(known),
        "rules": _rules(known),
        "metrics": _metrics(known),
        **attempts_figures(_by_task(known)),
    }


def _reasons(unknown: Sequence[Trajectory]) -> dict[str, int]:
    """Why episodes could not be measured, the commonest reasons first."""
    found = Counter(t.score.evidence or t.stop.value for t in unknown)
    return dict(found.most_common(_REASONS))


def _by_task(known: Sequence[Trajectory]) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for one in known:
        found.setdefault(one.task.id, []).append(one.score.status == Status.PASS)
    return found


def _interval(known: Sequence[Trajectory]) -> list[float] | None:
    """Wilson's over tasks; over clusters of attempts where tasks were attempted repeatedly."""
    if not known:
        return None
    by_task = _by_task(known)
    if len(by_task) == len(known):
        return list(wilson(sum(map(sum, by_task.values())), len(known)))
    found = mean_interval([success(t) for t in known], [t.task.id for t in known])
    return None if found is None else [max(0.0, found.low), min(1.0, found.high)]


def _each(spent: Sequence[int], clean: Sequence[Trajectory]) -> float | None:
    """What all episodes together spent for each success."""
    return sum(spent) / len(clean) if clean else None


def _rules(known: Sequence[Trajectory]) -> dict[str, list[int]]:
    """Of each kind of rule, the episodes that kept it and those that put it to the test."""
    found: dict[str, list[int]] = {}
    for one in known:
        for name, value in one.score.metrics.items():
            if name.startswith(_KEPT):
                counts = found.setdefault(name.removeprefix(_KEPT), [0, 0])
                counts[0] += value >= 1
                counts[1] += 1
    return dict(sorted(found.items()))


def _learning(lived: Sequence[Trajectory]) -> dict[str, Any]:
    """How an arm learnt that was measured while it did, its episodes in the order of the stream.

    ``curve`` holds, for each known episode from the tenth on, its place and clean success over the
    last twenty.
    """
    known = [(i, value) for i, t in enumerate(lived, 1) if (value := success(t)) is not None]
    windows = [known[max(0, end - _WINDOW) : end] for end in range(1, len(known) + 1)]
    curve = [[window[-1][0], fmean(value for _, value in window)] for window in windows]
    figures = learning(lived).model_dump(mode="json", exclude={"rules"})
    return figures | {"curve": curve[_FIRST - 1 :]}


def _metrics(known: Sequence[Trajectory]) -> dict[str, float]:
    """Mean of each further result that the world names, over the episodes that have it."""
    found: dict[str, list[float]] = {}
    for one in known:
        for name, value in one.score.metrics.items():
            if not name.startswith(_KEPT):
                found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in sorted(found.items())}


def _families(known: Sequence[Trajectory]) -> dict[str, list[int]]:
    """Clean successes and episodes of each family."""
    found: dict[str, list[int]] = {}
    for one in known:
        counts = found.setdefault(one.task.family, [0, 0])
        counts[0] += one.score.status == Status.PASS
        counts[1] += 1
    return dict(sorted(found.items()))


def pairs(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Which arms are compared: all with base, both with its parts, what was shed with both, and each
    with its placebo.

    Arms of several models or generations (``MODEL:GENERATION:ARM``) are compared within each, and
    each arm with the same arm of the first.
    """
    groups: dict[str, list[str]] = {}
    for label in labels:
        prefix, _, arm = label.rpartition(":")
        groups.setdefault(prefix, []).append(arm)
    found = [
        (_label(prefix, a), _label(prefix, b))
        for prefix, arms in groups.items()
        for a, b in _pairs(arms)
    ]
    (first, arms), *others = groups.items()
    across = [(_label(first, a), _label(o, a)) for o, theirs in others for a in arms if a in theirs]
    return found + across


def _label(prefix: str, arm: str) -> str:
    return f"{prefix}:{arm}" if prefix else arm


def _pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    wanted = [("base", a) for a in arms if a != "base"]
    wanted += [(a, "both") for a in ("memory", "adapter")] + [("both", "moulted")]
    wanted += [(placebo, arm) for arm, placebo in _PLACEBO.items()]
    wanted += [("memory", "false_memory")]
    wanted += [(a, "whole") for a in ("prompt", "memory", "both", "moulted")]
    wanted += [("best_of_n", a) for a in ("memory", "adapter", "both")]
    return [(a, b) for a, b in wanted if a in arms and b in arms]


def paired_figures(a: Sequence[Line], b: Sequence[Line]) -> dict[str, Any] | None:
    """Difference b minus a over the attempts that both made; None where they share none."""
    first, second = ({x.key[1:]: success(x.trajectory) for x in lines} for lines in (a, b))
    common = [k for k in first if k in second]
    repeated = len({task for task, _ in common}) < len(common)
    clusters = [task for task, _ in common] if repeated else None
    result = paired([first[k] for k in common], [second[k] for k in common], clusters)
    if result is None:
        return None
    both = [(first[k], second[k]) for k in common if None not in (first[k], second[k])]
    return {
        "difference": result.difference,
        "interval": list(result.interval) if result.interval else None,
        "p": result.p,
        "n": result.n,
        "discordant": _mean([float(x != y) for x, y in both]),
        "unknown": result.unknown,
        "bounds": list(result.bounds) if result.bounds else None,
    }


def compared(
    by_arm: Mapping[str, Sequence[Line]], names: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Paired differences of named arms, with p values corrected for their number by Holm."""
    found = [(a, b, paired_figures(by_arm[a], by_arm[b])) for a, b in names]
    figures = [{"a": a, "b": b, **f} for a, b, f in found if f]
    corrected = holm([f["p"] for f in figures])
    return [f | {"p_holm": p} for f, p in zip(figures, corrected, strict=True)]


def summarise(
    settings: Settings, lines: Sequence[Line], leakage: dict[str, object]
) -> dict[str, Any]:
    """The summary of a run, as ``instar bench run --json`` prints it."""
    by_arm: dict[str, list[Line]] = {a: [] for a in settings.arms}
    for line in lines:
        by_arm[line.arm].append(line)
    arms = {a: arm_figures([x.trajectory for x in found]) for a, found in by_arm.items()}
    if settings.protocol == "stream":
        for arm, found in by_arm.items():
            arms[arm]["learning"] = _learning([x.trajectory for x in found])
    return {
        "benchmark": settings.benchmark,
        "namespace": settings.namespace,
        "generation": settings.generation,
        "model": settings.model,
        "n": settings.n,
        "seed": settings.seed,
        "protocol": settings.protocol,
        "unit": "task",
        "attempts": settings.attempts,
        "complete": len(lines) == settings.n * settings.attempts * len(settings.arms),
        "arms": arms,
        "paired": compared(by_arm, pairs(settings.arms)),
        "left_out": settings.left_out,
        "leakage": leakage,
        "run": settings.run,
    }
