"""How selectors that prefer groups draw a batch: anchors first, a group by its share, a task evenly."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

from curriculum.select.base import by_group
from instar.types import Task

__all__ = ["batch", "floored"]

Shares = Callable[[Sequence[str]], Mapping[str, float]]


def batch(
    pool: Sequence[Task], k: int, rng: random.Random, anchors: float, shares: Shares
) -> list[Task]:
    """``k`` tasks without repetition, or all where there are fewer.

    Args:
        pool: Where they come from.
        k: How many.
        rng: Every draw is from it.
        anchors: Share of the batch that the world's own tasks have at least.
        shares: Probability of each of some groups; asked again when one of them is used up.
    """
    own = [t for t in pool if t.origin == "world"]
    chosen = _draw(own, math.ceil(anchors * k), rng, shares)
    taken = {t.id for t in chosen}
    chosen += _draw([t for t in pool if t.id not in taken], k - len(chosen), rng, shares)
    rng.shuffle(chosen)
    return chosen


def _draw(pool: Sequence[Task], k: int, rng: random.Random, shares: Shares) -> list[Task]:
    groups = by_group(pool)
    chosen: list[Task] = []
    while groups and len(chosen) < k:
        weights = shares(list(groups))
        group = rng.choices(list(weights), weights=list(weights.values()))[0]
        tasks = groups[group]
        chosen.append(tasks.pop(rng.randrange(len(tasks))))
        if not tasks:
            del groups[group]
    return chosen


def floored(weights: Mapping[str, float], floor: float) -> dict[str, float]:
    """Probabilities in proportion to weights, none of them below the floor.

    Args:
        weights: At least one of them above zero.
        floor: Cut to an even share where there are many groups.
    """
    total = sum(weights.values())
    floor = min(floor, 1.0 / len(weights))
    return {g: floor + (1.0 - floor * len(weights)) * w / total for g, w in weights.items()}
