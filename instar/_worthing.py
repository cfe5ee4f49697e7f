"""What a workspace knows of the worth of its memories: practice in its order, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from instar._tables import trajectories
from instar.store import Store
from instar.types import MemoryItem, Recalled, Status, Trajectory

if TYPE_CHECKING:
    from memory.worth import Worth

__all__ = ["Valued", "ids", "practised", "told_by", "valued"]

_ROUNDS = ("practise_1", "practise_2")


def practised(store: Store, model: str) -> list[Trajectory]:
    """The practise episodes of a model, round after round."""
    rounds = sorted((k for k in store.stages("g") if k.partition("/")[2] in _ROUNDS), key=_turn)
    lived = [t for key in rounds for t in store.trajectories(stage=key)]
    return [t for t in lived if t.model == model and t.purpose == "practise"]


def _turn(key: str) -> tuple[int, str]:
    turn, _, stage = key.partition("/")
    return int(turn.removeprefix("g")), stage


class Valued(NamedTuple):
    """What practice says.

    Attributes:
        line: Whether experience helps here, by how much, what it needs to tell.
        episodes: Practise episodes that it rests on.
        bank: Worth of the bank; None where it was never withheld.
        units: Each unit in use with its items and its worth, the best first; those of which nothing
            is known last.
    """

    line: str
    episodes: int
    bank: Worth | None
    units: list[tuple[list[MemoryItem], Worth | None]]


def valued(store: Store, items: Sequence[MemoryItem], model: str) -> Valued:
    """What the items are worth to a model."""
    from memory.worth import Level, observations, summary, worth

    observed = observations(practised(store, model))
    bank = next(iter(worth(observed, Level.BANK)), None)
    units: dict[str, list[MemoryItem]] = {}
    for item in items:
        units.setdefault(item.unit, []).append(item)
    found = {w.name: w for w in worth(observed, Level.CLUSTER)}
    ranked = sorted(units.items(), key=lambda u: _place(found.get(u[0]), u[0]))
    return Valued(
        line=summary(bank),
        episodes=len(observed),
        bank=bank,
        units=[(of, found.get(unit)) for unit, of in ranked],
    )


def _place(worth: Worth | None, unit: str) -> tuple[bool, float, str]:
    return worth is None, 0.0 if worth is None else -worth.shrunk, unit


def ids(store: Store, task: str | None = None) -> list[str]:
    """Ids of all episodes, or of those of one task."""
    query = select(trajectories.c.id)
    if task is not None:
        query = query.where(trajectories.c.task == task)
    with store.database.read() as connection:
        return list(connection.scalars(query))


def told_by(store: Store, trajectory: Trajectory) -> list[dict[str, Any]]:
    """What each memory of an episode did in it, and how the same task went with and without it."""
    lived = store.trajectories(purpose=trajectory.purpose, ids=ids(store, trajectory.task.id))
    same = [t for t in lived if t.score.status is not Status.UNKNOWN]
    return [_told(trajectory, memory, same) for memory in trajectory.memories]


def _told(trajectory: Trajectory, memory: Recalled, same: Sequence[Trajectory]) -> dict[str, Any]:
    unit = memory.unit or memory.item
    shown: dict[bool, list[float]] = {True: [], False: []}
    for other in same:
        for m in other.memories:
            if (m.unit or m.item) == unit:
                shown[m.shown].append(float(other.score.status is Status.PASS))
    return {
        **memory.model_dump(mode="json"),
        "cited": [i for i, s in enumerate(trajectory.steps) if memory.item in s.cited],
        "success_shown": fmean(shown[True]) if shown[True] else None,
        "success_withheld": fmean(shown[False]) if shown[False] else None,
        "episodes_shown": len(shown[True]),
        "episodes_withheld": len(shown[False]),
    }
