"""Tasks drawn evenly from the pool: the control that every other selector has to beat."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from curriculum.select.base import check_attempts
from instar.types import Record, Score, Task

__all__ = ["Uniform"]


class Uniform:
    """Draws without repetition and learns nothing."""

    class Config(Record):
        """There is nothing to set."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def select(self, pool: Sequence[Task], k: int, rng: random.Random) -> list[Task]:
        """``k`` tasks of the pool, each as likely as another."""
        return rng.sample(list(pool), min(k, len(pool)))

    def update(self, attempts: Mapping[str, Sequence[Score]], groups: Mapping[str, str]) -> None:
        """Check the attempts as every selector does; nothing follows from them."""
        check_attempts(attempts)

    def state_dict(self) -> dict[str, Any]:
        """There is no state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """There is no state."""
