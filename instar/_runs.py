"""Runs of the outer loop on record: which one is open, and where it stands."""

from __future__ import annotations

from typing import Any

from instar._loop import State
from instar.errors import UserError
from instar.store import Store

__all__ = ["begin", "close", "current_turn", "open_turn", "runs", "unfinished"]


def runs(store: Store) -> dict[str, dict[str, Any]]:
    """All runs by key: ``turn`` and ``last``, ``practise``, ``finished``."""
    return {k: v for k, v in store.stages("run").items() if "/" not in k}


def unfinished(store: Store) -> dict[str, Any] | None:
    """The run that broke off, if there is one."""
    return next((v for v in runs(store).values() if not v["finished"]), None)


def begin(store: Store, generations: int, practise: bool) -> tuple[State, bool]:
    """The run that is not finished, else a new one, recorded; and whether it is new."""
    value = unfinished(store)
    if value is not None:
        was = value.get("practise", True)
        kept = State(run=value["run"], turn=value["turn"], last=value["last"], practise=was)
        return kept, False
    turn = max((v["last"] for v in runs(store).values()), default=0) + 1
    name, last = f"run{len(runs(store)) + 1}", turn + generations - 1
    first = State(run=name, turn=turn, last=last, practise=practise)
    store.finish_stage(name, {**first, "finished": False})
    return first, True


def close(store: Store, run: State) -> None:
    """Say that a run is finished."""
    store.finish_stage(run["run"], {**run, "finished": True})


def current_turn(store: Store, run: State | dict[str, Any]) -> int | None:
    """The turn that a run is in; None where each has been decided."""
    turns = range(run["turn"], run["last"] + 1)
    return next((t for t in turns if store.stage(f"g{t}/promote") is None), None)


def open_turn(store: Store, generations: int, practise: bool, until: str) -> State:
    """A run that has a turn in which ``until`` is still to do.

    A run of which only the report is left is closed without: single stages go on with the next turn.

    Raises:
        UserError: The turn has done that stage.
    """
    run, new = begin(store, generations, practise)
    turn = current_turn(store, run)
    if turn is None:
        close(store, run)
        return open_turn(store, generations, practise, until)
    if not new and store.stage(f"g{turn}/{until}") is not None:
        raise UserError(f"Turn {turn} has done {until} already. To go on with it: instar evolve")
    return run
