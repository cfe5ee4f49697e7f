"""A cap on the number of items and on their tokens in each namespace.

After the caps that ExpeL (Zhao et al. 2024) puts on its rules and ACE (Zhang et al. 2025) on its
playbook. What is over a cap goes by least value: first what is known to harm, then what nothing is
known of, by least support, among equals the oldest first; the order of the items is that of their
first writing. Pinned items count and stay, also where they alone are over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import PositiveInt

from instar.types import MemoryItem, MemoryOp, Record, Trajectory
from memory.forget.base import forgotten, tokens

__all__ = ["Capacity"]


class Capacity:
    """Lets the least supported items go where a namespace holds too much."""

    class Config(Record):
        """Settings.

        Attributes:
            items: At most so many in a namespace.
            tokens: At most about so many in a namespace.
        """

        items: PositiveInt = 1000
        tokens: PositiveInt = 80_000

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._worth: dict[str, float] = {}

    def observe(self, practised: Sequence[Trajectory], held: Collection[str] = ()) -> None:
        """Take what practice tells of the worth of units."""
        from memory.worth import Level, known, observations, worth

        self._worth = known(worth(observations(practised), Level.CLUSTER))

    def state_dict(self) -> dict[str, Any]:
        """Nothing: it is told all that was practised each time."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to go on from."""

    def sweep(self, items: Sequence[MemoryItem], clock: float) -> list[MemoryOp]:
        """Ends of what is over the caps."""
        spaces: dict[str, list[MemoryItem]] = defaultdict(list)
        for item in items:
            spaces[item.namespace].append(item)
        return [op for name in sorted(spaces) for op in self._over(spaces[name])]

    def _over(self, items: Sequence[MemoryItem]) -> list[MemoryOp]:
        count, weight = len(items), sum(tokens(i) for i in items)
        ops = []
        for item in sorted((i for i in items if not i.pinned), key=self._value):
            if count <= self.config.items and weight <= self.config.tokens:
                break
            ops.append(forgotten(item, f"no room: {count} items of about {weight} tokens"))
            count, weight = count - 1, weight - tokens(item)
        return ops

    def _value(self, item: MemoryItem) -> tuple[float, int]:
        return self._worth.get(item.unit, 0.0), item.support
