"""What of a generation can be measured: which one to take, and which arms it has what it takes for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from instar.types import Generation, GenerationStatus

if TYPE_CHECKING:
    from instar.compose import Workspace

__all__ = ["fullest", "lacking"]


def fullest(workspace: Workspace, active: Generation) -> Generation:
    """The newest undecided candidate that adds an adapter to a generation, else that generation.

    It has all that the other has and the adapter that the gate could not decide on, so that the
    arms with it can be measured.
    """
    found = [
        g
        for g in workspace.store.generations()
        if g.parent == active.id
        and g.adapter not in (None, active.adapter)
        and g.status is GenerationStatus.CANDIDATE
    ]
    return max(found, key=lambda g: g.seq, default=active)


def lacking(
    workspace: Workspace, generation: Generation, names: Sequence[str], learns: bool = False
) -> dict[str, str]:
    """Which arms a generation has not what it takes for, each with the reason.

    Without memory the arm ``memory`` would be the arm ``base`` under another name, unless it
    ``learns`` while it is measured.
    """
    reasons = {}
    space = workspace.home.namespace
    seen = workspace.store.items(generation.id)
    if not learns and not any(i.namespace == space for i in seen):
        reasons["memory"] = f"{generation.id} remembers nothing of {space}"
    if generation.adapter is None:
        reasons["adapter"] = f"{generation.id} has no adapter"
    if reasons:
        reasons["both"] = " and ".join(reasons.values())
    return {name: why for name, why in reasons.items() if name in names}
