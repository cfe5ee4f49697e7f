"""Tasks drawn evenly: what is used until another selector is shown to beat it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from curriculum.select.base import check_attempts
from instar.types import Record, Score, Task

__all__ = ["Uniform"]


class Uniform:
    """Draws without repetition and learns nothing."""

    class Config(Record):
        """Settings.

        Attributes:
            anchors: Share of the world's own tasks in each batch, so that practice cannot drift
                into proposals altogether.
        """

        anchors: float = Field(default=0.5, ge=0, le=1)

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def select(self, pool: Sequence[Task], k: int, rng: random.Random) -> list[Task]:
        """``k`` tasks of the pool without repetition; beyond the anchors each is as likely as another."""
        own = [t for t in pool if t.origin == "world"]
        chosen = rng.sample(own, min(math.ceil(self.config.anchors * k), len(own)))
        taken = {t.id for t in chosen}
        others = [t for t in pool if t.id not in taken]
        chosen += rng.sample(others, min(k - len(chosen), len(others)))
        rng.shuffle(chosen)
        return chosen

    def update(self, attempts: Mapping[str, Sequence[Score]], groups: Mapping[str, str]) -> None:
        """Check the attempts as every selector does; nothing follows from them."""
        check_attempts(attempts)

    def state_dict(self) -> dict[str, Any]:
        """There is no state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """There is no state."""
