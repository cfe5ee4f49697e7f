"""Pocket's architecture and its structured start.

Stock `Lfm2ForCausalLM`: short convolutions and attention in turn (or, to compare, a plain
`LlamaForCausalLM` of the same size, which has nothing to wire). The start holds no data but a
wiring: the convolutions put the last four tokens into four orthogonal subspaces of the residual,
and the attention heads compare "the words before this one" with "the words before that one", so
that looking up what followed the same words is there from the first step and only has to be
refined. Without it a model of this size stays blind to references for millions of tokens.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["FORMS", "build_model"]

FORMS = ("lfm2", "llama")

_GROUPS = 4
_PATTERNS = (((0,), (1,)), ((1,), (2,)), ((0, 1), (1, 2)), ((0, 1, 2), (1, 2, 3)))
"""For each head: tokens back that the query reads, tokens back that the key reads."""


def build_model(
    vocabulary: int,
    width: int = 192,
    layers: int = 6,
    seed: int = 0,
    form: str = "lfm2",
    wired: bool = True,
) -> Any:
    """A fresh model.

    Args:
        vocabulary: Number of tokens.
        width: Size of the residual; a multiple of 16.
        layers: Even; of LFM2's, convolution and attention alternate.
        form: One of `FORMS`.
        wired: Whether an LFM2 has the structured start.
    """
    import torch

    model = (
        _lfm2(vocabulary, width, layers) if form == "lfm2" else _llama(vocabulary, width, layers)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        _plain(model, generator)
        if form == "lfm2":
            _open_gates(model, width)
        if form == "lfm2" and wired:
            _wire(model, width, generator)
    return model


def _sizes(vocabulary: int, width: int, layers: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 6,
        "bos_token_id": None,
        "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"},
    }


def _lfm2(vocabulary: int, width: int, layers: int) -> Any:
    from transformers import Lfm2Config, Lfm2ForCausalLM

    config = Lfm2Config(
        **_sizes(vocabulary, width, layers),
        layer_types=["conv", "full_attention"] * (layers // 2),
        conv_L_cache=_GROUPS,
        conv_bias=True,
        block_auto_adjust_ff_dim=False,
    )
    return Lfm2ForCausalLM(config)


def _llama(vocabulary: int, width: int, layers: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_sizes(vocabulary, width, layers)))


def _open_gates(model: Any, width: int) -> None:
    """Gates of the convolutions near one, without which little gets through at first."""
    for layer in model.model.layers:
        if hasattr(layer, "conv"):
            layer.conv.in_proj.bias.zero_()
            layer.conv.in_proj.bias[: 2 * width] = 1.0
            layer.conv.out_proj.bias.zero_()
            layer.conv.conv.bias.zero_()


def _orthogonal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random matrix with orthonormal rows or columns, whichever are fewer."""
    import torch

    tall = torch.randn(max(rows, columns), min(rows, columns), generator=generator)
    basis: Tensor = torch.linalg.qr(tall)[0]
    return basis if rows >= columns else basis.t()


def _plain(model: Any, generator: torch.Generator) -> None:
    import torch

    for name, weight in model.named_parameters():
        if "embed" in name:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.05)
        elif weight.dim() == 2:
            scale = 1 / math.sqrt(weight.shape[1])
            if name.split(".")[-2] in ("out_proj", "o_proj", "w2", "down_proj"):
                scale *= 0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)


def _wire(model: Any, width: int, generator: torch.Generator) -> None:
    """Convolutions as shifts, attention as a comparison of what stood before, values as a copy."""
    shifted: list[Tensor] = []
    for layer in model.model.layers:
        if hasattr(layer, "conv"):
            shifted = _wire_convolution(layer.conv, width, generator)
        else:
            _wire_attention(layer.self_attn, shifted, width, generator)


def _wire_convolution(conv: Any, width: int, generator: torch.Generator) -> list[Tensor]:
    import torch

    group = width // _GROUPS
    conv.in_proj.weight[: 2 * width] *= 0.2
    value = _orthogonal(group, width, generator)
    conv.in_proj.weight[2 * width :].copy_(torch.cat([value] * _GROUPS))
    out = _orthogonal(width, width, generator)
    conv.out_proj.weight.copy_(out)
    conv.conv.weight.zero_()
    for shift in range(_GROUPS):
        rows = slice(shift * group, (shift + 1) * group)
        conv.conv.weight[rows, 0, _GROUPS - 1 - shift] = 1.0
    return [out[:, s * group : (s + 1) * group] for s in range(_GROUPS)]


def _wire_attention(
    attention: Any, shifted: list[Tensor], width: int, generator: torch.Generator
) -> None:
    import torch

    size, group = width // 4, width // _GROUPS
    for head, (reads, keys) in enumerate(_PATTERNS):
        rows = slice(head * size, (head + 1) * size)
        bases = [_orthogonal(size, group, generator) for _ in reads]
        query = sum(b @ shifted[a].t() for b, a in zip(bases, reads, strict=True))
        key = sum(b @ shifted[a].t() for b, a in zip(bases, keys, strict=True))
        attention.q_proj.weight[rows] = torch.as_tensor(query)
        attention.k_proj.weight[rows] = torch.as_tensor(key)
    value = _orthogonal(width, width, generator)
    attention.v_proj.weight.copy_(value)
    attention.out_proj.weight.copy_(value.t() * 0.5)
