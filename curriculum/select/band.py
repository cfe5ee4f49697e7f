"""Band: practise the groups whose solve rate lies in a window, ask for other tasks where it does not.

Groups at the frontier share the batch evenly; where none is there, those nearest to it do. The others
keep a floor, so that forgetting in a mastered group shows and luck in a hopeless one is noticed.
Below the window proposers are asked to simplify, above it to diversify, as CLPO rewrites its tasks.
Attempts of earlier rounds lose weight, since they were those of another agent: a group that has not
been practised for a while is one of which nothing is known, and those are tried like the frontier.
The thresholds of the paper could not be verified; all numbers here are our own.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from curriculum.select._drawing import batch, floored
from curriculum.select.base import ATTEMPTS, Hint, check_attempts, solve_rate
from instar.types import Record, Score, Status, Task

__all__ = ["Band"]


class Band:
    """Prefers groups whose solve rate lies in a window."""

    class Config(Record):
        """Settings of the window.

        Attributes:
            low: Solve rate below which a group is too hard.
            high: Solve rate above which it is too easy.
            decay: What one round leaves of the weight of all attempts before it; 1 keeps them.
            trust: Weight of attempts, one where they are new, from which a rate is believed.
            floor: Least probability of a group, cut to an even share where there are many.
            anchors: Share of the world's own tasks in each batch, so that practice cannot drift
                into proposals altogether.
        """

        low: float = Field(default=0.2, ge=0, le=1)
        high: float = Field(default=0.8, ge=0, le=1)
        decay: float = Field(default=0.5, ge=0, le=1)
        trust: float = Field(default=2.0, ge=ATTEMPTS)
        floor: float = Field(default=0.03, ge=0, le=1)
        anchors: float = Field(default=0.5, ge=0, le=1)

        @model_validator(mode="after")
        def _ordered(self) -> Band.Config:
            if self.low > self.high:
                raise ValueError(f"low is {self.low:g}, above high, which is {self.high:g}")
            return self

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._passed: dict[str, float] = {}
        self._tried: dict[str, float] = {}

    def select(self, pool: Sequence[Task], k: int, rng: random.Random) -> list[Task]:
        """``k`` tasks: a group by its probability, then a task of it evenly."""
        return batch(pool, k, rng, self.config.anchors, self.probabilities)

    def probabilities(self, groups: Sequence[str]) -> dict[str, float]:
        """Probability of each group among these, floor included."""
        off = {g: self._off(g) for g in groups}
        nearest = min(off.values())
        return floored({g: float(off[g] == nearest) for g in groups}, self.config.floor)

    def _off(self, group: str) -> float:
        """How far outside of the window a group lies; 0 where its rate is not known."""
        rate = self.rate(group)
        return 0.0 if rate is None else max(0.0, self.config.low - rate, rate - self.config.high)

    def rate(self, group: str) -> float | None:
        """Solve rate of a group, the latest attempts counting most; None where it is not known."""
        tried = self._tried.get(group, 0.0)
        return self._passed[group] / tried if tried >= self.config.trust else None

    def hints(self) -> dict[str, Hint]:
        """What is asked of proposers, by group."""
        rates = {g: self.rate(g) for g in sorted(self._tried)}
        hard = {g: Hint.SIMPLIFY for g, p in rates.items() if p is not None and p < self.config.low}
        easy = {
            g: Hint.DIVERSIFY for g, p in rates.items() if p is not None and p > self.config.high
        }
        return hard | easy

    def update(self, attempts: Mapping[str, Sequence[Score]], groups: Mapping[str, str]) -> None:
        """Add the attempts of a round, after those before it have lost weight.

        Raises:
            ConfigError: A task has fewer than two attempts.
        """
        check_attempts(attempts)
        seen: dict[str, list[bool]] = defaultdict(list)
        for task, scores in attempts.items():
            if solve_rate(scores) is not None:
                known = [s.status for s in scores if s.status is not Status.UNKNOWN]
                seen[groups[task]] += [status is Status.PASS for status in known]
        if not seen:  # a round in which nobody could judge is no round
            return
        for weights in (self._passed, self._tried):
            weights.update({g: self.config.decay * w for g, w in weights.items()})
        for group, passes in seen.items():
            self._passed[group] = self._passed.get(group, 0.0) + sum(passes)
            self._tried[group] = self._tried.get(group, 0.0) + len(passes)

    def state_dict(self) -> dict[str, Any]:
        """Weights of the passes and of all attempts, by group."""
        return {"passed": dict(self._passed), "tried": dict(self._tried)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._passed = {str(g): float(w) for g, w in state["passed"].items()}
        self._tried = {str(g): float(w) for g, w in state["tried"].items()}
