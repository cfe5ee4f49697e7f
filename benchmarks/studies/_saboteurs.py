"""Those who spoil an evolution: a world that mislabels, a distiller that poisons, a judge that nods.

Each stands where something honest stands otherwise and keeps to its contract, so that nothing but what
it says can give it away.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import Field

from benchmarks.houses.settings import HouseConfig
from benchmarks.worlds.house_rules import HouseRules
from instar.contracts import Episode, Toolset
from instar.types import (
    MemoryItem,
    MemoryOp,
    Record,
    Result,
    Score,
    ScoreSource,
    Split,
    Status,
    Task,
    Trajectory,
)
from memory.distill.workflow import Workflow

__all__ = ["Mislabelled", "Nodding", "Poisoner"]

_TURNED = {Status.PASS: Status.FAIL, Status.FAIL: Status.PASS}


class Mislabelled(HouseRules):
    """House Rules with false scores, or none, on tasks that something is learnt from."""

    class Config(HouseConfig):
        """Settings.

        Attributes:
            flipped: Share of the attempts whose pass is called a failure and the other way round.
            lost: Share of the attempts of which nobody says how they went.
            gate: Whether the gate sees false scores too.
        """

        flipped: float = Field(0.0, ge=0, le=1)
        lost: float = Field(0.0, ge=0, le=1)
        gate: bool = False

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt; what is measured on held-out tasks is true."""
        episode = await super().open(task, seed)
        config = self.config
        assert isinstance(config, Mislabelled.Config)
        if task.split is not Split.PRACTISE and not (config.gate and task.split is Split.GATE):
            return episode
        drawn = random.Random(f"{task.id} {seed}").random()
        if drawn < config.flipped:
            return _Scored(episode, flipped=True)
        return _Scored(episode, flipped=False) if drawn < config.flipped + config.lost else episode


class _Scored:
    """An episode with another score than it has earned."""

    def __init__(self, episode: Episode, flipped: bool) -> None:
        self._episode, self._flipped = episode, flipped
        self.toolset: Toolset = episode.toolset

    async def observe(self) -> str:
        return await self._episode.observe()

    def done(self) -> bool:
        return self._episode.done()

    async def finish(self, answer: str) -> Result:
        return await self._episode.finish(answer)

    async def score(self) -> Score:
        true = await self._episode.score()
        if not self._flipped:
            return Score(status=Status.UNKNOWN, source=true.source)
        value = None if true.value is None else 1 - true.value
        status = _TURNED.get(true.status, true.status)
        return true.model_copy(update={"status": status, "value": value})

    async def close(self) -> None:
        await self._episode.close()


class Poisoner:
    """The workflows of `workflow`, each with the calls of another one, and trusted as if they were its own.

    Their origin is the environment and successes stand behind them, so quarantine lets them pass:
    only what they are worth, and the gate, can hold them back.
    """

    def __init__(self) -> None:
        self._honest = Workflow()

    def state_dict(self) -> dict[str, Any]:
        """As `workflow` has it."""
        return self._honest.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._honest.load_state_dict(state)

    def distill(
        self, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes with their contents passed on to the next one; what stands alone is left out."""
        found = [op for op in self._honest.distill(trajectories, bank) if op.item is not None]
        ring = [*found, found[0]] if len(found) > 1 else []
        return [_with_calls_of(one, other) for one, other in pairwise(ring)]


def _with_calls_of(one: MemoryOp, other: MemoryOp) -> MemoryOp:
    assert one.item is not None
    assert other.item is not None
    item = one.item.model_copy(update={"content": other.item.content})
    return one.model_copy(update={"item": item})


class Nodding:
    """A judge to whom everything is a success."""

    class Config(Record):
        """It has no settings."""

    said: ClassVar[Score] = Score(status=Status.PASS, value=1.0, source=ScoreSource.JUDGE)

    def __init__(self, config: Config | None = None, model: object = None) -> None:
        self.config = config or self.Config()

    async def score(self, task: Task, trajectories: Sequence[Trajectory]) -> list[Score]:
        """One pass a trajectory."""
        return [self.said for _ in trajectories]
