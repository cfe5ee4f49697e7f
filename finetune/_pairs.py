"""Episodes of two generations as pairs, and how a pair counts where a half could not be measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from instar.types import Status, Trajectory

__all__ = ["Pair", "pairs_of"]


class Pair(NamedTuple):
    """One task and seed, done by the active generation and by the candidate.

    Attributes:
        task: Id; seeds of one task are one cluster.
        group: Group of the task.
        active: 1 for clean success, 0 for none, None where it could not be measured.
        candidate: The same; None also where it is missing.
        tokens: Of both sides; None where one is missing.
        steps: Of both sides; None where one is missing.
        missing: Whether the candidate has no such episode.
    """

    task: str
    group: str
    active: float | None
    candidate: float | None
    tokens: tuple[float, float] | None = None
    steps: tuple[float, float] | None = None
    missing: bool = False

    @property
    def unknown(self) -> bool:
        """Whether a half of it could not be measured."""
        return self.active is None or self.candidate is None

    @property
    def counts(self) -> bool:
        """Whether anything of it was measured."""
        return self.active is not None or self.candidate is not None

    @property
    def both(self) -> bool:
        """Whether both succeeded."""
        return self.active == 1.0 and self.candidate == 1.0

    def against(self) -> tuple[float, float]:
        """Both successes, with what is unknown counted against the candidate."""
        return (
            1.0 if self.active is None else self.active,
            0.0 if self.candidate is None else self.candidate,
        )

    def favouring(self) -> tuple[float, float]:
        """Both successes, with what is unknown counted for the candidate."""
        return (
            0.0 if self.active is None else self.active,
            1.0 if self.candidate is None else self.candidate,
        )


def pairs_of(candidate: Sequence[Trajectory], active: Sequence[Trajectory]) -> list[Pair]:
    """Pairs by task and seed, in the order of the active side.

    Raises:
        ValueError: A side has two episodes of one task and seed.
    """
    ours, theirs = _by_key(candidate), _by_key(active)
    return [_pair(one, ours.get(key)) for key, one in theirs.items()]


def _by_key(trajectories: Sequence[Trajectory]) -> dict[tuple[str, int], Trajectory]:
    found = {(t.task.id, t.seed): t for t in trajectories}
    if len(found) < len(trajectories):
        raise ValueError("one side of the gate has two episodes of one task and seed")
    return found


def _pair(active: Trajectory, candidate: Trajectory | None) -> Pair:
    names = (active.task.id, active.task.group)
    if candidate is None:
        return Pair(*names, _passed(active), None, missing=True)
    return Pair(
        *names,
        _passed(active),
        _passed(candidate),
        tokens=(active.usage.tokens, candidate.usage.tokens),
        steps=(len(active.steps), len(candidate.steps)),
    )


def _passed(trajectory: Trajectory) -> float | None:
    if trajectory.score.status is Status.UNKNOWN:
        return None
    return float(trajectory.score.status is Status.PASS)
