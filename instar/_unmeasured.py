"""The record of an attempt of which nothing is known: as it stands before it begins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from instar.types import Score, Status, StopReason, Task, Trajectory

if TYPE_CHECKING:
    from instar._serving import Serving
    from instar.compose import Workspace

__all__ = ["unmeasured"]


def unmeasured(
    workspace: Workspace,
    task: Task,
    seed: int,
    serving: Serving,
    purpose: str,
    arm: str,
    why: str = "",
) -> Trajectory:
    """The record of an episode that did not begin, or not yet: its score is unknown.

    Args:
        why: What kept it from beginning.
    """
    from agent.graph import trajectory_id

    return Trajectory(
        id=trajectory_id(task, seed, serving.generation, purpose, arm),
        task=task,
        seed=seed,
        generation=serving.generation,
        adapter=serving.adapter,
        purpose=purpose,
        arm=arm,
        model=workspace.model(serving.model).name,
        provider="",
        prompts=workspace.prompts(serving.prompts),
        stop=StopReason.FAULT,
        score=Score(status=Status.UNKNOWN, evidence=why),
        started=time.time(),
    )
