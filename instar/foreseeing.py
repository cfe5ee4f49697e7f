"""What an evolution would do now, and whether anything is in its way; nothing is begun or written."""

from __future__ import annotations

from typing import Any

from instar._lock import exclusive
from instar._runs import current_turn, runs, unfinished
from instar.compose import Workspace
from instar.config import Config
from instar.evolve import check
from instar.limits import Limits
from instar.once import unlearnt
from instar.recorded import unscored

__all__ = ["foresee"]


def foresee(workspace: Workspace, turns: int, practise: bool, once: bool) -> dict[str, Any]:
    """See whether an evolution could begin now, and say what it would do.

    Args:
        turns: How many it is asked for.
        practise: Whether it practises; otherwise it learns from what was recorded alone.
        once: Whether a clock asks: without practice it wants sessions to learn from.

    Returns:
        ``would``, a sentence; ``turns``, their numbers, none where there is nothing to do; ``recorded``,
        successes of sessions that were not learnt from yet.

    Raises:
        UserError: A method or a model is none, or a setting does not fit.
        WorkspaceError: The workspace belongs to another world or model.
        Busy: Another process is at work.
        Stopped: A limit is reached already.
    """
    check(workspace)
    Limits(workspace.config.limits, workspace.path).check()
    with exclusive(workspace.path):
        pass
    store, recorded = workspace.store, len(unlearnt(workspace))
    wanted = workspace.config.once.successes
    begun = unfinished(store)
    if begun:
        first, last = current_turn(store, begun), int(begun["last"])
        how = _how(workspace.config, begun.get("practise", True), recorded)
        if first is None:
            return _told(
                f"Would finish {begun['run']}, of which only the report is left.", (), recorded
            )
        return _told(
            f"Would go on with {begun['run']}, {_named(first, last)}{how}.", (first, last), recorded
        )
    if once and not practise and recorded < wanted:
        told = f"Would do nothing: {recorded} recorded successes, once.successes wants {wanted}."
        asked = len(unscored(store)) if workspace.config.memory.judge else 0
        told += f" First a judge would be asked about {asked} sessions." if asked else ""
        return _told(told, (), recorded)
    first = max((int(run["last"]) for run in runs(store).values()), default=0) + 1
    last = first + turns - 1
    how = _how(workspace.config, practise, recorded)
    return _told(f"Would begin {_named(first, last)}{how}.", (first, last), recorded)


def _told(sentence: str, turns: tuple[int, int] | tuple[()], recorded: int) -> dict[str, Any]:
    numbers = list(range(turns[0], turns[1] + 1)) if turns else []
    return {"would": sentence, "turns": numbers, "recorded": recorded}


def _named(first: int, last: int) -> str:
    return f"turn {first}" if first == last else f"turns {first} to {last}"


def _how(config: Config, practise: bool, recorded: int) -> str:
    if not practise:
        return f", learning from {recorded} recorded successes"
    return f", twice {config.practise.tasks} tasks of practice with {config.practise.attempts} attempts each in every turn"
