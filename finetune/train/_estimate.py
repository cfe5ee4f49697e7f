"""What a training would take, from one step of it that is really made and then forgotten."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finetune.train._settings import Settings

if TYPE_CHECKING:
    import torch

__all__ = ["estimate", "sentence"]

_OPTIMISER = 4 + 8
"""Bytes for each trained number: its gradient, and the two moments of Adam."""


def estimate(trainer: Any, lengths: Sequence[int], settings: Settings) -> dict[str, Any]:
    """Seconds and bytes of a training.

    The rows that come first are timed; the longest ones are what memory has to hold. Bytes are those
    of the weights, the optimiser and everything that the backward pass keeps, without the
    library's own.

    Args:
        trainer: Of TRL, ready to go.
        lengths: Tokens of the rows in the order trained.
        settings: Of the training.
    """
    longest = sorted(range(len(lengths)), key=lambda i: -lengths[i])[: settings.at_once]
    _, kept = _pass(trainer, longest)
    first = list(range(min(settings.at_once, len(lengths))))
    seconds, _ = _pass(trainer, first)
    pace = sum(lengths[i] for i in first) / max(seconds, 1e-9)
    parameters = list(trainer.model.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return {
        "seconds_estimated": round(sum(lengths) / pace, 3),
        "tokens_per_second": round(pace),
        "bytes_estimated": weights + _OPTIMISER * trained + kept,
        "trained_parameters": trained,
    }


def sentence(found: Mapping[str, Any]) -> str:
    """The result for people."""
    return (
        f"dry run, no adapter was made: {found['rows_used']} rows used, {found['rows_cut']} too "
        f"long, {found['rows_masked']} with nothing to learn; the longest has "
        f"{found['longest_row']} of {found['max_length']} tokens; {found['steps_planned']} steps "
        f"over {found['tokens']} tokens would take about {_duration(found['seconds_estimated'])} "
        f"and {found['bytes_estimated'] / 2**30:.1f} GiB on {found['device']}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _pass(trainer: Any, rows: Sequence[int]) -> tuple[float, int]:
    """Seconds of one forward and backward pass, and the bytes kept between the two."""
    from torch.autograd.graph import saved_tensors_hooks

    batch = trainer.data_collator([trainer.train_dataset[i] for i in rows])
    inputs = trainer._prepare_inputs(batch)
    own = {p.untyped_storage().data_ptr() for p in trainer.model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    trainer.model.train()
    began = time.monotonic()
    with saved_tensors_hooks(note, lambda tensor: tensor), trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    # Reading the number waits for a GPU.
    float(loss.detach())
    seconds = time.monotonic() - began
    trainer.model.zero_grad()
    return seconds, sum(kept.values())
