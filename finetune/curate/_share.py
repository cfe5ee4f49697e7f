"""How much of what: caps on easy tasks and common groups, and the share of rows with memory.

With right-or-wrong rewards the evolution lies in the choice of data and not in the loss, so easy
tasks must not crowd out hard ones. To keep the skill of following memories alive, a share of the
rows comes from *other* namespaces with their memories: only turns that followed one.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from finetune.curate._turns import Rows, by_turns, fresh, length, rows_of
from finetune.curate.base import behind
from instar.types import Trajectory

__all__ = ["GROUP_CAP", "balanced", "counted", "drawn", "evenly", "per_task", "quota", "recalled"]

GROUP_CAP = "its group is at its cap"
"""Reason of what is cut for the balance of groups."""
Item = TypeVar("Item")
_GROUP_FLOOR = 4


def per_task(
    trajectories: Sequence[Trajectory], most: int, dropped: dict[str, str]
) -> list[Trajectory]:
    """The shortest episodes of each task; ``dropped`` takes the others with the reason."""
    by_task: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in sorted(trajectories, key=length):
        by_task[trajectory.task.id].append(trajectory)
    kept: list[Trajectory] = []
    for attempts in by_task.values():
        kept += attempts[:most]
        dropped.update(
            (t.id, "shorter successes of the task fill its cap") for t in attempts[most:]
        )
    return kept


def balanced(
    trajectories: Sequence[Trajectory], balance: float, dropped: dict[str, str]
) -> list[Trajectory]:
    """Episodes without those by which a group is larger than a multiple of the median group."""
    ordered = sorted(trajectories, key=lambda t: (t.task.id, length(t)))
    kept, cut = evenly(ordered, balance, lambda t: t.task.group, lambda t: t.task.id)
    dropped.update((t.id, GROUP_CAP) for t in cut)
    return kept


def evenly(
    items: Sequence[Item],
    balance: float,
    group: Callable[[Item], str],
    task: Callable[[Item], str],
) -> tuple[list[Item], list[Item]]:
    """What is kept and what is cut where no group may be larger than a multiple of the median one.

    Args:
        items: The best of each task first.
        balance: The multiple; a few are always kept of a group.
        group: Of an item.
        task: Of an item; repeats of a task are cut before tasks.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[group(item)].append(item)
    middle = statistics.median(len(g) for g in groups.values()) if groups else 0
    cap = max(_GROUP_FLOOR, math.ceil(balance * middle))
    kept: list[Item] = []
    cut: list[Item] = []
    for _, members in sorted(groups.items(), key=lambda named: named[0]):
        spread = by_turns(members, task)
        kept += spread[:cap]
        cut += spread[cap:]
    return kept, cut


def quota(plain: int, share: float) -> int:
    """Rows with memory beside so many without, for a share of both together."""
    return round(plain * share / (1 - share))


def recalled(
    foreign: Sequence[Trajectory],
    most: int,
    seed: int,
    seen: set[str],
    dropped: dict[str, str],
) -> Rows:
    """Rows with memory of other namespaces, groups by turns.

    Args:
        foreign: Successes elsewhere.
        most: How many rows.
        seed: Of the draw.
        seen: Takes up the rows.
        dropped: Takes the episodes that gave no row, with the reason.
    """
    pool: Rows = []
    for trajectory in sorted(foreign, key=lambda t: t.id):
        own = list(rows_of(trajectory, memories=True))
        if not own:
            dropped[trajectory.id] = "elsewhere, and no turn cited a memory shown"
        pool += own
    return drawn(pool, most, seed, seen, dropped)


def drawn(pool: Rows, most: int, seed: int, seen: set[str], dropped: dict[str, str]) -> Rows:
    """At most so many rows of a pool, groups by turns; ``dropped`` takes the episodes of the rest."""
    random.Random(seed).shuffle(pool)
    chosen = by_turns(fresh(pool, seen), lambda row: row["group"])[:most]
    used = set(behind(chosen))
    for name in behind(pool):
        if name not in used:
            dropped[name] = "elsewhere, and the share of rows with memory is full"
    return chosen


def counted(plain: Rows, served: Rows, told: Rows) -> dict[str, int]:
    """What a set of answers counts.

    Args:
        plain: Rows without memory.
        served: Turns of the same episodes with the memories that they followed.
        told: Rows with memory of other namespaces.
    """
    rows = [*plain, *served, *told]
    return {
        "without memory": len(plain),
        "as served": len(served),
        "with memory": len(told),
        "episodes": len({row["trajectory"] for row in rows}),
        "tasks": len({row["task"] for row in rows}),
        "groups": len({row["group"] for row in rows}),
    }
