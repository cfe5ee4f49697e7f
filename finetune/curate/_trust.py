"""Whose word a curator takes: which episodes may train weights at all, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import Field

from instar.types import Record, ScoreSource, Split, Status, Trajectory

__all__ = ["Shares", "Stateless", "Trust", "fit", "foreign", "unfit"]


class Trust(Record):
    """Settings that all curators share.

    Attributes:
        home: Namespace to learn; empty takes every trajectory as at home.
        providers: Whose output may be trained on.
        sources: Who must have judged an episode; somebody who only looked on is not trusted unless
            named here.
    """

    home: str = ""
    providers: tuple[str, ...] = ("local", "scripted")
    sources: tuple[ScoreSource, ...] = (ScoreSource.ENVIRONMENT, ScoreSource.PROGRAM)


class Shares(Trust):
    """Settings of curators that keep groups in balance, and the skill of following memories alive.

    Attributes:
        balance: Episodes (or pairs) kept of one group, as a multiple of the median group.
        memory_share: Rows with memory of other namespaces, as a share of these and the rows without
            memory.
        seed: Chooses among the rows with memory.
    """

    balance: float = Field(default=2.0, gt=0)
    memory_share: float = Field(default=0.35, ge=0, lt=1)
    seed: int = 0


class Stateless:
    """A curator whose calls each stand alone."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Accept the empty state."""


def unfit(
    trajectory: Trajectory,
    trust: Trust,
    method: str,
    wanted: Collection[Status] = (Status.PASS,),
) -> str | None:
    """Why an episode must not be trained on; None where it may.

    The provider comes last, so that it is named only where allowing it would make a difference.

    Args:
        trajectory: The episode.
        trust: Who is trusted.
        method: Id of the curator, for the setting that a reason names.
        wanted: Verdicts that can be used.
    """
    score, own = trajectory.score, f"methods.{method}"
    if trajectory.task.split is not Split.PRACTISE:
        return f"a {trajectory.task.split} task, which must not be trained on"
    if score.status not in wanted:
        return f"score {score.status}"
    if score.source not in trust.sources:
        return f"judged by {score.source} only, which {own}.sources does not trust"
    if trajectory.provider not in trust.providers:
        return f"provider {trajectory.provider!r} is not allowed: add it to {own}.providers"
    return None


def fit(
    trajectories: Sequence[Trajectory],
    trust: Trust,
    method: str,
    dropped: dict[str, str],
    wanted: Collection[Status] = (Status.PASS,),
) -> list[Trajectory]:
    """The episodes that may be trained on; ``dropped`` takes the others with the reason."""
    found = []
    for trajectory in trajectories:
        why = unfit(trajectory, trust, method, wanted)
        if why is None:
            found.append(trajectory)
        else:
            dropped[trajectory.id] = why
    return found


def foreign(trajectory: Trajectory, trust: Trust) -> bool:
    """Whether an episode is from elsewhere than the namespace to learn; a live session never is."""
    away = bool(trust.home) and trajectory.task.namespace != trust.home
    return away and trajectory.purpose != "live"
