"""Figures of a run: each arm with its interval, and the paired differences between arms.

What could not be measured is absent, never zero: an arm's success is over its known episodes, and
`unknown` says how many are missing. In paired differences an unknown counts against the second
arm, and `bounds` say what the difference could have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from benchmarks.runner import Line, Settings
from instar.stats import paired, wilson
from instar.types import Status, Trajectory

__all__ = ["arm_figures", "pairs", "paired_figures", "success", "summarise"]

_PLACEBO = {"memory": "placebo_memory", "adapter": "placebo_adapter"}


def success(trajectory: Trajectory) -> float | None:
    """1 for a clean success, 0 for a failure, None where it could not be measured."""
    if trajectory.score.status == Status.UNKNOWN:
        return None
    return float(trajectory.score.status == Status.PASS)


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def arm_figures(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """Success with its interval, and what it cost, as means over episodes."""
    known = [t for t in trajectories if success(t) is not None]
    passed = sum(t.score.status == Status.PASS for t in known)
    interval = wilson(passed, len(known)) if known else None
    recovered = [t.score.metrics["recovered"] for t in known if "recovered" in t.score.metrics]
    return {
        "success": passed / len(known) if known else None,
        "interval": [interval.low, interval.high] if interval else None,
        "recovered": _mean(recovered),
        "unknown": len(trajectories) - len(known),
        "steps": _mean([len(t.steps) for t in known]),
        "calls": _mean([t.usage.calls for t in known]),
        "tokens": _mean([t.usage.tokens for t in known]),
        "seconds": _mean([t.seconds for t in known]),
        "n": len(trajectories),
        "families": _families(known),
    }


def _families(known: Sequence[Trajectory]) -> dict[str, list[int]]:
    """Clean successes and episodes of each family."""
    found: dict[str, list[int]] = {}
    for one in known:
        counts = found.setdefault(one.task.family, [0, 0])
        counts[0] += one.score.status == Status.PASS
        counts[1] += 1
    return dict(sorted(found.items()))


def pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Which arms are compared: all with base, both with its parts, and each with its placebo."""
    wanted = [("base", a) for a in arms if a != "base"]
    wanted += [(a, "both") for a in ("memory", "adapter")]
    wanted += [(placebo, arm) for arm, placebo in _PLACEBO.items()]
    return [(a, b) for a, b in wanted if a in arms and b in arms]


def paired_figures(a: Sequence[Trajectory], b: Sequence[Trajectory]) -> dict[str, Any] | None:
    """Difference b minus a over the tasks that both ran; None where they share none."""
    first = {t.task.id: success(t) for t in a}
    second = {t.task.id: success(t) for t in b}
    common = [k for k in first if k in second]
    result = paired([first[k] for k in common], [second[k] for k in common])
    if result is None:
        return None
    return {
        "difference": result.difference,
        "interval": list(result.interval) if result.interval else None,
        "p": result.p,
        "n": result.n,
        "unknown": result.unknown,
        "bounds": list(result.bounds) if result.bounds else None,
    }


def summarise(
    settings: Settings, lines: Sequence[Line], leakage: dict[str, object]
) -> dict[str, Any]:
    """The summary of a run, as ``instar bench run --json`` prints it."""
    by_arm: dict[str, list[Trajectory]] = {a: [] for a in settings.arms}
    for line in lines:
        by_arm[line.arm].append(line.trajectory)
    compared = [(a, b, paired_figures(by_arm[a], by_arm[b])) for a, b in pairs(settings.arms)]
    return {
        "benchmark": settings.benchmark,
        "namespace": settings.namespace,
        "generation": settings.generation,
        "model": settings.model,
        "n": settings.n,
        "seed": settings.seed,
        "protocol": settings.protocol,
        "unit": "task",
        "arms": {a: arm_figures(t) for a, t in by_arm.items()},
        "paired": [{"a": a, "b": b, **figures} for a, b, figures in compared if figures],
        "left_out": settings.left_out,
        "leakage": leakage,
        "run": settings.run,
    }
