"""The guard of an evaluation: no task is answered by what was learnt from itself, or from its family."""

from __future__ import annotations

from collections.abc import Iterable

from instar.errors import UnknownName
from instar.store import Store
from instar.types import MemoryItem, Task

__all__ = ["GUARDS", "Guard"]

GUARDS = frozenset({"same_task", "same_family", "same_house"})
"""What was learnt from the same task, from one that it was made of or that was made of it, in its family,
or in its house, which is its namespace."""


class Guard:
    """Knows what each item was learnt from.

    Args:
        store: Holds the trajectories that items name as their sources.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._learnt: dict[str, Task] = {}

    @staticmethod
    def check(options: Iterable[str]) -> None:
        """Raise `UnknownName` where there is no such option."""
        for name in sorted(set(options) - GUARDS):
            raise UnknownName("guard", name, GUARDS)

    def keeps_back(self, item: MemoryItem, task: Task, options: frozenset[str]) -> bool:
        """Whether an item is kept from a task."""
        if not options or not item.sources:
            return False
        unknown = [s for s in item.sources if s not in self._learnt]
        for t in self._store.trajectories(ids=unknown) if unknown else ():
            self._learnt[t.id] = t.task
        learnt = [self._learnt[s] for s in item.sources if s in self._learnt]
        return (
            ("same_task" in options and any(_related(t, task) for t in learnt))
            or ("same_family" in options and any(t.family == task.family for t in learnt))
            or ("same_house" in options and any(t.namespace == task.namespace for t in learnt))
        )


def _related(one: Task, other: Task) -> bool:
    return one.id == other.id or one.id in other.parents or other.id in one.parents
