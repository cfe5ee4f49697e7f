"""Rows of the kind that pocket was made from, which every later training sees again.

A LoRA training on a few dozen turns loses part of what the base could do: it follows lessons less
well than before, for one. Rows of the old kind among the new ones keep it (experience replay).
"""

from __future__ import annotations

import random

from finetune.pocket.rows import draw_row

__all__ = ["replay_rows"]

_LONGEST = 1200
_A_PAGE = 2


def replay_rows(seed: int, count: int) -> list[dict[str, str]]:
    """Prompts and completions as the chat template writes them, of all sorts but the longest."""
    rng = random.Random(f"replay {seed}")
    found: list[dict[str, str]] = []
    while len(found) < count:
        row = draw_row(rng, False, _A_PAGE)
        for query in row.queries[:_A_PAGE]:
            prompt = f"{row.prefix}{query.body}<|assistant|>"
            if len(prompt) + len(query.answer) <= _LONGEST:
                found.append({"prompt": prompt, "completion": f"{query.answer}<|end|>"})
    return found[:count]
