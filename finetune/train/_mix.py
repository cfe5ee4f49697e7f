"""What to train on how often: rows that teach something new, and rows that keep what is known.

Most turns of a success are nothing new: the base would have acted the same, and its loss on them is
next to nothing. Without them an adapter forgets (it no longer follows a memory, say); with all of
them it spends its steps on what it knows. So the base is asked first, and the rows that it would
not have answered are repeated until the known ones are the share wanted. WebRL (Qi et al. 2024)
filters replayed steps by the probability of the action in the same spirit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from finetune.train._encode import Encoded
from finetune.train._loss import IGNORED, left_padded

if TYPE_CHECKING:
    import torch

__all__ = ["mixed", "surprises"]

_SURPRISE = math.log(2)
_ROWS = 16


def mixed(surprise: Sequence[float], known: float) -> tuple[list[int], int]:
    """Numbers of rows for one pass, and how many rows are new.

    Args:
        surprise: Of every row, as `surprises` gives it; a row above ln 2 is new.
        known: Share of the pass wanted for known rows; they are never repeated, nor left out.
    """
    new = [i for i, nats in enumerate(surprise) if nats > _SURPRISE]
    old = [i for i, nats in enumerate(surprise) if nats <= _SURPRISE]
    times = round(len(old) * (1 - known) / known / len(new)) if new else 0
    return old + new * max(1, times), len(new)


def surprises(model: Any, encoded: Encoded, pad: int) -> list[float]:
    """The highest loss of a token of each row's answer under the model, in nats.

    The highest and not the mean: a call whose one argument is wrong is wrong.
    """
    import torch

    collate = left_padded(pad)
    order = sorted(range(len(encoded.ids)), key=lambda i: len(encoded.ids[i]))
    found = [0.0] * len(order)
    model.eval()
    with torch.no_grad():
        for numbers in _some(order):
            rows = [{"input_ids": encoded.ids[i], "labels": encoded.labels[i]} for i in numbers]
            for number, worst in zip(numbers, _worst(model, collate(rows)), strict=True):
                found[number] = worst
    model.train()
    return found


def _some(order: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), _ROWS):
        yield order[start : start + _ROWS]


def _worst(model: Any, batch: dict[str, torch.Tensor]) -> list[float]:
    from torch.nn.functional import cross_entropy

    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    labels = batch.pop("labels")
    kept = model(**batch, use_cache=False, logits_to_keep=labels.shape[1]).logits[:, :-1]
    wanted = labels[:, 1:]
    losses = cross_entropy(
        kept.flatten(0, 1).float(), wanted.flatten(), reduction="none", ignore_index=IGNORED
    )
    return [float(worst) for worst in losses.view(wanted.shape).amax(dim=1)]
