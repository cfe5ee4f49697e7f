"""From turns of episodes to rows: which turns are worth imitating, and where each row came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from finetune.curate.base import content_key
from instar.render import row as render_row
from instar.types import Message, Step, Trajectory

__all__ = ["Rows", "by_turns", "followed", "fresh", "good", "length", "row_of", "rows_of", "stable"]

Rows: TypeAlias = list[dict[str, Any]]
Item = TypeVar("Item")


def length(trajectory: Trajectory) -> tuple[int, int, str]:
    """What successes are sorted by, the shortest first; the first ones in time would favour luck."""
    return len(trajectory.steps), trajectory.usage.tokens, trajectory.id


def good(step: Step) -> bool:
    """Whether a turn has calls that all went well; an error is nothing to imitate."""
    return bool(step.calls) and not any(result.error for result in step.results)


def followed(trajectory: Trajectory, step: Step) -> bool:
    """Whether a turn cited memories that were shown, and nothing else."""
    shown = {memory.item for memory in trajectory.memories if memory.shown}
    return bool(step.cited) and shown.issuperset(step.cited)


def row_of(trajectory: Trajectory, index: int, memories: bool) -> dict[str, Any]:
    """One turn as a row with its lineage, with the memories shown or without any.

    Call ids are counted anew: drawn ones would make equal rows look different.
    """
    found = render_row(trajectory, index, memories=memories)
    return found | {
        "completion": stable(found["completion"]),
        "trajectory": trajectory.id,
        "step": index,
        "task": trajectory.task.id,
        "group": trajectory.task.group,
        "namespace": trajectory.task.namespace,
        "memories": memories,
    }


def rows_of(trajectory: Trajectory, memories: bool) -> Iterator[dict[str, Any]]:
    """A row for each good turn; with memories only the turns that followed one."""
    for index, step in enumerate(trajectory.steps):
        if good(step) and (not memories or followed(trajectory, step)):
            yield row_of(trajectory, index, memories)


def stable(answer: Sequence[Message]) -> list[Message]:
    """Messages with counted call ids."""
    return [
        {**m, "tool_calls": [{**c, "id": f"call{k:05d}"} for k, c in enumerate(m["tool_calls"])]}
        if "tool_calls" in m
        else m
        for m in answer
    ]


def fresh(rows: Sequence[dict[str, Any]], seen: set[str]) -> Rows:
    """Rows that were not seen before; ``seen`` takes them up."""
    found: Rows = []
    for row in rows:
        key = content_key(row)
        if key not in seen:
            seen.add(key)
            found.append(row)
    return found


def by_turns(items: Sequence[Item], key: Callable[[Item], str]) -> list[Item]:
    """First the first of every key, then the second ones: a cut loses repeats before keys."""
    rank: dict[str, int] = defaultdict(int)
    ranked = []
    for item in items:
        ranked.append((rank[key(item)], item))
        rank[key(item)] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]
