"""Tasks found by walking about: what a walk happens to do is a task that can be done.

After AgentEvolver (Zhai et al. 2025), whose explorer wanders through an environment for up to 30 steps
and sums up what it did as a task with its actions as reference. Here no model is needed. Calls are
drawn: tools that were used least come first, arguments are what was seen on the way, a call that was
made is not made again. The world, not the walker, says which of its tasks a walk did, and the calls
are the witness of the draft, so nobody has to judge whether it can be done.

What the walker hears when a tool refuses it keeps: on later walks it goes first to what the refusal named.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import PositiveInt

from curriculum.propose._walker import Walker
from curriculum.propose.base import check_practise
from instar.contracts import ProposalContext, Walk
from instar.types import Record, Split, Step, Task, TaskDraft, content_hash

__all__ = ["Explore"]

_PROPOSER = "explore"
_HEARD = 8


class Explore:
    """Walks through episodes of recent practise tasks."""

    class Config(Record):
        """Settings.

        Attributes:
            steps: Calls in a walk, at most; never more than 30.
            walks: Walks in a round, at most; it ends earlier with enough drafts.
        """

        steps: PositiveInt = 30
        walks: PositiveInt = 40

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._tried: Counter[str] = Counter()
        self._walked: Counter[str] = Counter()
        self._heard: dict[str, list[str]] = {}
        self._drafted: set[str] = set()

    async def explore(
        self, walk: Walk, context: ProposalContext, n: int, rng: random.Random
    ) -> list[TaskDraft]:
        """At most ``n`` drafts that were never proposed before.

        Raises:
            ValueError: The context holds a gate or held-out task.
        """
        check_practise([*context.failures, *context.successes])
        tasks = {t.id: t for t in context.recent if t.split is Split.PRACTISE}
        drafts: list[TaskDraft] = []
        for _ in range(self.config.walks if tasks else 0):
            if len(drafts) >= n:
                break
            task = self._next(list(tasks.values()), rng)
            self._walked[task.id] += 1
            walker = Walker(task.instruction, self._tried, self._heard, rng)
            walked = await walk(task, rng.randrange(2**31), walker.choose, self.config.steps)
            self._listen(walked.steps)
            for draft in walked.drafts:
                key = content_hash([draft.world, draft.family, draft.params])
                if key not in self._drafted and len(drafts) < n:
                    self._drafted.add(key)
                    drafts.append(draft.model_copy(update={"proposer": _PROPOSER}))
        return drafts

    def _next(self, tasks: Sequence[Task], rng: random.Random) -> Task:
        """One of those that were walked through least."""
        least = min(self._walked[t.id] for t in tasks)
        return rng.choice([t for t in sorted(tasks, key=_id) if self._walked[t.id] == least])

    def _listen(self, steps: Sequence[Step]) -> None:
        """Keep how often each tool was called, and what was said when it was not."""
        for step in steps:
            for call, result in zip(step.calls, step.results, strict=False):
                self._tried[call.name] += 1
                if result.error and not result.misuse:
                    heard = self._heard.setdefault(call.name, [])
                    heard[:] = [*(h for h in heard if h != result.text), result.text][-_HEARD:]

    def state_dict(self) -> dict[str, Any]:
        """Where it walked, what it tried and heard, and what was drafted."""
        return {
            "tried": dict(sorted(self._tried.items())),
            "walked": dict(sorted(self._walked.items())),
            "heard": {k: list(v) for k, v in sorted(self._heard.items())},
            "drafted": sorted(self._drafted),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._tried, self._walked = Counter(state["tried"]), Counter(state["walked"])
        self._heard = {k: list(v) for k, v in state["heard"].items()}
        self._drafted = set(state["drafted"])


def _id(task: Task) -> str:
    return task.id
