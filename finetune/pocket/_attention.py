"""Attention of training rows in blocks of queries, so that what lies ahead is never computed.

A block of queries meets only the keys up to its own end. The largest score is not subtracted before
the exponential: queries and keys are normed, so that scores stay small, and they are cut off where
single precision would overflow. Numerators are kept in bfloat16 for the backward pass, where the device multiplies in it. For training
only: no cache, no dropout, as many key heads as query heads. Without a mask it is causal attention
as usual, which is what an exam asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finetune.train._model import fast_type

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["attention_in_blocks"]

_NAME = "pocket_blocks"
_BLOCK = 176
_HIGHEST = 80.0


def attention_in_blocks() -> str:
    """Make it known to transformers, and give the name by which a model asks for it."""
    import torch
    from transformers import AttentionInterface

    blocks, plain = _blocks(), torch.nn.functional.scaled_dot_product_attention
    # Asked here: a question to the machine would end the graph of a compiled model.
    kinds = {"cpu": fast_type("cpu")}
    if torch.cuda.is_available():
        kinds["cuda"] = fast_type("cuda")

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, **rest: Any
    ) -> tuple[Tensor, None]:
        if seen is None:
            return plain(query, key, value, is_causal=True).transpose(1, 2), None
        kind = kinds[query.device.type]
        parts = (query.to(kind), key.to(kind), value.to(kind))
        out: Tensor = blocks.apply(*parts, seen, rest["scaling"])
        return out.transpose(1, 2), None

    AttentionInterface.register(_NAME, attend)
    return _NAME


def _blocks() -> Any:
    """Softmax attention over (rows, heads, length, size), as a differentiable function."""
    import torch

    class Blocks(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scale: float
        ) -> Tensor:
            numerators, totals, outs = [], [], []
            for begin, end in _spans(query.shape[2]):
                scores = query[:, :, begin:end] @ key[:, :, :end].mT
                raised = (scores.float() * scale).clamp(max=_HIGHEST).exp()
                weights = torch.where(seen[:, None, begin:end, :end], raised, 0.0).to(value.dtype)
                numerators.append(weights)
                totals.append(weights.float().sum(-1, keepdim=True))
                outs.append(((weights @ value[:, :, :end]) / totals[-1]).to(value.dtype))
            out = torch.cat(outs, 2)
            ctx.scale = scale
            ctx.save_for_backward(query, key, value, out, torch.cat(totals, 2), *numerators)
            return out

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
            query, key, value, out, totals, *numerators = ctx.saved_tensors
            shared = gradients[0] / totals
            inner = (shared * out).sum(-1, keepdim=True)
            shared = shared.to(value.dtype)
            to_query, to_key, to_value = [], [], []
            for (begin, end), weights in zip(_spans(query.shape[2]), numerators, strict=True):
                part = shared[:, :, begin:end]
                slope = part @ value[:, :, :end].mT
                slope = (weights * (slope.float() - inner[:, :, begin:end]) * ctx.scale).to(
                    value.dtype
                )
                to_query.append(slope @ key[:, :, :end])
                to_key.append(slope.mT @ query[:, :, begin:end])
                to_value.append(weights.mT @ part)
            return torch.cat(to_query, 2), _sum(to_key), _sum(to_value), None, None

    return Blocks


def _spans(length: int) -> list[tuple[int, int]]:
    """Begin and end of each block."""
    return [(begin, min(begin + _BLOCK, length)) for begin in range(0, length, _BLOCK)]


def _sum(parts: list[Tensor]) -> Tensor:
    """Sum of parts that begin at the same key and end at the end of their block."""
    import torch

    pieces = []
    for begin, end in _spans(parts[-1].shape[2]):
        met = [part[:, :, begin:end].float() for part in parts if part.shape[2] >= end]
        pieces.append(sum(met[1:], met[0]).to(parts[0].dtype))
    return torch.cat(pieces, 2)
