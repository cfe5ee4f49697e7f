"""How far a training has moved the model on what it could do before: the loss on anchors.

Anchors are some of the rows that the base brings along (`finetune.train._replay`). Those whose answer
recites a memory of their prompt are counted apart, for following memories is what an adapter
forgets first. Where a trainer rehearses the same rows, the figure says how well that works.
"""

from __future__ import annotations

import statistics
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.train._loss import each_answer
from finetune.train._replay import encode_texts, replay_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Anchors"]

_FENCE = ("<memory>", "</memory>")


class Anchors:
    """Some rows of the base, half of them with a memory that is followed, as far as there are any.

    Args:
        base: Folder of the base model.
        tokenizer: Of the base.
        limit: Longest row in tokens.
        count: How many; the first ones, so that all trainings over a base have the same.
    """

    def __init__(
        self, base: Path, tokenizer: PreTrainedTokenizerBase, limit: int, count: int
    ) -> None:
        rows = list(replay_texts(base)) if count else []
        led = [row for row in rows if _follows(*row)]
        rest = [row for row in rows if not _follows(*row)]
        self._sorts = {
            "followed": encode_texts(led[: max(count // 2, count - len(rest))], tokenizer, limit),
            "other": encode_texts(
                rest[: max(count - count // 2, count - len(led))], tokenizer, limit
            ),
        }

    def losses(
        self, model: Any, pad: int, precision: AbstractContextManager[Any]
    ) -> dict[str, float]:
        """Mean loss of the answers of each sort under the model, in nats a token."""
        found = {}
        for sort, encoded in self._sorts.items():
            if encoded.ids:
                losses = each_answer(model, encoded, pad, precision)
                found[sort] = statistics.fmean(nats for own in losses for nats in own)
        return found

    def drift(self, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
        """The report: number of anchors and loss of each sort, before and after."""
        return {
            f"anchors_{sort}": {
                "rows": len(self._sorts[sort].ids),
                "before": round(before[sort], 4),
                "after": round(after[sort], 4),
            }
            for sort in before
        }


def _follows(prompt: str, completion: str) -> bool:
    """Whether the answer recites a line of the memories in its prompt."""
    start, end = (prompt.find(mark) for mark in _FENCE)
    lines = prompt[start + len(_FENCE[0]) : end].splitlines() if 0 <= start < end else []
    return any(line.strip() and line.strip() in completion for line in lines)
