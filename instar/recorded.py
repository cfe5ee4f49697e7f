"""What live sessions recorded: how it is known to have gone, and what was read of it already."""

from __future__ import annotations

from instar.store import Store
from instar.types import Score, ScoreSource, Status, Trajectory

__all__ = ["READ", "judge", "judged", "unread", "unscored"]

READ = "recorded"
"""Key among the facts of a reflection: ids of the recorded trajectories that it read."""


def unread(store: Store) -> list[Trajectory]:
    """Scored live trajectories that no reflection has read."""
    read = {id for facts in store.stages("g").values() for id in facts.get(READ, ())}
    return [t for t in judged(store) if t.id not in read]


def judged(store: Store) -> list[Trajectory]:
    """Live trajectories of which it is known how they went."""
    return [t for t in store.trajectories(purpose="live") if t.score.status is not Status.UNKNOWN]


def unscored(store: Store) -> list[Trajectory]:
    """Live trajectories of which nobody said how they went."""
    return [t for t in store.trajectories(purpose="live") if t.score.status is Status.UNKNOWN]


def judge(store: Store, trajectory: Trajectory, passed: bool, reason: str) -> None:
    """Let a person say how a session went."""
    status = Status.PASS if passed else Status.FAIL
    store.score_trajectory(
        trajectory.id, Score(status=status, source=ScoreSource.USER, evidence=reason)
    )
