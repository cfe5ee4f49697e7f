"""SEC: a bandit over groups of tasks that practises where the agent is neither lost nor perfect.

Each group has a value Q, the running mean of ``2 sqrt(p (1 - p))`` over its tasks, and is drawn with
probability softmax(Q / tau), never less than a floor so that forgetting in a mastered group shows. Q
starts at 1, so that every group is tried early. The formulas are those of self-evolving curricula for
reasoning models; rates, floor and fading are our own. Two attempts a task is the least that works at all,
four or more is what the estimate wants. An unknown score says nothing: it is not a rate of one half.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from curriculum.select._drawing import batch, floored
from curriculum.select.base import check_attempts, learnability, solve_rate
from instar.types import Record, Score, Task

__all__ = ["Sec"]


class Sec:
    """Prefers groups whose tasks are solved about half of the time."""

    class Config(Record):
        """Settings of the bandit.

        Attributes:
            alpha: How fast Q follows what was seen.
            tau: Temperature of the softmax; lower is greedier.
            floor: Least probability of a group, cut to an even share where there are many.
            start: Q of a group that was never tried.
            fade: Part of the way back to ``start`` that Q goes in a round without the group: what was
                seen of it was seen of an agent that is no more.
            anchors: Share of the world's own tasks in each batch, so that practice cannot drift
                into proposals altogether.
        """

        alpha: float = Field(default=0.3, gt=0, le=1)
        tau: float = Field(default=0.2, gt=0)
        floor: float = Field(default=0.03, ge=0, le=1)
        start: float = Field(default=1.0, ge=0, le=1)
        fade: float = Field(default=0.1, ge=0, le=1)
        anchors: float = Field(default=0.5, ge=0, le=1)

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._values: dict[str, float] = {}
        self._tried: dict[str, int] = {}

    def select(self, pool: Sequence[Task], k: int, rng: random.Random) -> list[Task]:
        """``k`` tasks: a group by its probability, then a task of it evenly."""
        return batch(pool, k, rng, self.config.anchors, self.probabilities)

    def probabilities(self, groups: Sequence[str]) -> dict[str, float]:
        """Probability of each group among these, floor included."""
        best = max(self.value(g) for g in groups)
        raw = {g: math.exp((self.value(g) - best) / self.config.tau) for g in groups}
        return floored(raw, self.config.floor)

    def value(self, group: str) -> float:
        """Q of a group."""
        return self._values.get(group, self.config.start)

    def update(self, attempts: Mapping[str, Sequence[Score]], groups: Mapping[str, str]) -> None:
        """Move Q of each group towards what its tasks showed, and that of the others back.

        Raises:
            ConfigError: A task has fewer than two attempts.
        """
        check_attempts(attempts)
        seen: dict[str, list[float]] = defaultdict(list)
        for task, scores in attempts.items():
            rate = solve_rate(scores)
            if rate is not None:
                seen[groups[task]].append(learnability(rate))
        for group in self._values.keys() - seen.keys() if seen else ():
            self._values[group] += self.config.fade * (self.config.start - self._values[group])
        for group, rewards in seen.items():
            mean = math.fsum(rewards) / len(rewards)
            value = self.value(group)
            self._values[group] = value + self.config.alpha * (mean - value)
            self._tried[group] = self._tried.get(group, 0) + len(rewards)

    def state_dict(self) -> dict[str, Any]:
        """Q and the number of tasks seen, by group."""
        return {"values": dict(self._values), "tried": dict(self._tried)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._values = {str(g): float(q) for g, q in state["values"].items()}
        self._tried = {str(g): int(n) for g, n in state["tried"].items()}
