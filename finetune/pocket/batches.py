"""From rows to tensors: queries of a row see its prefix and themselves, and only answers count."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from finetune.pocket.rows import Mixture, draw_row
from finetune.pocket.words import pseudo_word

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Batch", "Stream"]

_POOL = 20_000

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Batch:
    """One step's data; ``inputs``, ``targets``, ``counts`` and ``positions`` are (rows, length).

    ``seen`` is (rows, length, length): whether a token, by its first index, sees another.
    """

    inputs: Tensor
    targets: Tensor
    counts: Tensor
    seen: Tensor
    positions: Tensor

    def to(self, device: str) -> Batch:
        """The same on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


class Stream:
    """Batches by number: the same seed and number give the same batch.

    Args:
        rows: Of a batch.
        length: Tokens of a row.
        mixture: What rows are made of.
        simple: How many tokens come from simple rows first.
        masked: Whether queries of a row are hidden from each other.
    """

    def __init__(
        self,
        tokenizer: Any,
        seed: int,
        rows: int,
        length: int,
        mixture: Mixture | None = None,
        simple: int = 0,
        masked: bool = True,
    ) -> None:
        self.seed, self.rows, self.length = seed, rows, length
        self._mixture, self._simple, self._masked = mixture or Mixture(), simple, masked
        backend = tokenizer.backend_tokenizer
        self._encode: Encode = lambda text: backend.encode(text, add_special_tokens=False).ids
        rng = random.Random(f"pool {seed}")
        self._pool = [pseudo_word(rng, False) for _ in range(_POOL)]

    def batch(self, number: int) -> Batch:
        """Draw and pack one batch."""
        import torch

        rng = random.Random(f"{self.seed} {number}")
        length = self.length
        simple = number * self.rows * length < self._simple
        mixture = replace(self._mixture, simple=simple)
        tokens = torch.zeros(self.rows, length + 1, dtype=torch.long)
        counts = torch.zeros(self.rows, length + 1, dtype=torch.bool)
        segments = torch.zeros(self.rows, length, dtype=torch.long)
        positions = torch.zeros(self.rows, length, dtype=torch.long)
        for i in range(self.rows):
            packed = self._pack(rng, mixture)
            tokens[i] = torch.tensor(packed[0])
            counts[i] = torch.tensor(packed[1])
            segments[i] = torch.tensor(packed[2][:length])
            positions[i] = torch.tensor(packed[3][:length])
        if not self._masked:
            segments.clamp_(max=0)
            positions[:] = torch.arange(length)
        own = segments[:, None, :] == segments[:, :, None]
        seen = ((segments[:, None, :] == 0) | own) & torch.ones(length, length).tril().bool()
        inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:]
        return Batch(inputs, targets, counts[:, 1:], seen, positions)

    def _pack(
        self, rng: random.Random, mixture: Mixture
    ) -> tuple[list[int], list[bool], list[int], list[int]]:
        """One row cut or padded to ``length + 1``: tokens, whether they count, segment, position."""
        room = self.length + 1
        while True:
            row = draw_row(rng, False, 12, self._pool, mixture)
            tokens = self._encode(row.prefix)
            if len(tokens) < room - 64:
                break
        start = len(tokens)
        counts, segments, positions = [False] * start, [0] * start, list(range(start))
        for number, query in enumerate(row.queries, 1):
            asked = self._encode(f"{query.body}<|assistant|>")
            answer = self._encode(f"{query.answer}<|end|>")
            tokens += asked + answer
            size = len(asked) + len(answer)
            counts += [False] * len(asked) + [True] * len(answer)
            segments += [number] * size
            positions += range(start, start + size)
            if len(tokens) >= room:
                break
        missing = max(0, room - len(tokens))
        return (
            (tokens + [0] * missing)[:room],
            (counts + [False] * missing)[:room],
            (segments + [-1] * missing)[:room],
            (positions + [0] * missing)[:room],
        )
