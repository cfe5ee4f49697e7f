"""Whose word a curator takes: which episodes may train weights at all, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from instar.types import Record, ScoreSource, Split, Status, Trajectory

__all__ = ["Trust", "fit", "foreign", "unfit"]


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
    """Whether an episode is from elsewhere than the namespace to learn."""
    return bool(trust.home) and trajectory.task.namespace != trust.home
