"""Two rankings into one, and a choice that does not say one thing twice.

`fuse` is reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): a row gets 1 / (k + place) from
each ranking that names it, so a cosine and a share of words need no common scale. `diverse` is
maximal marginal relevance (Carbonell and Goldstein 1998): each next row is the one with the greatest
lambda x relevance - (1 - lambda) x likeness to the nearest row taken already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranked", "diverse", "fuse"]

Ranked = tuple[int, float]
"""A row and its score."""


def fuse(dense: Sequence[Ranked], lexical: Sequence[Ranked], k: int = 60) -> list[Ranked]:
    """The rows of both rankings by reciprocal rank, best first; equal ones as the dense has them.

    Args:
        dense: Best first; only the order counts.
        lexical: As well.
        k: How little the first places stand out; 60 is the paper's.
    """
    fused: dict[int, float] = {}
    for ranking in (dense, lexical):
        # A row that is named twice counts where it stands first.
        for place, row in enumerate(dict.fromkeys(row for row, _ in ranking), 1):
            fused[row] = fused.get(row, 0.0) + 1.0 / (k + place)
    # The sort is stable and the rows of the dense ranking came first.
    return sorted(fused.items(), key=lambda hit: -hit[1])


def diverse(
    hits: Sequence[Ranked], vectors: NDArray[np.float32], n: int, lam: float = 0.7
) -> list[Ranked]:
    """At most ``n`` of the hits in the order in which they are taken; of equals the first.

    Args:
        hits: Their scores are divided by the greatest, so that they weigh as much as a cosine.
        vectors: One of length one for each hit.
        n: How many at most.
        lam: Lambda; 1.0 is relevance alone, 0.0 is difference alone.

    Raises:
        ValueError: Lambda is not in [0, 1], or there is not a vector for each hit.
    """
    if not 0.0 <= lam <= 1.0:
        raise ValueError(f"lambda must be between 0 and 1, not {lam}")
    if len(vectors) != len(hits):
        raise ValueError(f"{len(hits)} hits have {len(vectors)} vectors")
    scores = np.asarray([score for _, score in hits], dtype=np.float64)
    relevance = scores / max(float(scores.max(initial=0.0)), 1e-12)
    nearest = np.zeros(len(hits))
    taken: list[int] = []
    for _ in range(min(n, len(hits))):
        worth = lam * relevance - (1.0 - lam) * nearest
        worth[taken] = -np.inf
        # Rounded: two processors must not settle a tie differently.
        best = int(np.argmax(np.round(worth, 6)))
        likeness = np.asarray(vectors @ vectors[best], dtype=np.float64)
        nearest = np.maximum(nearest, likeness) if taken else likeness
        taken.append(best)
    return [hits[i] for i in taken]
