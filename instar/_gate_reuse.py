"""What a gate takes over from earlier ones, and what that leaves of its certainty.

Results of the side that is in place count again where the same generation did the same task with the
same seed under the same settings. Within a turn its gates share their tasks; over turns tasks come
back only where a world has few. Both are marked in the verdict: a candidate that was made by looking
at a gate, or a gate that is asked the same twice, is less sure than it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instar._loop import Loop
from instar.types import Status, Trajectory, content_hash

__all__ = ["conditions", "decisions", "known", "probed", "reuse", "shared", "under"]

_GATE = "gate_"


def conditions(loop: Loop) -> str:
    """A hash of all that shapes an episode of the gate: settings, and the weights that act."""
    config = loop.config
    parts = (config.model, config.agent, config.memory, config.world, config.practise.web_share)
    weights = loop.workspace.base()
    return content_hash([*(_plain(part) for part in parts), config.methods, weights], 12)


def under(loop: Loop, stage: str) -> str:
    """Where the episodes of a comparison are kept: apart for settings that were changed in the middle of it."""
    return f"{stage}/{conditions(loop)}"


def _plain(part: Any) -> Any:
    return part.model_dump(mode="json") if hasattr(part, "model_dump") else part


def _gates(loop: Loop, key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Gates that were measured before this one, oldest first."""
    stages = loop.store.stages("g").items()
    return [
        (at, kept)
        for at, kept in stages
        if at.partition("/")[2].startswith(_GATE) and at != key and kept["verdict"]["n"]
    ]


def _alike(loop: Loop, key: str) -> list[Mapping[str, Any]]:
    """Earlier gates of the turn that were measured under the settings of now."""
    turn, now = key.partition("/")[0], conditions(loop)
    return [
        kept
        for at, kept in _gates(loop, key)
        if at.partition("/")[0] == turn and kept.get("conditions") == now
    ]


def decisions(loop: Loop, key: str) -> list[bool]:
    """Whether each gate of the workspace so far promoted, oldest first."""
    return [kept["verdict"]["decision"] == "promote" for _, kept in _gates(loop, key)]


def known(loop: Loop, key: str, generation: str) -> dict[tuple[str, int], Trajectory]:
    """Results of a generation at gates of earlier turns, under the settings of now."""
    now, found = conditions(loop), {}
    for at, kept in _gates(loop, key):
        turn = at.partition("/")[0]
        if turn != key.partition("/")[0] and kept.get("conditions") == now:
            for one in loop.store.trajectories(stage=under(loop, f"{turn}/gate/{generation}")):
                if one.score.status is not Status.UNKNOWN:
                    found[one.task.id, one.seed] = one
    return found


def shared(loop: Loop, key: str, generation: str) -> int:
    """How many pairs of this turn's tasks a generation has done at an earlier gate of the turn."""
    sides = [
        kept.get("tasks", [])
        for kept in _alike(loop, key)
        if generation in (kept["candidate"], kept.get("active"))
    ]
    return max(map(len, sides), default=0)


def probed(loop: Loop, key: str) -> set[str]:
    """Generations that were probed at an earlier gate of this turn."""
    return {
        id
        for kept in _alike(loop, key)
        if kept["verdict"].get("probes")
        for id in (kept["candidate"], kept["active"])
    }


def reuse(loop: Loop, key: str, tasks: Sequence[str]) -> dict[str, int]:
    """How many of these tasks earlier gates have asked already, of this turn and of others."""
    turn = key.partition("/")[0]
    here: set[str] = set()
    before: set[str] = set()
    for at, kept in _gates(loop, key):
        (here if at.partition("/")[0] == turn else before).update(kept.get("tasks", ()))
    return {
        "tasks_of_this_turn": len(here & set(tasks)),
        "tasks_of_earlier_turns": len(before & set(tasks)),
    }
