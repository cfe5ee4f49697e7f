"""The perplexity band: of earlier successes only the turns that the model half knows.

WebRL (Qi et al. 2024) trains each phase on what it has just done and replays earlier successes, one
a task, of which it keeps the turns whose likelihood under the present policy lies in (0.5, 0.95],
that is a perplexity from 1.05 to 2: what is surer teaches nothing, what is less likely pulls the
policy away from itself. Of these at most twice as many as there are new turns. Here the policy is
the model in use with its adapter, the likelihood that of the row as it would be trained, without
memories; all but the band is as in `finetune.curate.rft`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from finetune.curate._likelihood import likelihoods
from finetune.curate._share import balanced, counted, per_task, quota, recalled
from finetune.curate._trust import Shares, Stateless, fit, foreign
from finetune.curate._turns import Rows, by_turns, fresh, rows_of
from finetune.curate.base import Form, RowSet
from instar.errors import UserError
from instar.types import Trajectory

__all__ = ["PerplexityBand"]

_OUTSIDE = "earlier, and no turn whose likelihood under the model lies in the band"
_FULL = "earlier, and the share of earlier turns is full"
_REPEATED = "only duplicate rows, or no turn with a good call"


class PerplexityBand(Stateless):
    """New successes whole, and of earlier ones the turns that the model finds neither sure nor odd."""

    form: ClassVar[Form] = "answers"
    method: ClassVar[str] = "perplexity_band"
    asks_model: ClassVar[bool] = True

    class Config(Shares):
        """What may be trained on, and what the model is asked.

        Attributes:
            base: Folder of the model in use; the loop gives it.
            adapter: Folder of the adapter in use, if there is one; the loop gives it.
            device: ``auto`` is CUDA where there is one.
            since: Seconds since the epoch from which on an episode is new; the loop gives the
                beginning of the turn. None: all are earlier, and their number is not limited.
            low: Likelihood of an answer that is too odd, as a geometric mean over its tokens.
            high: The largest that is not too sure.
            replay: Rows of earlier episodes, as a multiple of the new ones.
            max_length: Longer rows, in tokens, are outside the band.
            per_task: Episodes kept of one task among the new ones; of the earlier it is one.
            followed: Whether turns at home that followed a memory are also kept as they were served.
        """

        base: Path | None = None
        adapter: Path | None = None
        device: Literal["auto", "cpu", "cuda"] = "auto"
        since: float | None = None
        low: float = Field(default=0.5, ge=0, lt=1)
        high: float = Field(default=0.95, gt=0, le=1)
        replay: float = Field(default=2.0, ge=0)
        max_length: int = Field(default=2048, ge=8)
        per_task: int = Field(default=2, ge=1)
        followed: bool = True

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def curate(self, trajectories: Sequence[Trajectory]) -> RowSet:
        """Rows from the trajectories, and the reason for each that gave none.

        Raises:
            UserError: There are earlier successes and no model to ask, or it cannot be loaded.
        """
        dropped: dict[str, str] = {}
        config, seen = self.config, set[str]()
        able = fit(trajectories, config, self.method, dropped)
        home = [t for t in able if not foreign(t, config)]
        recent = [t for t in home if self._new(t)]
        few = per_task(recent, config.per_task, dropped)
        few += per_task([t for t in home if not self._new(t)], 1, dropped)
        kept = balanced(few, config.balance, dropped)
        new = _plain([t for t in kept if self._new(t)], seen, dropped)
        replayed = _plain([t for t in kept if not self._new(t)], seen, dropped)
        old, asked = self._banded(replayed, len(new), dropped)
        plain = new + old
        most = quota(len(plain), config.memory_share)
        away = [t for t in able if foreign(t, config)]
        told = recalled(away, most, config.seed, seen, dropped)
        served = self._served(kept, plain, seen)
        counts = counted(plain, served, told)
        return RowSet.of(plain + served + told, dropped, counts | {"new": len(new), **asked})

    def _new(self, trajectory: Trajectory) -> bool:
        return self.config.since is not None and trajectory.started >= self.config.since

    def _banded(self, rows: Rows, new: int, dropped: dict[str, str]) -> tuple[Rows, dict[str, int]]:
        """Earlier rows in the band, as many as may be; what was counted."""
        found = self._likelihoods(rows)
        low, high = self.config.low, self.config.high
        inside = [
            row
            for row, likely in zip(rows, found, strict=True)
            if likely is not None and low < likely <= high
        ]
        dropped |= dict.fromkeys(_episodes(rows) - _episodes(inside), _OUTSIDE)
        random.Random(self.config.seed).shuffle(inside)
        kept = by_turns(inside, lambda row: row["group"])
        if self.config.since is not None:
            kept = kept[: round(self.config.replay * new)]
        dropped |= dict.fromkeys(_episodes(inside) - _episodes(kept), _FULL)
        told = {
            "replayed": len(kept),
            "too sure": sum(likely is not None and likely > high for likely in found),
            "too odd": sum(likely is not None and likely <= low for likely in found),
            "too long": sum(likely is None for likely in found),
        }
        return kept, told

    def _likelihoods(self, rows: Rows) -> list[float | None]:
        config = self.config
        if not rows:
            return []
        if config.base is None:
            raise UserError(
                "perplexity_band asks the model in use, which is not on this machine: choose a "
                "local model, or another curator, as in -o train.curator=rft"
            )
        return likelihoods(rows, config.base, config.adapter, config.device, config.max_length)

    def _served(self, kept: Sequence[Trajectory], plain: Rows, seen: set[str]) -> Rows:
        """The turns kept that followed a memory, with the memories shown."""
        turns = {(row["trajectory"], row["step"]) for row in plain if self.config.followed}
        told = [row for t in kept for row in rows_of(t, memories=True)]
        return fresh([row for row in told if (row["trajectory"], row["step"]) in turns], seen)


def _plain(kept: Sequence[Trajectory], seen: set[str], dropped: dict[str, str]) -> Rows:
    """Rows without memory; ``dropped`` takes the episodes without one."""
    rows: Rows = []
    for trajectory in kept:
        new = fresh(list(rows_of(trajectory, memories=False)), seen)
        if not new:
            dropped[trajectory.id] = _REPEATED
        rows += new
    return rows


def _episodes(rows: Rows) -> set[str]:
    return {row["trajectory"] for row in rows}
