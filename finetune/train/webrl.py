"""WebRL's actor loss on a LoRA adapter: how far an answer may move from the starting policy.

For every row the loss is ``(beta * log(pi(answer) / pi_start(answer)) - advantage) ** 2`` (Qi et al.
2024, as their code has it): an answer that was good becomes likelier by a bounded factor and no
more, and one that was bad less likely, which likelihood alone cannot say. The advantage is the
``weight`` of the row, 1 where it has none; WebRL's own takes 1 for a success and masks the rest. The
critic that gives finer ones is left out on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from finetune.train import _ranks
from finetune.train._encode import Encoded, encode, require_rows
from finetune.train._job import Job, Parts, Plan
from finetune.train._loss import answer_losses, each_answer, left_padded, planned
from finetune.train._mix import Mix
from finetune.train._run import AdapterTraining
from finetune.train._settings import Settings
from finetune.train._watch import Watch

if TYPE_CHECKING:
    import torch
    from trl import SFTTrainer

__all__ = ["WebRL"]


class WebRL(AdapterTraining):
    """LoRA on answers with an advantage each, by the squared log-ratio to the starting policy."""

    class Config(Settings):
        """How to train; without ``lr`` it is 1e-3 for a base below 20 million parameters, else 5e-5.

        Attributes:
            beta: Scale of the log-ratio: an answer of advantage 1 becomes ``exp(1 / beta)`` times
                as likely.
        """

        epochs: float = Field(default=3.0, gt=0)
        beta: float = Field(default=1.0, gt=0)

    id = "webrl"
    rates = (1e-3, 5e-5)
    shared = True
    config: Config

    def plan(self, job: Job) -> Plan:
        """The rows, each as often as the next, with the starting policy's log-probability.

        Raises:
            UserError: No row fits, or there is nothing in them to learn.
        """
        limit, rows = self.config.max_length, job.dataset.rows
        each = [encode([row], job.tokenizer, job.stops, limit) for row in rows]
        encoded = Encoded()
        for own in each:
            encoded.take(own)
        require_rows(encoded, limit, self.id)
        losses = each_answer(job.model, encoded, job.pad, job.autocast)
        fitting = [row for row, own in zip(rows, each, strict=True) if own.ids]
        columns: dict[str, list[Any]] = {
            "input_ids": encoded.ids,
            "labels": encoded.labels,
            "start": [-sum(own) for own in losses],
            "advantage": [float(row.get("weight", 1.0)) for row in fitting],
        }
        lengths = [len(ids) for ids in encoded.ids]
        steps = self.steps(len(lengths))
        mix = Mix.of([0.0] * len(lengths), None)
        order = mix.drawn(lengths, self.config.batch, steps, job.seed)
        drawn = {name: [values[i] for i in order] for name, values in columns.items()}
        return Plan(drawn, [lengths[i] for i in order], steps, encoded.metrics())

    def parts(self, job: Job, watch: Watch) -> Parts:
        """TRL's supervised trainer with the loss of the squared log-ratio."""
        from trl import SFTConfig

        options: dict[str, Any] = {
            "dataset_kwargs": {"skip_prepare_dataset": True},
            "packing": False,
            "max_length": None,
            "remove_unused_columns": False,
        }
        trainer = planned(_ratio_trainer(self.config.beta, self.config.batch), watch.rate)
        return Parts(trainer, SFTConfig, options, {"data_collator": _with_ratio(job.pad)})


def _with_ratio(pad: int) -> Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]:
    import torch

    padded = left_padded(pad)

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        numbers = {
            name: torch.tensor([row[name] for row in rows]) for name in ("start", "advantage")
        }
        return padded(rows) | numbers

    return collate


def _ratio_trainer(beta: float, batch: int) -> type[SFTTrainer]:
    from trl import SFTTrainer

    class RatioTrainer(SFTTrainer):  # type: ignore[misc]
        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, torch.Tensor],
            return_outputs: bool = False,
            num_items_in_batch: torch.Tensor | int | None = None,
        ) -> torch.Tensor:
            ratio = -answer_losses(model, inputs).sum(dim=1) - inputs["start"]
            squares = (beta * ratio - inputs["advantage"]) ** 2
            # Where the number of learnt tokens is given, the sum over the micro-batches of a step
            # is the loss of that step; a step always has as many rows as the batch. The gradients
            # of several processes are averaged.
            whole = squares.sum() * _ranks.count() / batch
            return squares.mean() if num_items_in_batch is None else whole

    return RatioTrainer
