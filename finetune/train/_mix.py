"""What to train on how often: rows that teach something new, and rows that keep what is known.

Most turns of a success are nothing new: the model would have acted the same, and its loss on them
is next to nothing. Without them an adapter forgets (it no longer follows a memory, say); with all of
them it spends its steps on what it knows. So the model is asked first, and the rows that it would
not have answered are repeated until the known ones are the share wanted. WebRL (Qi et al. 2024)
filters replayed steps by the probability of the action in the same spirit.

Every few steps hold that share, and rows of all lengths: a small model follows the last hundred rows
that it saw, and rows of one length are of one kind.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from finetune.train._encode import Encoded
from finetune.train._loss import each_answer

__all__ = ["Mix", "surprises"]

_SURPRISE = math.log(2)
_WINDOW = 4


class Mix(NamedTuple):
    """Numbers of the rows that are known and of those that are new.

    Attributes:
        share: Of a pass, how much is known rows.
    """

    old: list[int]
    new: list[int]
    share: float

    @classmethod
    def of(cls, surprise: Sequence[float], known: float | None) -> Mix:
        """Divide rows.

        Args:
            surprise: Of every row, as `surprises` gives it; a row above ln 2 is new.
            known: Largest share of known rows; None takes every row as often as the next.
        """
        new = [i for i, nats in enumerate(surprise) if nats > _SURPRISE]
        old = [i for i, nats in enumerate(surprise) if nats <= _SURPRISE]
        share = len(old) / max(1, len(surprise))
        return cls(old, new, share if known is None or not new else min(known, share))

    @property
    def rows(self) -> int:
        """Rows in one pass: every known one once, the new ones as often as the share asks for."""
        if not self.old or not self.new:
            return len(self.old) + len(self.new)
        return round(len(self.old) / self.share)

    def drawn(self, lengths: Sequence[int], batch: int, steps: int, seed: int) -> list[int]:
        """Numbers of rows for a whole training, in order, ``batch`` for each step.

        Rows come by turns, each as often as the next of its sort. Within every four steps, or a
        pass where that is less, they are sorted by length, so that little is padded; which of the
        steps comes first is drawn.
        """
        rng = random.Random(seed)
        old, new = _endless(self.old, rng), _endless(self.new, rng)
        size = batch * max(1, min(_WINDOW, self.rows // batch))
        order: list[int] = []
        due = 0.0
        while len(order) < steps * batch:
            due += size * self.share
            window = [next(old) for _ in range(int(due))]
            due -= len(window)
            window += [next(new) for _ in range(size - len(window))]
            window.sort(key=lambda i: lengths[i])
            batches = [window[i : i + batch] for i in range(0, len(window), batch)]
            rng.shuffle(batches)
            order += [i for rows in batches for i in rows]
        return order[: steps * batch]


def _endless(rows: Sequence[int], rng: random.Random) -> Iterator[int]:
    """All rows in a drawn order, then all again in another."""
    while rows:
        yield from rng.sample(rows, len(rows))


def surprises(
    model: Any, encoded: Encoded, pad: int, precision: AbstractContextManager[Any]
) -> list[float]:
    """The highest loss of a token of each row's answer under the model, in nats.

    The highest and not the mean: a call whose one argument is wrong is wrong.
    """
    return [max(losses) for losses in each_answer(model, encoded, pad, precision)]
