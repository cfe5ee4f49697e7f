"""Where a workspace stands, for a person or for a monitor: told without loading a model or an index."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from instar._runs import current_turn, runs, unfinished
from instar.errors import UserError
from instar.limits import STOP
from instar.recorded import GIVEN_UP, unread
from instar.store import Store
from instar.types import Status

__all__ = ["NOTHING_NEW", "age", "standing", "too_old"]

NOTHING_NEW = "nothing-new"
"""Key of the stage that says when a turn by a clock last found nothing to do."""

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def age(text: str) -> float:
    """Seconds in an age such as ``90m``, ``36h``, ``2d`` or ``1w``.

    Raises:
        UserError: It is written otherwise.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text.strip())
    if not found:
        raise UserError(f"{text!r} is no age. Type one such as 90m, 36h, 2d or 1w.")
    return float(found[1]) * _UNITS[found[2]]


def standing(workspace: Path, now: Callable[[], float] = time.time) -> dict[str, Any]:
    """Facts of a workspace.

    Returns:
        ``active``; ``turns`` that were decided and how many of them ``promoted``; ``open``, the run that
        broke off and what was last done in it; ``recorded`` successes that were not learnt from; ``last``, when a
        run was last finished or found nothing to do, in seconds since the epoch, and ``age`` of that in
        seconds; ``stop``, whether runs are forbidden; ``bytes`` that the workspace takes, ``free`` ones.

    Raises:
        WorkspaceError: There is none, or it cannot be read.
    """
    with Store.open(workspace / "instar.db", create=False) as store:
        active, open_run = store.active(), unfinished(store)
        ended = [v for k, v in store.stages("g").items() if k.endswith("/promote")]
        decided = [facts for facts in ended if GIVEN_UP not in facts]
        done = [k for k, v in runs(store).items() if _succeeded(store, v)] + [NOTHING_NEW]
        times = [at for key in done if (at := store.finished_at(key)) is not None]
        fresh = [t for t in unread(store) if t.score.status is Status.PASS]
        stands = _open(store, open_run) if open_run else None
    last = max(times, default=None)
    return {
        "workspace": str(workspace),
        "active": active.id if active else None,
        "turns": len(decided),
        "promoted": sum(v["active"] != v["before"] for v in decided),
        "open": stands,
        "recorded": len(fresh),
        "last": last,
        "age": None if last is None else max(0.0, now() - last),
        "stop": (workspace / STOP).exists(),
        "bytes": sum(_size(path) for path in workspace.rglob("*")),
        "free": shutil.disk_usage(workspace).free,
    }


def _succeeded(store: Store, run: dict[str, Any]) -> bool:
    """Whether a run came to its end, and not only to the giving up of its last turn."""
    ended = store.stage(f"g{run['last']}/promote") or {}
    return bool(run["finished"]) and GIVEN_UP not in ended


def _size(path: Path) -> int:
    """Bytes of a file; none of a folder, or of what a run that goes on has just taken away."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _open(store: Store, run: dict[str, Any]) -> dict[str, Any]:
    """The run that broke off: which turn it is in, and what was last done in it."""
    turn = current_turn(store, run)
    done = [k for k in store.stages(f"g{turn}/") if k.count("/") == 1] if turn else []
    return {"run": run["run"], "turn": turn, "did": done[-1] if done else None}


def too_old(found: dict[str, Any], most: float) -> str:
    """Why a workspace is overdue, in a sentence; empty where it is not.

    Args:
        found: As `standing` gives it.
        most: Seconds since the last success.
    """
    if found["age"] is None:
        return f"No run in {found['workspace']} was ever finished."
    if found["age"] > most:
        hours, minutes = found["age"] / 3600, found["age"] / 60
        ago = f"{hours:.1f} hours" if hours >= 1 else f"{minutes:.0f} minutes"
        return f"The last success in {found['workspace']} was {ago} ago."
    return ""
