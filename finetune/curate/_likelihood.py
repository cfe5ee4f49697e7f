"""How likely a model finds the answers of rows: the inverse of their perplexity."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.train import _model
from finetune.train._encode import Encoded, encode, stop_tokens
from finetune.train._loss import each_answer
from instar.errors import MissingExtra

__all__ = ["likelihoods"]


def likelihoods(
    rows: Sequence[Mapping[str, Any]], base: Path, adapter: Path | None, device: str, limit: int
) -> list[float | None]:
    """For each row the geometric mean of the probabilities of its answer's tokens, in (0, 1].

    Rows are encoded as the trainers do. None is a row that is longer than the limit or of which
    nothing is learnt.

    Args:
        rows: Prompt, completion and tools.
        base: Folder of the model.
        adapter: Folder of an adapter on it.
        device: ``auto`` is CUDA where there is one.
        limit: Longest row, in tokens.

    Raises:
        UserError: The folder holds no such model.
    """
    try:
        import peft  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("transformers with PEFT", "pip install 'instar[local]'") from error
    with _model.quiet():
        place, precision = _model.placement(device, "auto")
        model, tokenizer = _model.load(base, place, precision)
        stops = stop_tokens(tokenizer, model.generation_config)
        alone = [encode([row], tokenizer, stops, limit) for row in rows]
        together = functools.reduce(Encoded.joined, alone, Encoded())
        asked: Any = model.to(place)
        if adapter is not None:
            asked = _model.go_on_from(asked, adapter)
        pad = int(tokenizer.pad_token_id or tokenizer.eos_token_id or 0)
        losses = iter(each_answer(asked, together, pad, _model.autocast(asked, precision)))
    return [math.exp(-statistics.fmean(next(losses))) if own.ids else None for own in alone]
