"""Selectors choose what to practise; what they learn from is the solve rate of each task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from instar.contracts import Selector as Contract
from instar.errors import ConfigError
from instar.types import Score, Status, Task

__all__ = [
    "ATTEMPTS",
    "Contract",
    "Hint",
    "Hinting",
    "by_group",
    "check_attempts",
    "learnability",
    "solve_rate",
]

ATTEMPTS = 2
"""The least number of attempts of which a solve rate can be made."""


class Hint(StrEnum):
    """What a selector asks of the proposers for a group, after CLPO's two kinds of rewriting."""

    SIMPLIFY = "simplify"
    """Its tasks are too hard: make easier ones."""

    DIVERSIFY = "diversify"
    """They are too easy: make other and harder ones."""


@runtime_checkable
class Hinting(Protocol):
    """A selector that tells proposers which groups are off the mark."""

    def hints(self) -> dict[str, Hint]:
        """What is asked for, by group; groups of which too little is known are left out."""
        ...


def check_attempts(attempts: Mapping[str, Sequence[Score]]) -> None:
    """Refuse tasks that were attempted once: every signal made of their solve rate is zero.

    Raises:
        ConfigError: A task has fewer than two attempts.
    """
    for task, scores in attempts.items():
        if len(scores) < ATTEMPTS:
            raise ConfigError(
                f"Task {task} has {len(scores)} attempts, a curriculum needs {ATTEMPTS} or more: "
                "type -o practise.attempts=2"
            )


def solve_rate(scores: Sequence[Score]) -> float | None:
    """Share of passes among known scores; None where fewer than two are known."""
    known = [s for s in scores if s.status is not Status.UNKNOWN]
    if len(known) < ATTEMPTS:
        return None
    return sum(s.status is Status.PASS for s in known) / len(known)


def learnability(rate: float) -> float:
    """Mean absolute standardised advantage of a binary reward: 1 at one half, 0 at the ends."""
    return 2.0 * math.sqrt(rate * (1.0 - rate))


def by_group(pool: Sequence[Task]) -> dict[str, list[Task]]:
    """Tasks by group, groups in the order of their names."""
    groups: dict[str, list[Task]] = {}
    for task in pool:
        groups.setdefault(task.group, []).append(task)
    return dict(sorted(groups.items()))
