"""Rejection sampling: rows from clean verified successes, with memory left out.

Every turn with a call of a clean success at home is one row, rendered without memories and without
citation, so that the adapter learns the deed and not the need to be told. To keep the skill of
following memories alive, a share of the rows comes from *other* namespaces with their memories: only
turns whose reply cited a memory that was shown. And a turn at home that followed a memory is a
second row as it was served, for the adapter will be served on top of that memory: without these rows
it learns that at home one acts without looking, and loses what memory knew. Easy tasks and common
groups are capped, because with right-or-wrong rewards the evolution lies in the choice of data and
not in the loss (AgentEvol, Xi et al. 2024). Of several successes at a task the shortest are kept:
the first ones would favour luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from finetune.curate._share import balanced, counted, per_task, quota, recalled
from finetune.curate._trust import Shares, Stateless, fit, foreign
from finetune.curate._turns import Rows, fresh, rows_of
from finetune.curate.base import Form, RowSet
from instar.types import Trajectory

__all__ = ["RejectionSampling"]


class RejectionSampling(Stateless):
    """Clean verified successes without memory, plus a share with memory of other namespaces."""

    form: ClassVar[Form] = "answers"
    method: ClassVar[str] = "rft"

    class Config(Shares):
        """What may be trained on, and how much of it.

        Attributes:
            per_task: Episodes kept of one task.
            followed: Whether turns at home that followed a memory are also kept as they were served.
        """

        per_task: int = Field(default=2, ge=1)
        followed: bool = True

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def curate(self, trajectories: Sequence[Trajectory]) -> RowSet:
        """Rows from the trajectories, and the reason for each that gave none."""
        dropped: dict[str, str] = {}
        config, seen = self.config, set[str]()
        able = fit(trajectories, config, self.method, dropped)
        away = [t for t in able if foreign(t, config)]
        plain = self._plain([t for t in able if not foreign(t, config)], seen, dropped)
        most = quota(len(plain), config.memory_share)
        told = recalled(away, most, config.seed, seen, dropped)
        served = self._served(able, {row["trajectory"] for row in plain}, seen)
        return RowSet.of(plain + served + told, dropped, counted(plain, served, told))

    def _plain(self, home: Sequence[Trajectory], seen: set[str], dropped: dict[str, str]) -> Rows:
        rows: Rows = []
        few = per_task(home, self.config.per_task, dropped)
        for trajectory in balanced(few, self.config.balance, dropped):
            own = list(rows_of(trajectory, memories=False))
            new = fresh(own, seen)
            if not new:
                dropped[trajectory.id] = (
                    "only duplicate rows" if own else "no turn with a good call"
                )
            rows += new
        return rows

    def _served(self, able: Sequence[Trajectory], chosen: set[str], seen: set[str]) -> Rows:
        """The turns of the chosen episodes that followed a memory, with the memories shown."""
        if not self.config.followed:
            return []
        rows = [row for t in able if t.id in chosen for row in rows_of(t, memories=True)]
        return fresh(rows, seen)
