"""What a purge takes out, and how a record or a JSON value looks without it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from instar.purging._words import FIELDS, MARK, Words
from instar.types import Trajectory

__all__ = ["MARK", "Target", "Words"]

_NAMING = ("id", "task", "trajectory", "item", "target", "via", "unit")
"""Keys under which a JSON object says which task, episode or memory it is about."""
_STRUCTURE = 2
"""So many levels of a stage's JSON have keys that are ours, not data."""


@dataclass(frozen=True)
class Target:
    """What goes.

    Attributes:
        tasks: Ids.
        episodes: Ids of trajectories.
        items: Ids of memories of which nothing stays.
        versions: Those that go of memories of which others stay, by id and number.
        instructions: Those of the tasks that go.
        words: The text that goes besides; None where records are named.
    """

    tasks: frozenset[str] = frozenset()
    episodes: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()
    versions: frozenset[tuple[str, int]] = frozenset()
    instructions: frozenset[str] = frozenset()
    words: Words | None = None

    @property
    def ids(self) -> frozenset[str]:
        """Of all that goes."""
        return self.tasks | self.episodes | self.items

    def takes(self, trajectory: Trajectory) -> bool:
        """Whether an episode goes."""
        return trajectory.id in self.episodes or trajectory.task.id in self.tasks

    def shows(self, recalled: Iterable[tuple[str, int]]) -> bool:
        """Whether one of these versions of memories goes."""
        return any(id in self.items or (id, n) in self.versions for id, n in recalled)

    def rest_of(self, trajectory: Trajectory) -> Trajectory:
        """An episode that stays, without the texts of memories that go and that it was shown."""
        memories = tuple(
            m.model_copy(update=dict.fromkeys(("title", "when", "content"), MARK))
            if self.shows([(m.item, m.version)]) or (self.words and self.words.held(m))
            else m
            for m in trajectory.memories
        )
        task, parents = trajectory.task, self.others(trajectory.task.parents)
        if memories == trajectory.memories and parents == task.parents:
            return trajectory
        changes = {"memories": memories, "task": task.model_copy(update={"parents": parents})}
        return trajectory.model_copy(update=changes)

    def others(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """The ids of what stays."""
        return tuple(id for id in ids if id not in self.ids)

    def concerns(self, path: str) -> bool:
        """Whether a part of a key or author, such as ``bench1/memory/TASK/0``, is a task that goes."""
        return not self.tasks.isdisjoint(path.split("/"))

    def rest(self, value: Any, depth: int = 0) -> Any:
        """A JSON value without what goes: ids, objects that are about them, and the words."""
        if isinstance(value, str):
            return self.words.without(value) if self.words else value
        if isinstance(value, list):
            return [self.rest(one, depth + 1) for one in value if not self._about(one)]
        if isinstance(value, dict):
            return self._rest_of_object(value, depth)
        return value

    def _rest_of_object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, one in value.items():
            # The lineage of a dataset stays, so that nobody takes an adapter made of it for clean.
            if key == "trajectories" and "dataset" in value:
                found[key] = one
            elif key not in self.ids and not (isinstance(one, dict) and self._about(one)):
                found.setdefault(self._key(key, depth), self.rest(one, depth + 1))
        return found

    def _key(self, key: str, depth: int) -> str:
        ours = depth < _STRUCTURE or key in FIELDS
        return key if ours or self.words is None else self.words.without(key)

    def _about(self, value: Any) -> bool:
        """Whether a value is nothing but something that goes, or about it."""
        if isinstance(value, str):
            return value in self.ids or value in self.instructions
        if not isinstance(value, dict):
            return False
        named = [value.get(key) for key in _NAMING]
        inner = value.get("item")
        if isinstance(inner, dict):
            named.append(inner.get("id"))
            if self._learnt_there(inner):
                return True
        elif self.versions and (inner, value.get("version")) in self.versions:
            return True
        return self._learnt_there(value) or any(
            isinstance(n, str) and self._about(n) for n in named
        )

    def _learnt_there(self, value: dict[str, Any]) -> bool:
        """Whether a memory in JSON was learnt from episodes that go and from nothing else."""
        sources = value.get("sources")
        return (
            isinstance(sources, list)
            and bool(sources)
            and all(isinstance(s, str) and s in self.episodes for s in sources)
        )
