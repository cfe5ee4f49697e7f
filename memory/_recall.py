"""From the items chosen for a task to what the episode is told: within a budget, labelled, drawn for."""

from __future__ import annotations

from collections.abc import Sequence

from instar.types import Recalled, Recollection
from memory._view import Hit
from memory._withhold import Withholding, drawn
from memory.forget.base import tokens

__all__ = ["recollection", "within"]


def within(budget: int, hits: Sequence[Hit], before: Sequence[Recalled]) -> list[Hit]:
    """The hits in their order, without those for which there is no room left.

    What is shown whatever the task gets its room first.

    Args:
        budget: Tokens of an episode.
        before: What it was told already.
    """
    kept = set()
    budget -= sum(tokens(memory) for memory in before if memory.shown)
    for item, _ in sorted(hits, key=lambda hit: not hit[0].standing):
        if tokens(item) <= budget:
            kept.add(item.id)
            budget -= tokens(item)
    return [hit for hit in hits if hit[0].id in kept]


def recollection(
    hits: Sequence[Hit], first: int, shares: Withholding | None, seed: int, task: str
) -> Recollection:
    """Hits as an episode is told of them.

    Args:
        hits: At most one of each unit.
        first: Number of the first label.
        shares: What is withheld; None: nothing, and no draw is made.
        seed: Of the episode.
        task: Its id.
    """
    found = tuple(_recalled(place, hit) for place, hit in enumerate(hits, first))
    if shares is None or not found:
        return Recollection(memories=found)
    memories, bank = drawn(found, {item.id: item for item, _ in hits}, shares, seed, task)
    return Recollection(memories=memories, bank=bank)


def _recalled(place: int, hit: Hit) -> Recalled:
    item, cosine = hit
    return Recalled(
        label=f"m{place}",
        item=item.id,
        version=item.version,
        title=item.title,
        when=item.when,
        content=item.content,
        kind=item.kind,
        relevance=min(1.0, cosine),
        unit=item.cluster,
    )
