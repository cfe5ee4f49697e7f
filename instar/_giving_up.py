"""An open turn that can never be finished: what it began from cannot be served any more.

A turn measures against the generation that served when it began. Where that one's adapter is damaged or
pruned since and another generation serves, or where the weights under it have changed, no night could
go on with the turn. It is given up; what it practised and read is read by the next one.
"""

from __future__ import annotations

from typing import Any

from instar._gate_cost import usage_of
from instar._runs import close, current_turn, unfinished
from instar.compose import Workspace
from instar.progress import Progress
from instar.recorded import GIVEN_UP
from instar.types import Generation

__all__ = ["give_up"]


def give_up(workspace: Workspace, progress: Progress) -> int | None:
    """End the open turn without a result, if it cannot be finished.

    Args:
        workspace: Locked by the caller.
        progress: Told of it.

    Returns:
        The turn; None where it can go on, or where what cannot be served is what serves.
    """
    store = workspace.store
    run, active = unfinished(store), store.active()
    turn = current_turn(store, run) if run else None
    begun = store.stage(f"g{turn}/start")
    if run is None or turn is None or begun is None or active is None:
        return None
    before = store.generation(begun["state"]["active"])
    why = _why(workspace, before, active)
    if not why:
        return None
    store.finish_stage(f"g{turn}/promote", _ended(workspace, turn, active, why))
    close(store, {"run": run["run"], "turn": run["turn"], "last": turn})
    progress.say(
        f"Turn {turn} is given up: it began from {before.id}, and {why}. What it practised is read by the "
        "next turn."
    )
    return turn


def _why(workspace: Workspace, before: Generation, active: Generation) -> str:
    """Why a turn that began from ``before`` cannot go on; empty where it can."""
    if before.adapter is None:
        return ""
    base = workspace.base(before.model)
    if base is not None and base != workspace.store.adapter(before.adapter).base:
        return f"the weights of {before.model} have changed since"
    return "" if active.id == before.id else workspace.registry.why_not(before.adapter)


def _ended(workspace: Workspace, turn: int, active: Generation, why: str) -> dict[str, Any]:
    """What stands in the place of a promotion."""
    earlier = workspace.store.stage(f"g{turn - 1}/promote") or {}
    return {
        GIVEN_UP: why,
        "active": active.id,
        "before": active.id,
        "carried": [*earlier.get("carried", []), turn],
        "episodes": 0,
        **usage_of([]),
        "seconds": 0.0,
        "state": {},
    }
