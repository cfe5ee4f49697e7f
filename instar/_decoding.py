"""A question on its way through the local model: its noise, and when its batch is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instar.types import Reply, Sampling, ToolSpec

__all__ = ["FewLeft", "Gumbel", "Request"]

_LEFT_OVER = 4


@dataclass
class Request:
    """A question in the queue, with what has been answered of it so far."""

    prompt: str
    tools: tuple[ToolSpec, ...]
    sampling: Sampling
    adapter: Path | None
    answer: asyncio.Future[Reply]
    noise: Any = None
    said: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def room(self) -> int:
        """How many tokens it may still have."""
        return self.sampling.max_tokens - len(self.said)


class FewLeft:
    """Stops a batch when only a few of its rows still want tokens.

    A row that has its stop token, or all the tokens it may have, wants none.
    """

    def __init__(self, batch: Sequence[Request], width: int, stops: Sequence[int]) -> None:
        self._width, self._stops = width, stops
        self._room = [r.room for r in batch]
        self._few = len(batch) // _LEFT_OVER

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Whether each row is over: all of them, or those that have all their tokens."""
        import torch

        new = input_ids[:, self._width :]
        full = new.shape[1] >= torch.tensor(self._room, device=new.device)
        over = torch.isin(new, torch.tensor(self._stops, device=new.device)).any(1) | full
        return over | (int((~over).sum()) <= self._few)


class Gumbel:
    """Logits processor that turns greedy decoding into sampling, each row with its own seed."""

    def __init__(self, batch: Sequence[Request]) -> None:
        self._batch = batch

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores whose largest entry is the next token of each row."""
        import torch

        if all(r.sampling.temperature == 0 for r in self._batch):
            return scores
        scores = scores.clone()
        for i, request in enumerate(self._batch):
            sampling = request.sampling
            if sampling.temperature == 0:
                continue
            row = _nucleus(scores[i].float() / sampling.temperature, sampling.top_p)
            uniform = torch.rand(row.shape, generator=request.noise).clamp_(1e-9, 1 - 1e-7)
            scores[i] = row - torch.log(-torch.log(uniform)).to(row.device)
        return scores


def _nucleus(row: Any, top_p: float) -> Any:
    """Logits with everything outside the smallest set of mass ``top_p`` ruled out."""
    if top_p >= 1:
        return row
    values, order = row.sort(descending=True)
    outside = values.softmax(-1).cumsum(-1) - values.softmax(-1) >= top_p
    return row.index_fill(0, order[outside], float("-inf"))
