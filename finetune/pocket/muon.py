"""Muon for weight matrices (Jordan et al., 2024): momentum, made orthogonal by Newton-Schulz steps.

The update is scaled by 0.2 * sqrt(largest side) so that one learning rate serves matrices and the
AdamW part (Liu et al., 2025, "Muon is scalable for LLM training"). Matrices of one shape are
stepped together. Torch's own `torch.optim.Muon` steps them one by one, which on a CPU with many
small matrices costs several times as much.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from finetune.train._model import fast_type

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Muon"]

_A, _B, _C = 3.4445, -4.7750, 2.0315


def _orthogonalise(gradient: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrix, roughly; ``gradient`` is (matrices, rows, columns)."""
    import torch

    x = gradient.to(fast_type(gradient.device.type))
    flip = x.size(-2) > x.size(-1)
    if flip:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=_B, alpha=_C), x, beta=_A)
    result: Tensor = (x.mT if flip else x).float()
    return result


class Muon:
    """Optimiser for two-dimensional parameters."""

    def __init__(self, parameters: Iterable[Tensor], momentum: float = 0.95) -> None:
        import torch

        self.momentum = momentum
        self.groups: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.buffers = {
            s: torch.zeros(len(ps), *s, device=ps[0].device) for s, ps in self.groups.items()
        }

    def step(self, rate: float) -> None:
        """Take one step with Nesterov momentum."""
        import torch

        with torch.no_grad():
            for shape, parameters in self.groups.items():
                gradient = torch.stack([p.grad for p in parameters if p.grad is not None])
                buffer = self.buffers[shape]
                buffer.lerp_(gradient, 1 - self.momentum)
                update = _orthogonalise(gradient.lerp(buffer, self.momentum))
                scale = rate * 0.2 * math.sqrt(max(shape))
                for parameter, direction in zip(parameters, update, strict=True):
                    parameter.add_(direction, alpha=-scale)

    def state_dict(self) -> dict[str, Any]:
        """The momentum buffers."""
        return {"buffers": list(self.buffers.values())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from saved buffers."""
        for buffer, saved in zip(self.buffers.values(), state["buffers"], strict=True):
            buffer.copy_(saved)
