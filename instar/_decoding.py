"""A question on its way through the local model, how its next token is chosen, and an end to babble."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from instar.errors import ModelFault
from instar.types import Reply, Sampling, ToolSpec

__all__ = ["Guide", "Mask", "Request", "Row", "babbles", "choose"]

Mask: TypeAlias = NDArray[np.bool_]
"""One entry a token."""

_PERIOD = 32
_REPEATED = 40
_EVERY = 8


class Guide:
    """The way through an answer that has to follow a grammar.

    Args:
        matcher: An llguidance matcher at its start.
        closers: Tokens that shorten the way to the end, the most wanted first.
        reserve: Tokens that the way to the end may take.
    """

    def __init__(self, matcher: Any, closers: Sequence[Mask], reserve: int) -> None:
        self._matcher, self._closers, self._reserve = matcher, closers, reserve
        self._read = 0
        self._closing = False

    def allowed(self, new: Sequence[int], left: int) -> Mask:
        """Which tokens may come next.

        Args:
            new: The answer so far.
            left: Tokens that it may still have.
        """
        self._matcher.consume_tokens(list(new[self._read :]))
        self._read = len(new)
        if self._matcher.is_error():
            raise ModelFault(f"The grammar of calls failed: {self._matcher.get_error()}")
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        mask = np.unpackbits(bits, count=len(self._closers[0]), bitorder="little").view(np.bool_)
        self._closing = self._closing or left <= self._reserve or babbles(new)
        if self._closing:
            for closer in self._closers:
                if (mask & closer).any():
                    return mask & closer
        return mask


@dataclass
class Request:
    """A question in the queue; ``ids`` are the tokens of its prompt."""

    ids: list[int]
    tools: tuple[ToolSpec, ...]
    sampling: Sampling
    adapter: Path | None
    answer: asyncio.Future[Reply]
    guide: Guide | None = None


@dataclass
class Row:
    """A request that is being answered: the tokens so far, and the noise that it samples with."""

    request: Request
    most: int
    new: list[int] = field(default_factory=list)
    noise: Any = None
    begun: float = field(default_factory=time.monotonic)

    def ended(self, stops: Sequence[int]) -> bool:
        """Whether there is nothing more to say, or nobody waits for it."""
        return (
            self.new[-1] in stops
            or len(self.new) >= self.most
            or self.request.answer.done()
            or (self.request.guide is None and babbles(self.new))
        )


def choose(rows: Sequence[Row], logits: Any) -> list[int]:
    """The next token of each row: the likeliest, or one drawn with the row's own noise.

    The largest of logits plus Gumbel noise is a sample of their softmax. Where an answer has to
    follow a grammar, only what it allows is there to choose from.

    Args:
        logits: ``[rows, vocabulary]``; what is not allowed is ruled out in place.
    """
    import torch

    for i, row in enumerate(rows):
        if row.request.guide is not None:
            allowed = row.request.guide.allowed(row.new, row.most - len(row.new))
            ruled_out = torch.from_numpy(~allowed).to(logits.device)
            logits[i].masked_fill_(ruled_out, float("-inf"))
    best: list[int] = logits.argmax(-1).tolist()
    for i, row in enumerate(rows):
        sampling = row.request.sampling
        if sampling.temperature > 0:
            row.noise = row.noise or torch.Generator().manual_seed(sampling.seed)
            scores = _nucleus(logits[i].float() / sampling.temperature, sampling.top_p)
            uniform = torch.rand(scores.shape, generator=row.noise).clamp_(1e-9, 1 - 1e-7)
            best[i] = int((scores - torch.log(-torch.log(uniform)).to(scores.device)).argmax())
    return best


def babbles(new: Sequence[int]) -> bool:
    """Whether an answer only repeats itself; looked at every eight tokens.

    It does when its last 40 tokens, and two rounds at least, repeat with a period of at most 32.
    Such a row would run to the last token that it is allowed.
    """
    if len(new) % _EVERY:
        return False
    for period in range(1, min(_PERIOD, len(new) - _REPEATED) + 1):
        length = max(_REPEATED, 2 * period)
        if len(new) >= length + period and new[-length:] == new[-length - period : -period]:
            return True
    return False


def _nucleus(row: Any, top_p: float) -> Any:
    """Logits with everything outside the smallest set of mass ``top_p`` ruled out."""
    if top_p >= 1:
        return row
    values, order = row.sort(descending=True)
    outside = values.softmax(-1).cumsum(-1) - values.softmax(-1) >= top_p
    return row.index_fill(0, order[outside], float("-inf"))
