"""From hits to the few memories that are worth their tokens.

Hits about the same kind of task, whatever its wording, make one set. Of a set with a workflow that
verified successes support, only that workflow is taken: it holds what the lessons of the set warn
of. Otherwise its lessons are taken, one a refusal, those met most often first, and none that was met
less than half as often as the first. Sets come by likeness, within one by support.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from instar.types import MemoryItem, MemoryKind
from memory._view import Hit
from memory.embed import essence

__all__ = ["choose"]


def choose(hits: Sequence[Hit], k: int, floor: float, margin: float) -> list[Hit]:
    """At most ``k`` of the hits, in the order in which they are shown; often none.

    Args:
        hits: Items with their cosine, in any order.
        k: How many at most.
        floor: Cosine below which nothing is taken.
        margin: How far below the nearest hit one may lie.
    """
    nearest = max((cosine for _, cosine in hits), default=0.0)
    sets: dict[tuple[str, tuple[str, ...]], list[Hit]] = defaultdict(list)
    for item, cosine in hits:
        if cosine >= max(floor, nearest - margin):
            sets[item.namespace, essence(item.when)].append((item, cosine))
    by_likeness = sorted(sets.items(), key=lambda s: (-round(max(c for _, c in s[1]), 4), s[0]))
    chosen: list[Hit] = []
    for _, members in by_likeness:
        said = {item.content for item, _ in chosen}
        chosen += [hit for hit in _best(members) if hit[0].content not in said]
    return chosen[:k]


def _best(members: Sequence[Hit]) -> list[Hit]:
    support: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for item, _ in members:
        support[_point(item)] += item.support
        met[_point(item)] += len(item.sources)

    def order(hit: Hit) -> tuple[int, int, float, int, str]:
        item, cosine = hit
        point = _point(item)
        return -support[point], -met[point], -round(cosine, 4), len(item.content), item.id

    ranked = sorted(members, key=order)
    proven = [h for h in ranked if h[0].kind is MemoryKind.WORKFLOW and support[_point(h[0])] > 0]
    others = [h for h in ranked if h[0].kind not in (MemoryKind.WORKFLOW, MemoryKind.LESSON)]
    if proven:
        return [proven[0], *_distinct(others)]
    lessons = _distinct([h for h in ranked if h not in others])
    most = max((met[_point(i)] for i, _ in lessons), default=0)
    return [h for h in lessons if 2 * met[_point(h[0])] >= most] + _distinct(others)


def _point(item: MemoryItem) -> str:
    """What an item says, the same for every call that met the same refusal."""
    if item.kind is MemoryKind.LESSON:
        call, arrow, refusal = item.content.partition(" -> ")
        return refusal if arrow else call
    return item.content


def _distinct(hits: Sequence[Hit]) -> list[Hit]:
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(_point(hit[0]), hit)
    return list(first.values())
