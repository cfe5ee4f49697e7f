"""Rows of a step end to end instead of side by side, so that nothing is filled up.

Positions begin again with each row, which is how transformers knows where one ends: no row sees
another, and a step takes the same gradient as over padded rows, to rounding. It pays where rows differ
much in length, most of all on a GPU. Layers that look back by other means than attention, as the short
convolutions of an LFM2 do, would look into the row before; such a base is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from finetune.train._loss import IGNORED
from instar.errors import UserError

if TYPE_CHECKING:
    import torch

__all__ = ["end_to_end", "packed_losses", "require_attention_alone"]


def require_attention_alone(model: Any, method: str) -> None:
    """See that rows end to end do not touch.

    Raises:
        UserError: The base has layers of another kind.
    """
    kinds = set(getattr(model.config, "layer_types", None) or ())
    others = sorted(kind for kind in kinds if not kind.endswith("attention"))
    if others:
        raise UserError(
            f"Packing cannot keep rows apart in a base with layers of kind {', '.join(others)}: "
            f"leave out methods.{method}.packing."
        )


def end_to_end() -> Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]:
    """A collator: one long row; its labels are those of the token after, with the weight of its row."""
    import torch

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids: list[int] = []
        places: list[int] = []
        labels: list[int] = []
        weights: list[float] = []
        for row in rows:
            ids += row["input_ids"]
            places += range(len(row["input_ids"]))
            # Shifted here, within the row: its last token predicts nothing of the next one.
            labels += [*row["labels"][1:], IGNORED]
            weights += [row.get("weights", 1.0)] * len(row["input_ids"])
        return {
            "input_ids": torch.tensor([ids]),
            "position_ids": torch.tensor([places]),
            # The trainer counts the labels after the first.
            "labels": torch.tensor([[IGNORED, *labels]]),
            "weights": torch.tensor([weights]),
        }

    return collate


def packed_losses(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Weighted loss of every token of the answers, in one vector, in nats."""
    from torch.nn.functional import cross_entropy

    wanted = batch["labels"][0, 1:]
    learnt = (wanted != IGNORED).nonzero()[:, 0]
    inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
    logits = model(**inputs, use_cache=False, logits_to_keep=learnt).logits[0].float()
    losses = cross_entropy(logits, wanted[learnt], reduction="none")
    return losses * batch["weights"][0, learnt]
