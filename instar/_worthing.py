"""What a workspace knows of the worth of its memories: what was withheld by chance, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from instar._tables import trajectories
from instar.store import Store
from instar.types import MemoryItem, Recalled, ScoreSource, Status, Trajectory

if TYPE_CHECKING:
    from memory.worth import Observation, Worth

__all__ = ["Valued", "ids", "told_by", "valued", "withheld_from", "writers"]

_ROUNDS = ("practise_1", "practise_2")


def withheld_from(store: Store, model: str) -> list[Trajectory]:
    """Episodes of a model in which memories may have been withheld."""
    return [t for t in _withheld(store) if t.model == model]


def _withheld(store: Store) -> list[Trajectory]:
    """Episodes in which memories may have been withheld: rounds of practice, and sessions.

    A round comes as a whole and in its own order, whenever its episodes came to an end; rounds and
    sessions by when they began, so that what was seen before stays before what comes.
    """
    keys = sorted((k for k in store.stages("g") if k.partition("/")[2] in _ROUNDS), key=_turn)
    rounds = [[t for t in store.trajectories(stage=k) if t.purpose == "practise"] for k in keys]
    sessions = [[t] for t in store.trajectories(purpose="live") if t.bank is not None]
    blocks = sorted((b for b in (*rounds, *sessions) if b), key=lambda b: min(t.started for t in b))
    return [t for block in blocks for t in block]


def _turn(key: str) -> tuple[int, str]:
    turn, _, stage = key.partition("/")
    return int(turn.removeprefix("g")), stage


class Valued(NamedTuple):
    """What is known.

    Attributes:
        line: Whether experience helps here, by how much, what it needs to tell.
        episodes: Those that it rests on, practised or lived.
        bank: Worth of the bank; None where it was never withheld.
        units: Each unit in use with its items and its worth, the best first; those of which nothing
            is known last.
        members: Worth of each memory by its id, in the episodes where it was the one that stood for its
            unit.
        observed: What all of it was told from.
    """

    line: str
    episodes: int
    bank: Worth | None
    units: list[tuple[list[MemoryItem], Worth | None]]
    members: dict[str, Worth]
    observed: list[Observation]


def valued(store: Store, items: Sequence[MemoryItem], model: str) -> Valued:
    """What the items are worth to a model, by the word of programs and people."""
    from memory.worth import Level, summary, worth

    lived = _withheld(store)
    observed = _counted(t for t in lived if t.model == model)
    bank = next(iter(worth(observed, Level.BANK)), None)
    units: dict[str, list[MemoryItem]] = {}
    for item in items:
        units.setdefault(item.unit, []).append(item)
    found = {w.name: w for w in worth(observed, Level.CLUSTER)}
    ranked = sorted(units.items(), key=lambda u: _place(found.get(u[0]), u[0]))
    return Valued(
        line=f"{summary(bank)}{'' if observed else _elsewhere(lived, model)}",
        episodes=len(observed),
        bank=bank,
        units=[(of, found.get(unit)) for unit, of in ranked],
        members={w.name: w for w in worth(observed, Level.ITEM)},
        observed=observed,
    )


def _counted(lived: Iterable[Trajectory]) -> list[Observation]:
    """What counts of episodes for what is told to people: the word of programs, and theirs."""
    from memory.worth import VERIFIED, observations

    return observations(lived, VERIFIED | {ScoreSource.USER})


def writers(store: Store) -> dict[str, str]:
    """Who wrote each memory first, by item: of what a stage wrote, its method alone."""
    return {item: author.rpartition("/")[2] for item, author in store.memory_authors().items()}


def _elsewhere(lived: Sequence[Trajectory], model: str) -> str:
    """What there is of other models, for somebody who sees nothing of this one."""
    counts = Counter(t.model for t in lived)
    told = ", ".join(f"{n} of {name}" for name, n in counts.most_common(3))
    return f"; no episodes of {model}, but {told}" if told else ""


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
    """What each memory of an episode did in it, what its unit is known to change, and how the task went.

    What a unit changes is its worth to the same model over all episodes; how the same model did the same
    task with and without it is counted as it is, and no comparison: there are few, not all drawn alike.
    """
    from memory.worth import Level, worth

    model = trajectory.model
    observed = _counted(withheld_from(store, model))
    known = {w.name: w for w in worth(observed, Level.CLUSTER)}
    lived = store.trajectories(purpose=trajectory.purpose, ids=ids(store, trajectory.task.id))
    same = [t for t in lived if t.model == model and t.score.status is not Status.UNKNOWN]
    return [_told(trajectory, memory, same, known) for memory in trajectory.memories]


def _told(
    trajectory: Trajectory,
    memory: Recalled,
    same: Sequence[Trajectory],
    known: Mapping[str, Worth],
) -> dict[str, Any]:
    unit = memory.unit or memory.item
    value = known.get(unit)
    shown: dict[bool, list[float]] = {True: [], False: []}
    for other in same:
        for m in other.memories:
            if (m.unit or m.item) == unit:
                shown[m.shown].append(float(other.score.status is Status.PASS))
    return {
        **memory.model_dump(mode="json"),
        "worth": value.model_dump(mode="json") if value else None,
        "cited": [i for i, s in enumerate(trajectory.steps) if memory.item in s.cited],
        "success_shown": fmean(shown[True]) if shown[True] else None,
        "success_withheld": fmean(shown[False]) if shown[False] else None,
        "episodes_shown": len(shown[True]),
        "episodes_withheld": len(shown[False]),
    }
