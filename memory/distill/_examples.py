"""Successes that a distiller shows again later: of each kind of task the newest one.

They are kept as text in the distiller's state, for a stream hands over one episode at a time, and
what tasks have in common is not seen in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instar.types import Origin, Record, Trajectory
from memory.distill._drafts import origin
from memory.distill._records import way
from memory.distill.base import calls, verified

__all__ = ["Example", "Shelf"]


class Example(Record):
    """A success as it is shown, and what a memory made of it has to know.

    Attributes:
        id: Of the trajectory.
        group: The kind of its task.
        task: Its instruction.
        way: Task, thoughts and calls.
        made: Names of the tools that it called, in order; refused calls are left out.
        tools: Names of those at hand.
    """

    id: str
    group: str
    task: str
    way: str
    made: tuple[str, ...]
    tools: tuple[str, ...]
    origin: Origin
    verified: bool

    @classmethod
    def of(cls, trajectory: Trajectory, characters: int) -> Example:
        """A trajectory as an example, shown within so many characters."""
        return cls(
            id=trajectory.id,
            group=trajectory.task.group,
            task=trajectory.task.instruction,
            way=way(trajectory, characters),
            made=tuple(c.name for c, result in calls(trajectory) if not result.error),
            tools=tuple(t.name for t in trajectory.tools),
            origin=origin([trajectory]),
            verified=verified(trajectory),
        )

    def has(self, names: Sequence[str]) -> bool:
        """Whether it called these tools in this order, others between them or not."""
        made = iter(self.made)
        return all(name in made for name in names)


class Shelf:
    """The examples of each namespace, those renewed last at the end.

    Args:
        size: Kinds of tasks of a namespace at most; the one longest without a success goes first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[str, dict[str, Example]] = {}

    def put(self, namespace: str, example: Example) -> None:
        """Take in a success, in place of the one of its kind."""
        kept = self._kept.setdefault(namespace, {})
        kept.pop(example.group, None)
        kept[example.group] = example
        while len(kept) > self._size:
            del kept[next(iter(kept))]

    def of(self, namespace: str) -> list[Example]:
        """What is shown of a namespace."""
        return list(self._kept.get(namespace, {}).values())

    def state_dict(self) -> dict[str, Any]:
        """The examples by namespace, in order."""
        return {n: [e.model_dump(mode="json") for e in self.of(n)] for n in self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with them."""
        self._kept = {}
        for namespace, found in state.items():
            for example in map(Example.model_validate, found):
                self.put(namespace, example)
