"""From hits to the few memories that are worth their tokens.

Hits about the same kind of task, whatever its wording, make one set. Of a set with a workflow that
verified successes support, only that workflow is taken: it holds what the lessons of the set warn
of. Otherwise its lessons are taken, one a refusal, those met most often first, and none that was met
less than half as often as the first. Sets come by likeness, within one by support; what a unit is
known to be worth moves it up or down. Of items that say the same one is taken, a pinned one if any is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from instar.types import MemoryKind
from memory._view import Hit
from memory.duplicates import point
from memory.embed import essence

__all__ = ["choose", "settled"]

_WEIGHT = 0.2
"""How much likeness an effect on success of 1 makes up for."""


def choose(
    hits: Sequence[Hit], k: int, floor: float, margin: float, worth: Mapping[str, float]
) -> list[Hit]:
    """At most ``k`` of the hits, in the order in which they are shown; often none.

    Args:
        hits: Items with their cosine, in any order.
        k: How many at most.
        floor: Cosine below which nothing is taken.
        margin: How far below the nearest hit one may lie.
        worth: Effect on success of those units of which one is known.
    """
    nearest = max((cosine for _, cosine in hits), default=0.0)
    near = [h for h in hits if h[1] >= max(floor, nearest - margin)]
    pinned = {item.unit for item, _ in near if item.pinned}
    sets: dict[tuple[str, tuple[str, ...]], list[Hit]] = defaultdict(list)
    for item, cosine in near:
        if item.pinned or item.unit not in pinned:
            sets[item.namespace, essence(item.when)].append((item, cosine))

    def likeness(members: Sequence[Hit]) -> float:
        return round(max(_valued(hit, worth) for hit in members), 4)

    chosen: list[Hit] = []
    for _, members in sorted(sets.items(), key=lambda s: (-likeness(s[1]), s[0])):
        if len(chosen) >= k:
            break
        for hit in _best(members, worth):
            if all(hit[0].content != i.content and hit[0].unit != i.unit for i, _ in chosen):
                chosen.append(hit)
    return chosen[:k]


def settled(
    farthest: float,
    hits: Sequence[Hit],
    chosen: Sequence[Hit],
    k: int,
    floor: float,
    margin: float,
    worth: Mapping[str, float],
) -> bool:
    """Whether nothing that lies farther away could be chosen before these.

    Args:
        farthest: Cosine of the last that was looked at.
        hits: Those that `choose` was given, nearest first, with the same other arguments.
        chosen: What it took of them.
    """
    if farthest < max(floor, hits[0][1] - margin if hits else floor):
        return True
    best = farthest + _WEIGHT * max([0.0, *worth.values()])
    return len(chosen) >= k and best < min(_valued(hit, worth) for hit in chosen)


def _valued(hit: Hit, worth: Mapping[str, float]) -> float:
    item, cosine = hit
    return cosine + _WEIGHT * worth.get(item.unit, 0.0)


def _best(members: Sequence[Hit], worth: Mapping[str, float]) -> list[Hit]:
    support: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for item, _ in members:
        support[point(item)] += item.support
        met[point(item)] += len(item.sources)

    def order(hit: Hit) -> tuple[float, int, int, float, int, str]:
        item, cosine = hit
        said = point(item)
        value = round(worth.get(item.unit, 0.0), 1)
        return -value, -support[said], -met[said], -round(cosine, 4), len(item.content), item.id

    ranked = sorted(members, key=order)
    proven = [h for h in ranked if h[0].kind is MemoryKind.WORKFLOW and support[point(h[0])] > 0]
    others = [h for h in ranked if h[0].kind not in (MemoryKind.WORKFLOW, MemoryKind.LESSON)]
    if proven:
        return [proven[0], *_distinct(others)]
    lessons = _distinct([h for h in ranked if h not in others])
    most = max((met[point(i)] for i, _ in lessons), default=0)
    return [h for h in lessons if 2 * met[point(h[0])] >= most] + _distinct(others)


def _distinct(hits: Sequence[Hit]) -> list[Hit]:
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(point(hit[0]), hit)
    return list(first.values())
