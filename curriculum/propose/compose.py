"""Two solved tasks in one: longer work of which each part is known to be within reach.

How two tasks become one, and which do not fit together, is for the world to say; this file knows
none. Pairs of different groups come first: a part that is practised twice in a row teaches less than
two that have to be told apart. An unsolved task is no part, for then nobody would know which of the
parts a failure was about.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from pydantic import PositiveInt

from curriculum.propose.base import check_practise
from instar.contracts import ProposalContext
from instar.types import Record, Status, Task, TaskDraft

__all__ = ["Compose"]

_PROPOSER = "compose"


class Compose:
    """Joins tasks that were solved, two at a time."""

    class Config(Record):
        """Settings of the proposer.

        Attributes:
            pairs: Pairs looked at, at most; their number grows with the square of the successes.
        """

        pairs: PositiveInt = 400

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._joined: set[tuple[str, str]] = set()

    def propose(self, context: ProposalContext, n: int, rng: random.Random) -> list[TaskDraft]:
        """At most ``n`` drafts of pairs that were not joined before; none where the world joins nothing.

        Raises:
            ValueError: The context holds a gate or held-out task.
        """
        check_practise([*context.failures, *context.successes])
        drafts: list[TaskDraft] = []
        if context.join is None:
            return drafts
        for first, second in self._pairs(context, rng):
            if len(drafts) == n:
                break
            try:
                draft = context.join(first, second)
            except ValueError:  # these two do not fit together
                continue
            self._joined.add(_key(first, second))
            drafts.append(
                draft.model_copy(
                    update={
                        "parents": (first.id, second.id),
                        "proposer": _PROPOSER,
                        "reason": f"{first.id} and {second.id} were solved, each alone",
                    }
                )
            )
        return drafts

    def _pairs(self, context: ProposalContext, rng: random.Random) -> Iterator[tuple[Task, Task]]:
        passed = [t.task for t in context.successes if t.score.status is Status.PASS]
        solved = sorted({t.id: t for t in passed}.values(), key=lambda t: t.id)
        pairs = [p for p in combinations(solved, 2) if _key(*p) not in self._joined]
        rng.shuffle(pairs)
        yield from sorted(pairs[: self.config.pairs], key=_alike)

    def state_dict(self) -> dict[str, Any]:
        """Which pairs were joined."""
        return {"joined": sorted(list(pair) for pair in self._joined)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._joined = {(str(one), str(other)) for one, other in state["joined"]}


def _key(first: Task, second: Task) -> tuple[str, str]:
    one, other = sorted((first.id, second.id))
    return one, other


def _alike(pair: Sequence[Task]) -> bool:
    return pair[0].group == pair[1].group
