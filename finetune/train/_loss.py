"""TRL's trainer with two changes: a learning rate that keeps to a plan, and a loss of answers only.

TRL takes log-probabilities at every position and masks afterwards. A prompt is twenty times as long
as an answer, and in a small model the output layer is a fifth of the step. So rows are padded on
the left, all answers end together, and logits are made of the last positions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from trl import SFTTrainer

__all__ = ["IGNORED", "answer_trainer", "left_padded"]

IGNORED = -100
"""Label of a token that is not learnt."""


def left_padded(pad: int) -> Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]:
    """A collator; its labels are as wide as the longest answer and the token before it.

    A row without a weight counts as 1.
    """
    import torch

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [row["input_ids"] for row in rows]
        answers = [[i for i in row["labels"] if i != IGNORED] for row in rows]
        width, answer = max(map(len, ids)), max(map(len, answers))
        return {
            "input_ids": torch.tensor([[pad] * (width - len(r)) + r for r in ids]),
            "attention_mask": torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in ids]),
            # The trainer counts the labels after the first, as if they were as wide as the rows.
            "labels": torch.tensor([[IGNORED] * (1 + answer - len(a)) + a for a in answers]),
            "weights": torch.tensor([row.get("weights", 1.0) for row in rows]),
        }

    return collate


def answer_trainer(rate: Callable[[int], float]) -> type[SFTTrainer]:
    """The class of the trainer.

    Args:
        rate: Factor of the learning rate after a number of steps.
    """
    from torch.nn.functional import cross_entropy
    from torch.optim.lr_scheduler import LambdaLR
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, rate)
            return self.lr_scheduler

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, torch.Tensor],
            return_outputs: bool = False,
            num_items_in_batch: torch.Tensor | int | None = None,
        ) -> torch.Tensor:
            labels, weights = inputs.pop("labels"), inputs.pop("weights")
            kept = model(**inputs, use_cache=False, logits_to_keep=labels.shape[1]).logits
            logits = kept[:, :-1].flatten(0, 1).float()
            losses = cross_entropy(logits, labels[:, 1:].flatten(), reduction="none")
            total = (losses.view(len(weights), -1).sum(dim=1) * weights).sum()
            return total / (num_items_in_batch or (labels != IGNORED).sum())

    return AnswerTrainer
