"""The short convolutions of an LFM2-shaped model as sums of shifted products, for training.

The library's backward pass of a depthwise convolution takes a quarter of a training step on a CPU;
as shifted products it is element-wise work. Only the modules in memory are changed: weights and the
saved model are the stock ones. Not for generation, as nothing is kept in a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["shift_convolutions"]


def shift_convolutions(model: Any) -> None:
    """Change the forward pass of every short convolution in ``model``, if it has any."""
    for module in model.modules():
        if type(module).__name__ == "Lfm2ShortConv":
            module.forward = _shifted(module)


def _shifted(module: Any) -> Callable[..., Any]:
    import torch

    def forward(hidden_states: Any, *_: Any, **__: Any) -> Any:
        gate, out_gate, value = module.in_proj(hidden_states).chunk(3, dim=-1)
        length, size = hidden_states.shape[1], module.conv_kernel_size
        padded = torch.nn.functional.pad(gate * value, (0, 0, size - 1, 0))
        weight = module.conv.weight[:, 0]
        mixed = sum(padded[:, k : k + length] * weight[:, k] for k in range(size))
        if module.conv.bias is not None:
            mixed = mixed + module.conv.bias
        return module.out_proj(out_gate * mixed)

    return forward
