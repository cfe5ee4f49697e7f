"""What trainers share: the contract, progress for people, and which layers an adapter goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from instar.contracts import Trainer as Contract
from instar.errors import UserError
from instar.types import Record

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Contract", "OnProgress", "Progress", "linear_layers"]


class Progress(Record):
    """Where a training stands.

    Attributes:
        steps: Steps planned; may fall while it runs, when time is short.
        loss: Of the latest step, nats a token.
    """

    step: int
    steps: int
    loss: float
    seconds: float


OnProgress: TypeAlias = Callable[[Progress], None]


def linear_layers(model: nn.Module) -> list[str]:
    """Names of all linear layers but the output embedding, as ``target_modules`` wants them."""
    from torch import nn

    head = getattr(model, "get_output_embeddings", lambda: None)()
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    if not names:
        raise UserError(f"{type(model).__name__} has no linear layer that an adapter could go on.")
    return sorted(names)
