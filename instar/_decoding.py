"""A question on its way through the local model, the noise that it samples with, and an end to babble."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instar.types import Reply, Sampling, ToolSpec

__all__ = ["Babble", "Gumbel", "Request"]

_PERIOD = 32
_REPEATED = 40
_EVERY = 8


@dataclass
class Request:
    """A question in the queue."""

    prompt: str
    tools: tuple[ToolSpec, ...]
    sampling: Sampling
    adapter: Path | None
    answer: asyncio.Future[Reply]


class Gumbel:
    """Logits processor that turns greedy decoding into sampling, each row with its own seed."""

    def __init__(self, batch: Sequence[Request]) -> None:
        import torch

        self._sampled = [
            (i, r.sampling, torch.Generator().manual_seed(r.sampling.seed))
            for i, r in enumerate(batch)
            if r.sampling.temperature > 0
        ]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores whose largest entry is the next token of each row."""
        import torch

        if not self._sampled:
            return scores
        scores = scores.clone()
        for i, sampling, noise in self._sampled:
            row = _nucleus(scores[i].float() / sampling.temperature, sampling.top_p)
            uniform = torch.rand(row.shape, generator=noise).clamp_(1e-9, 1 - 1e-7)
            scores[i] = row - torch.log(-torch.log(uniform)).to(row.device)
        return scores


class Babble:
    """Stopping criterion for rows that only repeat themselves, each for itself.

    One such row would keep its whole batch waiting until the last token that is allowed. A row is
    ended when its last 40 tokens, and two rounds at least, repeat with a period of at most 32.
    """

    def __init__(self, prompt: int) -> None:
        self._prompt = prompt

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """For every row whether it ends here."""
        import torch

        new = input_ids[:, self._prompt :]
        ended = torch.zeros(len(new), dtype=torch.bool, device=new.device)
        if new.shape[1] % _EVERY:
            return ended
        for period in range(1, min(_PERIOD, new.shape[1] - _REPEATED) + 1):
            length = max(_REPEATED, 2 * period)
            if new.shape[1] >= length + period:
                same = new[:, -length:] == new[:, -length - period : -period]
                ended |= same.all(dim=1)
        return ended


def _nucleus(row: Any, top_p: float) -> Any:
    """Logits with everything outside the smallest set of mass ``top_p`` ruled out."""
    if top_p >= 1:
        return row
    values, order = row.sort(descending=True)
    outside = values.softmax(-1).cumsum(-1) - values.softmax(-1) >= top_p
    return row.index_fill(0, order[outside], float("-inf"))
