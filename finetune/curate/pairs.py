"""Preference pairs: at one prompt, what led to success before what led to failure or took longer.

The attempts at a task are laid over one another: a turn of one and a turn of another belong together
where their prompts, without memories, are the same. Where answers then part, each is worth the
fewest calls of a success that came after it, and one that no success came after is worth nothing.
The best answer is preferred to each that is worse: a success to a failure (SPHERE, UPO), and, of two
successes, the one with fewer calls (Tool-Light). Two things are not taken for worse: an answer that
a success gave at the same prompt too, and a call that the preferred way makes later with the same
result, which is only another order. Prompts are rendered without memories, so that the preference
is learnt and not the need to be told; a share comes from other namespaces, where the preferred
answer followed a memory that its prompt shows, so that this skill is kept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from finetune.curate._share import GROUP_CAP, drawn, evenly, quota
from finetune.curate._trust import Shares, Stateless, fit, foreign
from finetune.curate._turns import Rows, followed, fresh, good, length, row_of
from finetune.curate.base import Form, RowSet, behind
from instar.types import Status, Step, Trajectory, content_hash

__all__ = ["PreferencePairs"]

_WANTED = (Status.PASS, Status.FAIL)
_ALONE = "the only attempt at its task that can be used"
_NO_SUCCESS = "no success at its task to prefer"
_NO_PARTING = "no turn at which it and another attempt parted for better or worse"
_TASK_CAP = "other pairs of the task fill its cap"


class PreferencePairs(Stateless):
    """Two answers to one prompt: of a success and a failure, or of a shorter and a longer success."""

    form: ClassVar[Form] = "pairs"
    method: ClassVar[str] = "pairs"

    class Config(Shares):
        """What may be paired, and how much of it.

        Attributes:
            fewer: By how many calls a success must be shorter for its answer to be preferred to
                that of another; 0 pairs successes with failures only.
            per_task: Pairs kept of one task, those against failures first.
        """

        fewer: int = Field(default=1, ge=0)
        per_task: int = Field(default=4, ge=1)

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def curate(self, trajectories: Sequence[Trajectory]) -> RowSet:
        """Pairs from the trajectories, and the reason for each that is in none."""
        dropped: dict[str, str] = {}
        config, seen = self.config, set[str]()
        able = fit(trajectories, config, self.method, dropped, _WANTED)
        away = [t for t in able if foreign(t, config)]
        why: dict[str, str] = {}
        plain = self._plain([t for t in able if not foreign(t, config)], seen, why)
        pool = [row for task in _by_task(away, why) for row in self._parted(task, memories=True)]
        told = drawn(pool, quota(len(plain), config.memory_share), config.seed, seen, why)
        rows = plain + told
        used = set(behind(rows))
        dropped.update((t.id, why.get(t.id, _NO_PARTING)) for t in able if t.id not in used)
        failed = {t.id for t in able if t.score.status is Status.FAIL}
        counts = {
            "without memory": len(plain),
            "with memory": len(told),
            "against failures": sum(row["against"] in failed for row in rows),
            "against longer successes": sum(row["against"] not in failed for row in rows),
            "episodes": len(used),
            "tasks": len({row["task"] for row in rows}),
            "groups": len({row["group"] for row in rows}),
        }
        return RowSet.of(rows, dropped, counts)

    def _plain(self, home: Sequence[Trajectory], seen: set[str], why: dict[str, str]) -> Rows:
        """Pairs without memory, capped by task and by group; ``why`` takes the reasons."""
        rows: Rows = []
        for task in _by_task(home, why):
            found = list(self._parted(task, memories=False))
            new = fresh(found, seen)
            why |= dict.fromkeys(behind(found), "only duplicate pairs")
            why |= dict.fromkeys(behind(new), _TASK_CAP)
            rows += new[: self.config.per_task]
        kept, cut = evenly(
            rows, self.config.balance, lambda row: row["group"], lambda row: row["task"]
        )
        why |= dict.fromkeys(behind(cut), GROUP_CAP)
        return kept

    def _parted(self, attempts: Sequence[Trajectory], memories: bool) -> Iterator[dict[str, Any]]:
        """Pairs of one task, those against failures first."""
        found = []
        for answers in _answers(attempts):
            for rank, better, worse in self._ranked(answers):
                if not memories or followed(better.trajectory, better.step):
                    found.append((rank, _pair(better, worse, memories)))
        return (row for _, row in sorted(found, key=lambda pair: pair[0]))

    def _ranked(self, answers: Sequence[_Answer]) -> Iterator[tuple[bool, _Answer, _Answer]]:
        """The best answer at a prompt with each that is worse by enough."""
        best = min(answers, key=lambda a: a.order)
        if math.isinf(best.worth) or not good(best.step):
            return
        for other in answers:
            lost = other.worth - best.worth
            against_success = not math.isinf(other.worth)
            worse = not against_success or 0 < self.config.fewer <= lost
            if worse and _says(other.step) and not _made_later(best, other):
                yield against_success, best, other


class _Answer(NamedTuple):
    """What was answered at a prompt, by the best attempt that answered so.

    Attributes:
        turn: Its number, from 0.
        worth: Calls of the attempt, infinite for a failure.
    """

    trajectory: Trajectory
    turn: int
    worth: float

    @property
    def step(self) -> Step:
        """What was said and done."""
        return self.trajectory.steps[self.turn]

    @property
    def order(self) -> tuple[Any, ...]:
        """The best first."""
        return self.worth, *length(self.trajectory)


def _by_task(trajectories: Sequence[Trajectory], why: dict[str, str]) -> Iterator[list[Trajectory]]:
    """Attempts that can be compared, task by task; ``why`` takes the reason of the others."""
    tasks: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in sorted(trajectories, key=lambda t: t.id):
        tasks[trajectory.task.id].append(trajectory)
    for _, attempts in sorted(tasks.items()):
        if len(attempts) == 1:
            why[attempts[0].id] = _ALONE
        elif not any(t.score.status is Status.PASS for t in attempts):
            why.update((t.id, _NO_SUCCESS) for t in attempts)
        else:
            yield attempts


def _answers(attempts: Sequence[Trajectory]) -> Iterator[list[_Answer]]:
    """For each prompt that was answered in several ways, the ways."""
    prompts: dict[str, dict[str, _Answer]] = defaultdict(dict)
    for trajectory in attempts:
        passed = trajectory.score.status is Status.PASS
        worth = sum(len(s.calls) for s in trajectory.steps) if passed else math.inf
        for index, step in enumerate(trajectory.steps):
            asked = row_of(trajectory, index, memories=False)
            ways = prompts[content_hash([asked["prompt"], asked["tools"]])]
            given = _Answer(trajectory, index, worth)
            known = ways.get(_way(step))
            if known is None or given.order < known.order:
                ways[_way(step)] = given
    return (list(ways.values()) for ways in prompts.values() if len(ways) > 1)


def _way(step: Step) -> str:
    """What tells answers apart: the calls, whatever is said beside them; else the words."""
    calls = [[call.name, call.arguments] for call in step.calls]
    return content_hash(calls or step.content.split())


def _says(step: Step) -> bool:
    return bool(step.calls or step.content.strip())


def _made_later(best: _Answer, other: _Answer) -> bool:
    """Whether the better way makes the calls of the other later, and they come to the same."""
    later = [made for step in best.trajectory.steps[best.turn + 1 :] for made in _made(step)]
    made = _made(other.step)
    return bool(made) and all(one in later for one in made)


def _made(step: Step) -> list[tuple[str, dict[str, Any], str]]:
    return [
        (call.name, call.arguments, result.text)
        for call, result in zip(step.calls, step.results, strict=False)
    ]


def _pair(better: _Answer, worse: _Answer, memories: bool) -> dict[str, Any]:
    row = row_of(better.trajectory, better.turn, memories=memories)
    rejected = row_of(worse.trajectory, worse.turn, memories=False)["completion"]
    chosen = row.pop("completion")
    return row | {"chosen": chosen, "rejected": rejected, "against": worse.trajectory.id}
