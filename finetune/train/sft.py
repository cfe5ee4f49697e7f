"""Supervised fine-tuning of a LoRA adapter with TRL and PEFT: only the answer is learnt.

Rows are encoded beforehand with the template that serves the model (`finetune.train._encode`), so
the loss covers exactly what the model would have to generate, up to and with the token that ends
its turn. What the rows have in common with what the model can do already is measured first, and
decides how often each of them comes (`finetune.train._mix`).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from finetune.train._encode import Encoded, encode, require_rows
from finetune.train._job import Job, Parts, Plan
from finetune.train._loss import answer_trainer, left_padded, planned
from finetune.train._mix import Mix, surprises
from finetune.train._packing import end_to_end, packed_losses, require_attention_alone
from finetune.train._replay import replayed
from finetune.train._run import AdapterTraining
from finetune.train._settings import Settings
from finetune.train._watch import Watch

__all__ = ["SupervisedFineTuning"]


class SupervisedFineTuning(AdapterTraining):
    """LoRA on the rows of a dataset, within a number of steps and seconds."""

    class Config(Settings):
        """How to train; without ``lr`` it is 2e-3 for a base below 20 million parameters, else 2e-4.

        Attributes:
            known: Largest share of rows that the model, with its parent adapter if it goes on
                from one, would have answered by itself; the others are repeated until it is
                reached. None takes every row as often as the next.
            replay: Whether rows that the base brings along are among the known ones.
            packing: Lay the rows of a step end to end instead of filling them up; not for a base with
                short convolutions, such as pocket.
        """

        known: float | None = Field(default=0.5, gt=0, lt=1)
        replay: bool = True
        packing: bool = False

    id = "sft"
    unit = "nats a token"
    shared = True
    config: Config

    def plan(self, job: Job) -> Plan:
        """The rows and those that the base brings, each as often as it is worth.

        Raises:
            UserError: No row fits, or there is nothing in them to learn.
        """
        limit = self.config.max_length
        if self.config.packing:
            require_attention_alone(job.model, self.id)
        encoded = encode(job.dataset.rows, job.tokenizer, job.stops, limit)
        require_rows(encoded, limit, self.id)
        kept = replayed(job.base, job.tokenizer, limit) if self.config.replay else Encoded()
        mix = self._mix(job, encoded, len(kept.ids))
        steps = self.steps(mix.rows)
        rows = encoded.joined(kept)
        order = mix.drawn([len(ids) for ids in rows.ids], self.config.batch, steps, job.seed)
        drawn = rows.chosen(order)
        new = None if self.config.known is None else len(mix.new)
        told = {"rows_new": new, "rows_replayed": len(kept.ids), "rows_a_pass": mix.rows}
        columns: dict[str, list[Any]] = {"input_ids": [*drawn.ids], "labels": [*drawn.labels]}
        columns["weights"] = [*drawn.weights]
        return Plan(columns, [len(i) for i in drawn.ids], steps, encoded.metrics() | told)

    def parts(self, job: Job, watch: Watch) -> Parts:
        """TRL's supervised trainer, which is given ids and not messages."""
        from trl import SFTConfig

        options: dict[str, Any] = {
            "dataset_kwargs": {"skip_prepare_dataset": True},
            "packing": False,  # TRL's own would fill a row with parts of others, in another order
            "remove_unused_columns": False,
            "max_length": None,
        }
        packing = self.config.packing
        trainer = planned(answer_trainer(packed_losses if packing else None), watch.rate)
        collator = end_to_end() if packing else left_padded(job.pad)
        return Parts(trainer, SFTConfig, options, {"data_collator": collator})

    def _mix(self, job: Job, encoded: Encoded, replay: int) -> Mix:
        """Which rows are new to the model, the replayed ones last."""
        rows = len(encoded.ids) + replay
        if self.config.known is None:
            return Mix.of([0.0] * rows, None)
        found = surprises(job.model, encoded, job.pad, job.autocast)
        return Mix.of(found + [0.0] * replay, self.config.known)
