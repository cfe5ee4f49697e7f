"""Two rankings into one.

`fuse` is reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): a row gets 1 / (k + place) from
each ranking that names it, so a cosine and a share of words need no common scale.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Ranked", "fuse"]

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
