"""What live sessions recorded: how it is known to have gone, and what was read of it already."""

from __future__ import annotations

from instar.store import Store
from instar.types import Score, ScoreSource, Status, Trajectory

__all__ = [
    "GIVEN_UP",
    "READ",
    "judge",
    "judged",
    "read",
    "said",
    "said_by_a_person",
    "unread",
    "unscored",
]

READ = "recorded"
"""Key among the facts of a reflection: ids of the recorded trajectories that it read."""
GIVEN_UP = "given_up"
"""Key among the facts of a turn's end: why it came to none, so that what it read counts as unread."""


def unread(store: Store, believe: bool = True) -> list[Trajectory]:
    """Scored live trajectories that no reflection has read; see `judged`."""
    known = read(store)
    return [t for t in judged(store, believe) if t.id not in known]


def read(store: Store) -> set[str]:
    """Ids of the recorded trajectories that a reflection has read."""
    stages = store.stages("g")
    vain = {key.partition("/")[0] for key, facts in stages.items() if GIVEN_UP in facts}
    kept = (facts for key, facts in stages.items() if key.partition("/")[0] not in vain)
    return {id for facts in kept for id in facts.get(READ, ())}


def judged(store: Store, believe: bool = True) -> list[Trajectory]:
    """Live trajectories of which it is known how they went.

    Args:
        believe: Whether the word of a judge counts, which depends on its audit.
    """
    return [
        t
        for t in store.trajectories(purpose="live")
        if t.score.status is not Status.UNKNOWN
        and (believe or t.score.source is not ScoreSource.JUDGE)
    ]


def unscored(store: Store) -> list[Trajectory]:
    """Live trajectories of which nobody said how they went."""
    return [t for t in store.trajectories(purpose="live") if t.score.status is Status.UNKNOWN]


def said(store: Store) -> list[Trajectory]:
    """Live trajectories of which a person said how they went, who may have been wrong."""
    return [t for t in judged(store) if t.score.source is ScoreSource.USER]


def judge(store: Store, trajectory: Trajectory, score: Score) -> None:
    """Write down how a session went.

    Raises:
        UnknownName: The store has no such trajectory.
    """
    store.change_trajectory(trajectory.id, lambda _: {"score": score})


def said_by_a_person(passed: bool, reason: str) -> Score:
    """A score on somebody's word."""
    status = Status.PASS if passed else Status.FAIL
    return Score(status=status, value=float(passed), source=ScoreSource.USER, evidence=reason)
