"""Neighbours of failed tasks: one dial of difficulty turned by one notch, towards easy first.

Where the selector asks to simplify a group, its easier neighbours come first and it gets no others;
where it asks to diversify one, its solved tasks are made harder instead, notch by notch.

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
from curriculum.select.base import Hint
from instar.contracts import ProposalContext
from instar.types import Record, Status, Task, TaskDraft, Trajectory, content_hash

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
        known = {_key(t.world, t.family, t.params) for t in context.recent}
        drafts: list[TaskDraft] = []
        for draft in self._candidates(context, rng):
            key = _key(draft.world, draft.family, draft.params)
            if len(drafts) == n:
                break
            if key not in known and key not in self._drafted:
                self._drafted.add(key)
                drafts.append(draft)
        return drafts

    def _candidates(self, context: ProposalContext, rng: random.Random) -> Iterator[TaskDraft]:
        failed = _tasks(context.failures, Status.FAIL)
        rng.shuffle(failed)
        easy = _hinted(_tasks(context.successes, Status.PASS), context, Hint.DIVERSIFY)
        rng.shuffle(easy)
        hard, rest = _hinted(failed, context, Hint.SIMPLIFY), _hinted(failed, context, None)
        yield from self._turned(hard, -1, context)
        most = max((len(values) for values in self._dials(context).values()), default=0)
        for notches in range(1, most):
            yield from self._turned(easy, notches, context)
        yield from self._turned(rest, -1, context)
        if self.config.harder:
            yield from self._turned(rest, +1, context)

    def _dials(self, context: ProposalContext) -> Mapping[str, Sequence[JsonValue]]:
        return self.config.dials or context.dials

    def _turned(
        self, tasks: Sequence[Task], notches: int, context: ProposalContext
    ) -> Iterator[TaskDraft]:
        """Drafts with one dial turned so far; below zero is easier."""
        content = frozenset(self.config.content or context.content)
        for task in tasks:
            for dial, values in self._dials(context).items():
                value = _turned(values, task.params.get(dial), notches)
                if value is not None:
                    yield _draft(task, dial, value, content, "easier" if notches < 0 else "harder")

    def state_dict(self) -> dict[str, Any]:
        """What was drafted already."""
        return {"drafted": sorted(self._drafted)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._drafted = set(state["drafted"])


def _tasks(trajectories: Sequence[Trajectory], status: Status) -> list[Task]:
    """Tasks of the attempts that ended so, each once."""
    return list({t.task.id: t.task for t in trajectories if t.score.status is status}.values())


def _hinted(tasks: Sequence[Task], context: ProposalContext, hint: Hint | None) -> list[Task]:
    """Those of groups for which this is asked; with None those for which nothing is."""
    return [t for t in tasks if context.hints.get(t.group) == hint]


def _turned(values: Sequence[JsonValue], now: JsonValue, notches: int) -> JsonValue:
    """The value so many notches on; None past the end, or where the task does not have the dial."""
    # JSON's true is not its 1, though Python's is.
    at = [
        i for i, v in enumerate(values) if v == now and isinstance(v, bool) == isinstance(now, bool)
    ]
    to = at[0] + notches if at else -1
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
        reason=f"{dial} {task.params[dial]} -> {value}, {word} than {task.id}",
    )


def _key(world: str, family: str, params: Mapping[str, JsonValue]) -> str:
    return content_hash([world, family, params])
