"""What judges trajectories where no program can. The answer has three values, and doubt is unknown."""

from __future__ import annotations

from instar.contracts import Verifier as Contract
from instar.render import done_lines
from instar.types import Score, ScoreSource, Status, Trajectory

__all__ = ["Contract", "transcript", "unknown"]


def unknown(evidence: str, source: ScoreSource = ScoreSource.JUDGE) -> Score:
    """A score that says that nothing could be measured, and why."""
    return Score(status=Status.UNKNOWN, source=source, evidence=evidence)


def transcript(trajectory: Trajectory) -> str:
    """What happened, for a reader: one line a call, the last observation, the answer.

    The environment's score is left out, for a judge that sees it is no judge.
    """
    lines = done_lines(trajectory.steps, trajectory.tools)
    last = trajectory.steps[-1].observation if trajectory.steps else ""
    parts = ["calls:", *(lines or ["none"]), "last observation:", last]
    return "\n".join([*parts, "answer:", trajectory.answer or "none"])
