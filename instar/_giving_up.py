"""An open turn that can never be finished: what it began from cannot be served any more.

A turn measures against the generation that served when it began. Where that one's adapter is damaged or
pruned since and another generation serves, or where the weights under it have changed, no night could
go on with the turn. It is given up; what it practised and read is read by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar._gate_cost import usage_of
from instar._runs import close, current_turn, unfinished
from instar.compose import Workspace
from instar.progress import Progress
from instar.recorded import GIVEN_UP
from instar.store import Store
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
    if run is None or active is None:
        return None
    turn = _given_up(store, run)
    if turn is None:
        turn = current_turn(store, run)
        why = "" if turn is None else _why(workspace, turn, active)
        if turn is None or not why:
            return None
        store.finish_stage(f"g{turn}/promote", _ended(store, turn, active, why))
        progress.say(f"Turn {turn} is given up: {why}. What it practised is read by the next turn.")
    close(store, {"run": run["run"], "turn": run["turn"], "last": turn})
    return turn


def _given_up(store: Store, run: Mapping[str, Any]) -> int | None:
    """The turn that was given up when a kill came before the end of its run was written."""
    turns = range(run["turn"], run["last"] + 1)
    return next((t for t in turns if GIVEN_UP in (store.stage(f"g{t}/promote") or {})), None)


def _why(workspace: Workspace, turn: int, active: Generation) -> str:
    """Why a turn cannot go on; empty where it can, or has not begun."""
    begun = workspace.store.stage(f"g{turn}/start")
    if begun is None:
        return ""
    before = workspace.store.generation(begun["state"]["active"])
    if before.adapter is None:
        return ""
    base = workspace.base(before.model)
    if base is not None and base != workspace.store.adapter(before.adapter).base:
        return f"it began from {before.id}, and the weights of {before.model} have changed since"
    why = "" if active.id == before.id else workspace.registry.why_not(before.adapter)
    return f"it began from {before.id}, and {why}" if why else ""


def _ended(store: Store, turn: int, active: Generation, why: str) -> dict[str, Any]:
    """What stands in the place of a promotion."""
    earlier = store.stage(f"g{turn - 1}/promote") or {}
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
