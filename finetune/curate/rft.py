"""Rejection sampling: rows from clean verified successes, with memory left out.

Every turn with a call of a clean success at home is one row, rendered without memories and without
citation, so that the adapter learns the deed and not the need to be told. To keep the skill of
following memories alive, a share of the rows comes from *other* namespaces with their memories: only
turns whose reply cited a memory that was shown. And a turn at home that followed a memory is a
second row as it was served, for the adapter will be served on top of that memory: without these rows
it learns that at home one acts without looking, and loses what memory knew. Easy tasks and common groups are capped, because
with right-or-wrong rewards the evolution lies in the choice of data and not in the loss. Of several
successes at a task the shortest are kept: the first ones would favour luck.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from finetune.curate.base import RowSet, content_key
from instar.render import row as render_row
from instar.types import Record, ScoreSource, Split, Status, Step, Trajectory

__all__ = ["RejectionSampling"]

Rows = list[dict[str, Any]]
_GROUP_FLOOR = 4


class RejectionSampling:
    """Clean verified successes without memory, plus a share with memory of other namespaces."""

    class Config(Record):
        """What may be trained on, and how much of it.

        Attributes:
            home: Namespace to learn; empty takes every trajectory as at home.
            providers: Whose output may be trained on.
            sources: Who must have judged the success.
            per_task: Episodes kept of one task.
            balance: Episodes kept of one group, as a multiple of the median group.
            followed: Whether turns at home that followed a memory are also kept as they were served.
            memory_share: Rows with memory of other namespaces, as a share of these and the rows
                without memory.
            seed: Chooses among the rows with memory.
        """

        home: str = ""
        providers: tuple[str, ...] = ("local", "scripted")
        sources: tuple[ScoreSource, ...] = (ScoreSource.ENVIRONMENT, ScoreSource.PROGRAM)
        per_task: int = Field(default=2, ge=1)
        balance: float = Field(default=2.0, gt=0)
        followed: bool = True
        memory_share: float = Field(default=0.35, ge=0, lt=1)
        seed: int = 0

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: each call stands alone."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Accept the empty state."""

    def curate(self, trajectories: Sequence[Trajectory]) -> RowSet:
        """Rows from the trajectories, and the reason for each that gave none."""
        dropped = {t.id: why for t in trajectories if (why := self._unfit(t))}
        fit = [t for t in trajectories if t.id not in dropped]
        seen: set[str] = set()
        plain = self._plain([t for t in fit if not self._foreign(t)], seen, dropped)
        foreign = [t for t in fit if self._foreign(t)]
        recalled = self._recalled(foreign, self._quota(len(plain)), seen, dropped)
        served = self._served(fit, {row["trajectory"] for row in plain}, seen)
        rows = plain + served + recalled
        used = {row["trajectory"] for row in rows}
        counts = {
            "without memory": len(plain),
            "as served": len(served),
            "with memory": len(recalled),
            "episodes": len(used),
            "tasks": len({row["task"] for row in rows}),
            "groups": len({row["group"] for row in rows}),
        }
        return RowSet.of(rows, dropped, counts)

    def _foreign(self, trajectory: Trajectory) -> bool:
        return bool(self.config.home) and trajectory.task.namespace != self.config.home

    def _unfit(self, trajectory: Trajectory) -> str | None:
        score, config = trajectory.score, self.config
        if trajectory.task.split is not Split.PRACTISE:
            return f"a {trajectory.task.split} task, which must not be trained on"
        if trajectory.provider not in config.providers:
            return (
                f"provider {trajectory.provider!r} is not allowed: add it to methods.rft.providers"
            )
        if score.status is not Status.PASS:
            return f"score {score.status}"
        if score.source not in config.sources:
            return f"judged by {score.source} only"
        return None

    def _plain(self, home: Sequence[Trajectory], seen: set[str], dropped: dict[str, str]) -> Rows:
        rows: Rows = []
        for trajectory in self._balanced(self._per_task(home, dropped), dropped):
            own = list(_rows(trajectory, memories=False))
            fresh = _fresh(own, seen)
            if not fresh:
                dropped[trajectory.id] = (
                    "only duplicate rows" if own else "no turn with a good call"
                )
            rows += fresh
        return rows

    def _served(self, fit: Sequence[Trajectory], chosen: set[str], seen: set[str]) -> Rows:
        """The turns of the chosen episodes that followed a memory, with the memories shown."""
        if not self.config.followed:
            return []
        rows = [row for t in fit if t.id in chosen for row in _rows(t, memories=True)]
        return _fresh(rows, seen)

    def _per_task(
        self, trajectories: Sequence[Trajectory], dropped: dict[str, str]
    ) -> list[Trajectory]:
        by_task: dict[str, list[Trajectory]] = defaultdict(list)
        for trajectory in sorted(trajectories, key=_length):
            by_task[trajectory.task.id].append(trajectory)
        kept: list[Trajectory] = []
        for attempts in by_task.values():
            kept += attempts[: self.config.per_task]
            dropped.update(
                (t.id, "shorter successes of the task fill its cap")
                for t in attempts[self.config.per_task :]
            )
        return kept

    def _balanced(
        self, trajectories: Sequence[Trajectory], dropped: dict[str, str]
    ) -> list[Trajectory]:
        groups: dict[str, list[Trajectory]] = defaultdict(list)
        for trajectory in trajectories:
            groups[trajectory.task.group].append(trajectory)
        if not groups:
            return []
        middle = statistics.median(len(g) for g in groups.values())
        cap = max(_GROUP_FLOOR, math.ceil(self.config.balance * middle))
        kept: list[Trajectory] = []
        for _, group in sorted(groups.items()):
            spread = _tasks_in_turn(group)
            kept += spread[:cap]
            dropped.update((t.id, "its group is at its cap") for t in spread[cap:])
        return kept

    def _quota(self, plain: int) -> int:
        share = self.config.memory_share
        return round(plain * share / (1 - share))

    def _recalled(
        self, foreign: Sequence[Trajectory], quota: int, seen: set[str], dropped: dict[str, str]
    ) -> Rows:
        pool: Rows = []
        for trajectory in sorted(foreign, key=lambda t: t.id):
            own = list(_rows(trajectory, memories=True))
            if not own:
                dropped[trajectory.id] = "elsewhere, and no turn cited a memory shown"
            pool += own
        random.Random(self.config.seed).shuffle(pool)
        chosen = _groups_in_turn(_fresh(pool, seen))[:quota]
        used = {row["trajectory"] for row in chosen}
        for row in pool:
            if row["trajectory"] not in used:
                dropped[row["trajectory"]] = "elsewhere, and the share of rows with memory is full"
        return chosen


def _length(trajectory: Trajectory) -> tuple[int, int, str]:
    return len(trajectory.steps), trajectory.usage.tokens, trajectory.id


def _good(step: Step) -> bool:
    return bool(step.calls) and not any(result.error for result in step.results)


def _rows(trajectory: Trajectory, memories: bool) -> Iterator[dict[str, Any]]:
    """One row for each turn whose calls all went well; an error is nothing to imitate.

    With memories only the turns that cited what was shown, and nothing else.
    """
    shown = {memory.item for memory in trajectory.memories if memory.shown}
    for index, step in enumerate(trajectory.steps):
        followed = bool(step.cited) and shown.issuperset(step.cited)
        if _good(step) and (followed or not memories):
            yield _stable(render_row(trajectory, index, memories=memories)) | {
                "trajectory": trajectory.id,
                "step": index,
                "task": trajectory.task.id,
                "group": trajectory.task.group,
                "namespace": trajectory.task.namespace,
                "memories": memories,
            }


def _stable(row: dict[str, Any]) -> dict[str, Any]:
    """The row with counted call ids; drawn ones would make equal rows look different."""
    numbered = [
        {**m, "tool_calls": [{**c, "id": f"call{k:05d}"} for k, c in enumerate(m["tool_calls"])]}
        if "tool_calls" in m
        else m
        for m in row["completion"]
    ]
    return {**row, "completion": numbered}


def _fresh(rows: Sequence[dict[str, Any]], seen: set[str]) -> Rows:
    fresh: Rows = []
    for row in rows:
        key = content_key(row)
        if key not in seen:
            seen.add(key)
            fresh.append(row)
    return fresh


def _tasks_in_turn(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """First the best of every task, then the second ones: a cut loses repeats before tasks."""
    rank: dict[str, int] = defaultdict(int)
    keyed = []
    for trajectory in sorted(trajectories, key=_length):
        keyed.append((rank[trajectory.task.id], trajectory.task.id, trajectory))
        rank[trajectory.task.id] += 1
    return [t for _, _, t in sorted(keyed, key=lambda k: k[:2])]


def _groups_in_turn(rows: Sequence[dict[str, Any]]) -> Rows:
    rank: dict[str, int] = defaultdict(int)
    keyed = []
    for row in rows:
        keyed.append((rank[row["group"]], row))
        rank[row["group"]] += 1
    return [row for _, row in sorted(keyed, key=lambda k: k[0])]
