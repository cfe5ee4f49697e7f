"""TRL's trainers with two changes: a learning rate that keeps to a plan, and a loss of answers only.

TRL takes log-probabilities at every position and masks afterwards. A prompt is twenty times as long
as an answer, and in a small model the output layer is a fifth of the step. So rows are padded on
the left, all answers end together, and logits are made of the last positions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

from finetune.train import _ranks

if TYPE_CHECKING:
    import torch
    from trl import SFTTrainer

    from finetune.train._encode import Encoded

__all__ = ["IGNORED", "answer_losses", "answer_trainer", "each_answer", "left_padded", "planned"]

Losses: TypeAlias = "Callable[[Any, dict[str, torch.Tensor]], torch.Tensor]"

IGNORED = -100
"""Label of a token that is not learnt."""

_ROWS = 16


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


def answer_losses(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Loss of every token of the answers, one row each, 0 where there is none; in nats."""
    from torch.nn.functional import cross_entropy

    labels = batch["labels"]
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    kept = model(**inputs, use_cache=False, logits_to_keep=labels.shape[1]).logits
    logits, wanted = kept[:, :-1].flatten(0, 1).float(), labels[:, 1:]
    losses = cross_entropy(logits, wanted.flatten(), reduction="none", ignore_index=IGNORED)
    return losses.view(wanted.shape)


def each_answer(
    model: Any, encoded: Encoded, pad: int, precision: AbstractContextManager[Any]
) -> list[list[float]]:
    """Loss of each token of each row's answer under the model as it is, in nats.

    Several processes share the rows out, and all of them get all losses.
    """
    import torch

    collate = left_padded(pad)
    order = sorted(range(len(encoded.ids)), key=lambda i: len(encoded.ids[i]))
    batches = [order[start : start + _ROWS] for start in range(0, len(order), _ROWS)]
    found: dict[int, list[float]] = {}
    training = model.training
    model.eval()
    with torch.no_grad(), precision:
        for numbers in batches[_ranks.number() :: _ranks.count()]:
            rows = [{"input_ids": encoded.ids[i], "labels": encoded.labels[i]} for i in numbers]
            batch = {name: tensor.to(model.device) for name, tensor in collate(rows).items()}
            losses = answer_losses(model, batch).tolist()
            for number, own in zip(numbers, losses, strict=True):
                length = sum(label != IGNORED for label in encoded.labels[number])
                found[number] = own[len(own) - length :]
    model.train(training)
    known = {number: own for part in _ranks.each(found) for number, own in part.items()}
    return [known[number] for number in range(len(order))]


def _weighted(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return answer_losses(model, batch) * batch["weights"][:, None]


def planned(kind: type[Any], rate: Callable[[int], float]) -> type[Any]:
    """A trainer of TRL whose learning rate keeps to a plan and whose checkpoints hold the adapter.

    Args:
        kind: Class of the trainer.
        rate: Factor of the learning rate after a number of steps.
    """
    from torch.optim.lr_scheduler import LambdaLR

    class Planned(kind):  # type: ignore[misc]
        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, rate)
            return self.lr_scheduler

        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            # PEFT's default asks the hub about the base.
            self.model.save_pretrained(
                output_dir or self.args.output_dir,
                selected_adapters=["default"],
                save_embedding_layers=False,
                is_main_process=_ranks.first(),
            )

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """None for a checkpoint."""

    return Planned


def answer_trainer(losses: Losses | None = None) -> type[SFTTrainer]:
    """TRL's supervised trainer, with logits of the answers alone.

    Args:
        losses: Weighted loss of each token of a batch; by default of rows that are padded on the left.
    """
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, torch.Tensor],
            return_outputs: bool = False,
            num_items_in_batch: torch.Tensor | int | None = None,
        ) -> torch.Tensor:
            total = (losses or _weighted)(model, inputs).sum()
            if num_items_in_batch is None:
                return total / (inputs["labels"] != IGNORED).sum()
            # That counts the answers of all processes, and their gradients are averaged.
            return total * _ranks.count() / num_items_in_batch

    return AnswerTrainer
