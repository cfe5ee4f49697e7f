"""Pairs of answers to one prompt, encoded with the template that serves the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from finetune.train._encode import Encoded, encode
from finetune.train._loss import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Pairs", "encode_pairs"]


@dataclass
class Pairs:
    """The better and the worse answers, row by row, and what became of the pairs.

    Attributes:
        cut: Pairs left out because one of them is longer than the limit.
        masked: Pairs left out because nothing tells the two apart.
    """

    chosen: Encoded = field(default_factory=Encoded)
    rejected: Encoded = field(default_factory=Encoded)
    cut: int = 0
    masked: int = 0

    def add(self, chosen: Encoded, rejected: Encoded) -> None:
        """Take one pair, or count why not."""
        self.chosen.longest = max(self.chosen.longest, chosen.longest, rejected.longest)
        if chosen.cut or rejected.cut:
            self.cut += 1
        elif not (chosen.ids and rejected.ids) or chosen.ids == rejected.ids:
            self.masked += 1
        else:
            prompt = min(own.labels[0].count(IGNORED) for own in (chosen, rejected))
            for mine, own in ((self.chosen, chosen), (self.rejected, rejected)):
                mine.add(own.ids[0], prompt, len(own.ids[0]))
                mine.drifted += own.drifted

    def columns(self) -> dict[str, list[Any]]:
        """The pairs as TRL's trainer has them after its own encoding."""
        prompts = [
            ids[: labels.count(IGNORED)]
            for ids, labels in zip(self.chosen.ids, self.chosen.labels, strict=True)
        ]
        return {
            "prompt_ids": prompts,
            "chosen_ids": _answers(self.chosen),
            "rejected_ids": _answers(self.rejected),
        }

    @property
    def lengths(self) -> list[int]:
        """Tokens of each pair, both answers with their prompt."""
        both = zip(self.chosen.ids, self.rejected.ids, strict=True)
        return [len(chosen) + len(rejected) for chosen, rejected in both]

    def metrics(self) -> dict[str, Any]:
        """What became of the pairs, for the report."""
        return self.chosen.metrics() | {
            "rows_cut": self.cut,
            "rows_masked": self.masked,
            "row_tokens": sum(self.lengths),
            "row_tokens_learnt": self.chosen.learnt + self.rejected.learnt,
        }


def encode_pairs(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    stops: Sequence[int],
    limit: int,
) -> Pairs:
    """Encode ``prompt`` with ``chosen`` and with ``rejected``; arguments as for `encode`."""
    pairs = Pairs()
    for row in rows:
        chosen, rejected = (
            encode([{**row, "completion": row[name]}], tokenizer, stops, limit)
            for name in ("chosen", "rejected")
        )
        pairs.add(chosen, rejected)
    return pairs


def _answers(encoded: Encoded) -> list[list[int]]:
    return [[i for i in labels if i != IGNORED] for labels in encoded.labels]
