"""One turn by a clock: what was recorded since the last one is learnt from, or there is nothing to do."""

from __future__ import annotations

from typing import Any

from instar._giving_up import give_up
from instar._lock import exclusive
from instar._runs import unfinished
from instar.auditing import judge_sessions, trusted
from instar.compose import Workspace
from instar.evolve import check, evolve
from instar.limits import Limits
from instar.progress import Progress
from instar.recorded import unread
from instar.standing import NOTHING_NEW
from instar.types import Status, Trajectory

__all__ = ["once", "unlearnt"]


async def once(workspace: Workspace, practise: bool, progress: Progress) -> dict[str, Any]:
    """Go on with a run that broke off, else turn once, if there is something to turn on.

    Args:
        practise: Whether to practise; otherwise only what was recorded is learnt from.

    Returns:
        As `evolve`, or ``{"nothing": sentence}``.

    Raises:
        UserError: As of `check`.
        Busy: Another process is at work.
        Stopped: A limit was reached; the same call goes on.
    """
    check(workspace)  # a mistake shows at once, not in the first night with something to do
    limits = Limits(workspace.config.limits, workspace.path)
    with exclusive(workspace.path), limits.until_asked():
        limits.check()
        # Else what is given up later would have counted as a turn to go on with.
        give_up(workspace, progress)
        # A judge costs money: nobody asks it twice, or against a limit.
        if not unfinished(workspace.store):
            await _judged(workspace, progress, limits)
    begun = unfinished(workspace.store)
    if begun and practise and not begun.get("practise", True):
        progress.say(
            f"{begun['run']} was begun without practice and is finished so; then: --practise"
        )
    if not practise and not begun:
        found, wanted = len(unlearnt(workspace)), workspace.config.once.successes
        if found < wanted:
            workspace.store.finish_stage(NOTHING_NEW, {"found": found})
            return {
                "nothing": f"Nothing new: {found} recorded successes that were not learnt from, "
                f"once.successes wants {wanted}. To practise: instar evolve --once --practise"
            }
    return await evolve(workspace, 1, progress, practise=practise, limits=limits)


def unlearnt(workspace: Workspace) -> list[Trajectory]:
    """Recorded successes that no reflection has read; a judge's word counts while it is believed."""
    believe = trusted(workspace.store, workspace.config)
    return [t for t in unread(workspace.store, believe) if t.score.status is Status.PASS]


async def _judged(workspace: Workspace, progress: Progress, limits: Limits) -> None:
    """Let a judge that can be believed say how sessions went; say it where it cannot."""
    found = await judge_sessions(workspace, progress, limits)
    if found is None:
        return
    if found["trusted"]:
        progress.say(f"The judge said how {found['judged']} recorded sessions went.")
    else:
        progress.say(
            f"The judge {found['judge']} is not believed: of {found['asked']} known episodes too few of "
            f"its passes are sure to be passes (audit.precision={found['wanted']:g}). "
            "See: instar audit"
        )
