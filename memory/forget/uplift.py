"""Retires what is shown to harm, or to make no difference, by the evidence of random withholding.

The rules, and what they promise, are those of `memory._life`; the evidence is what practise episodes
tell of the memories that were withheld in them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from instar.types import MemoryItem, MemoryOp, Trajectory
from memory._life import Rules, first_status, sweep
from memory._observed import Observation, observations

__all__ = ["Uplift"]


class Uplift:
    """Moves units through their life: candidate, active, quarantined, retired."""

    Config = Rules

    def __init__(self, config: Rules | None = None) -> None:
        self.config = config or self.Config()
        self._observed: list[Observation] = []
        self._held: Collection[str] = ()

    def begin(self, item: MemoryItem) -> MemoryItem:
        """A new item in the status in which it begins; what a person pinned is active."""
        if item.pinned:
            return item
        return item.model_copy(update={"status": first_status(item, self.config)})

    def observe(self, practised: Sequence[Trajectory], held: Collection[str] = ()) -> None:
        """Take what practice tells.

        Args:
            practised: Episodes in their order, of the model that is served.
            held: Ids of memories that a person put into quarantine: that they no longer seem to harm
                does not bring them out of it.
        """
        self._observed, self._held = observations(practised), held

    def state_dict(self) -> dict[str, Any]:
        """Nothing: it is told all that was practised each time."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to go on from."""

    def sweep(self, items: Sequence[MemoryItem], clock: float) -> list[MemoryOp]:
        """Changes of status that the evidence asks for."""
        units = {i.id: i.unit for i in items}
        return sweep(items, self._observed, units, self.config, self._held)
