"""The arm that may try again: as many attempts as the dearest other arm could pay with its calls."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.runner import Line
from instar._methods import build
from instar.config import Config
from instar.contracts import Scaler, Solve
from instar.types import Task, Trajectory

__all__ = ["best_of_n"]

_FEWEST = 2


def best_of_n(config: Config, attempt: Solve, lines: Sequence[Line]) -> Solve:
    """A solver that attempts a task several times, at least twice.

    Args:
        config: Settings of the strategy.
        attempt: One attempt of the base model.
        lines: Episodes of the other arms, among them ``base`` if it was measured.
    """
    calls: dict[str, list[int]] = {}
    for line in lines:
        calls.setdefault(line.arm, []).append(line.trajectory.usage.calls)
    means = {arm: sum(c) / len(c) for arm, c in calls.items()}
    base = next((m for arm, m in means.items() if arm.endswith("base") and m), None)
    n = math.ceil(max(means.values()) / base) if base else _FEWEST
    scaler: Scaler = build("agent.scale", "best_of_n", config, n=max(_FEWEST, n))

    async def solve(task: Task, seed: int) -> Trajectory:
        return await scaler.solve(attempt, task, seed)

    return solve
