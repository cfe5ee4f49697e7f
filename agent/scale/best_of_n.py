"""Several attempts, each in a world of its own; the one that most others agree with is taken.

The choice never sees a score: attempts are compared by the calls that they made (self-consistency,
Wang et al. 2023, over actions), an attempt whose calls were refused or that ran out of budget comes
after those that went through. What the chosen one cost is what all of them cost. It can be used
only where attempts do not touch each other, as in evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from instar.contracts import Solve
from instar.render import call_line
from instar.types import Record, Status, StopReason, Task, Trajectory, Usage, content_hash

__all__ = ["BestOfN"]

_ENDED = frozenset((StopReason.FINISHED, StopReason.WORLD_DONE))


class BestOfN:
    """Takes the attempt nearest to all others."""

    class Config(Record):
        """Settings.

        Attributes:
            n: How many attempts.
        """

        n: int = Field(default=4, ge=2)

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    async def solve(self, attempt: Solve, task: Task, seed: int) -> Trajectory:
        """Attempt a task n times and return one attempt with the usage and time of all.

        Attempts that could not be measured are left out of the choice; the score's metric
        ``any_of_n`` says whether any of the others succeeded, which bounds every choice.
        """
        made = [await attempt(task, _seed(seed, i)) for i in range(self.config.n)]
        known = [t for t in made if t.score.status != Status.UNKNOWN]
        chosen = _agreed(known) if known else made[0]
        solved = float(any(t.score.status == Status.PASS for t in known))
        metrics = {**chosen.score.metrics, "any_of_n": solved} if known else chosen.score.metrics
        return chosen.model_copy(
            update={
                "seed": seed,
                "usage": sum((t.usage for t in made), Usage()),
                "seconds": sum(t.seconds for t in made),
                "score": chosen.score.model_copy(update={"metrics": metrics}),
            }
        )


def _seed(seed: int, index: int) -> int:
    """The first attempt has the seed of the arms that make only one."""
    return seed if index == 0 else int(content_hash([seed, "attempt", index], 8), 16) % 2**31


def _agreed(made: Sequence[Trajectory]) -> Trajectory:
    """The attempt with fewest refusals, and of those the one most like all others."""
    calls = [_calls(t) for t in made]

    def rank(index: int) -> tuple[bool, int, float]:
        agreement = sum(_likeness(calls[index], other) for other in calls)
        return made[index].stop not in _ENDED, _refusals(made[index]), -agreement

    return made[min(range(len(made)), key=rank)]


def _calls(trajectory: Trajectory) -> Counter[str]:
    specs = {t.name: t for t in trajectory.tools}
    return Counter(call_line(c, specs.get(c.name)) for s in trajectory.steps for c in s.calls)


def _refusals(trajectory: Trajectory) -> int:
    return sum(result.error for step in trajectory.steps for result in step.results)


def _likeness(a: Counter[str], b: Counter[str]) -> float:
    """Share of calls that both made, repetitions counted (Jaccard)."""
    union = (a | b).total()
    return (a & b).total() / union if union else 1.0
