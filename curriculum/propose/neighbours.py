"""Neighbours of failed tasks: one dial of difficulty turned by one notch, towards easy first.

Which parameters are dials, and in which order their values are hard, is given from outside; this
file knows no world. Parameters that hold content are left out of the draft, so that the world draws
them anew: what is practised is the kind of task, not the one that failed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, JsonValue

from curriculum.propose.base import check_practise
from instar.contracts import ProposalContext
from instar.types import Record, Status, Task, TaskDraft, content_hash

__all__ = ["Neighbours"]

_PROPOSER = "neighbours"


class Neighbours:
    """Turns each dial of a failed task to the next easier value, then to the next harder one."""

    class Config(Record):
        """Settings of the proposer.

        Attributes:
            dials: Values of each dial, easiest first; empty takes the world's hint.
            content: Parameters to leave to the world; empty takes the world's hint.
            harder: Whether harder neighbours may follow when the easier ones are used up.
        """

        dials: dict[str, tuple[JsonValue, ...]] = Field(default_factory=dict)
        content: tuple[str, ...] = ()
        harder: bool = True

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._drafted: set[str] = set()

    def propose(self, context: ProposalContext, n: int, rng: random.Random) -> list[TaskDraft]:
        """At most ``n`` drafts that were never proposed before.

        Raises:
            ValueError: The context holds a gate or held-out task.
        """
        check_practise([*context.failures, *context.successes])
        failed = {t.task.id: t.task for t in context.failures if t.score.status is Status.FAIL}
        tasks = list(failed.values())
        rng.shuffle(tasks)
        known = {_key(t.world, t.family, t.params) for t in context.recent}
        drafts: list[TaskDraft] = []
        for draft in self._candidates(tasks, context):
            key = _key(draft.world, draft.family, draft.params)
            if len(drafts) < n and key not in known | self._drafted:
                self._drafted.add(key)
                drafts.append(draft)
        return drafts

    def _candidates(self, tasks: Sequence[Task], context: ProposalContext) -> Iterator[TaskDraft]:
        dials = self.config.dials or context.dials
        content = frozenset(self.config.content or context.content)
        for turn in (-1, +1) if self.config.harder else (-1,):
            for task in tasks:
                for dial, values in dials.items():
                    value = _turned(values, task.params.get(dial), turn)
                    if value is not None:
                        yield _draft(task, dial, value, content, "easier" if turn < 0 else "harder")

    def state_dict(self) -> dict[str, Any]:
        """What was drafted already."""
        return {"drafted": sorted(self._drafted)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._drafted = set(state["drafted"])


def _turned(values: Sequence[JsonValue], now: JsonValue, turn: int) -> JsonValue:
    """The next value in a direction; None at the end, or where the task does not have the dial."""
    # JSON's true is not its 1, though Python's is.
    at = [
        i for i, v in enumerate(values) if v == now and isinstance(v, bool) == isinstance(now, bool)
    ]
    to = at[0] + turn if at else -1
    return values[to] if 0 <= to < len(values) else None


def _draft(
    task: Task, dial: str, value: JsonValue, content: frozenset[str], word: str
) -> TaskDraft:
    params = {k: v for k, v in task.params.items() if k not in content}
    return TaskDraft(
        world=task.world,
        family=task.family,
        params={**params, dial: value},
        parents=(task.id,),
        proposer=_PROPOSER,
        reason=f"{dial} {task.params[dial]} -> {value}, {word} than the failed {task.id}",
    )


def _key(world: str, family: str, params: Mapping[str, JsonValue]) -> str:
    return content_hash([world, family, params])
