"""What an episode does not see of what recall chose, drawn at random, so that its worth can be told.

First one draw for the whole bank, then one for each unit; all are fixed by episode, task and unit, so
a second recall in the same episode falls as the first did. Nobody asks whether a draw would suit.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from instar.types import BankDraw, MemoryItem, MemoryStatus, Recalled, Record

__all__ = ["Withholding", "drawn"]

_Share = Annotated[float, Field(ge=0, lt=1)]


class Withholding(Record):
    """Probabilities with which something is chosen but not shown.

    Attributes:
        bank: All that is not pinned.
        candidate: A unit that is on trial, or in quarantine and shown to be tried.
        active: A unit that came through.
        tries: Whether what is in quarantine is shown at all, to find out about it.
    """

    bank: _Share = 0.15
    candidate: _Share = 0.5
    active: _Share = 0.1
    tries: bool = True

    def of(self, status: MemoryStatus) -> float:
        """With which probability a unit is withheld that may be shown, given that the bank is not."""
        return self.active if status is MemoryStatus.ACTIVE else self.candidate


def drawn(
    found: Sequence[Recalled],
    items: Mapping[str, MemoryItem],
    shares: Withholding,
    seed: int,
    task: str,
) -> tuple[tuple[Recalled, ...], BankDraw | None]:
    """What recall chose with its draws, and that of the bank; none where all of it is pinned.

    Args:
        found: At most one item of each unit.
        items: By id.
        seed: Of the episode.
        task: Its id.
    """
    if all(items[m.item].pinned for m in found):
        return tuple(found), None
    bank = BankDraw(
        shown=_draw(seed, task, "") >= shares.bank,
        propensity=1.0 - shares.bank,
    )
    return tuple(_one(m, items[m.item], bank, shares, seed, task) for m in found), bank


def _one(
    memory: Recalled, item: MemoryItem, bank: BankDraw, shares: Withholding, seed: int, task: str
) -> Recalled:
    if item.pinned:
        return memory
    share = shares.of(item.status)
    shown = bank.shown and _draw(seed, task, item.unit) >= share
    return memory.model_copy(update={"shown": shown, "propensity": 1.0 - share})


def _draw(seed: int, task: str, unit: str) -> float:
    return random.Random(f"{seed}/{task}/{unit}").random()
