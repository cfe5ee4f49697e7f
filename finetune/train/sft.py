"""Supervised fine-tuning of a LoRA adapter with TRL and PEFT: only the answer is learnt.

Rows are encoded beforehand with the template that serves the model (`finetune.train._encode`), so
the loss covers exactly what the model would have to generate, up to and with the token that ends
its turn. Every round starts again from the base unless the configuration says otherwise; the
parent is then lineage only. The adapter is written beside, sealed and renamed into place. A
training that did not move the adapter, moved the base or diverged gives no adapter.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from finetune._convolution import shift_convolutions
from finetune.curate.base import Form, form
from finetune.registry import base_hash, seal, workspace_beside
from finetune.train import _model
from finetune.train._encode import Encoded, encode, stop_tokens
from finetune.train._loss import answer_trainer, left_padded
from finetune.train._mix import Mix, surprises
from finetune.train._plot import draw_loss
from finetune.train._replay import replayed
from finetune.train._watch import Watch, callback
from finetune.train.base import OnProgress, linear_layers
from instar.contracts import Dataset
from instar.errors import MissingExtra, UserError
from instar.types import Adapter, Record

if TYPE_CHECKING:
    from trl import SFTConfig, SFTTrainer

__all__ = ["SupervisedFineTuning"]

_POCKET_SIZE = 20_000_000


class SupervisedFineTuning:
    """LoRA on the rows of a dataset, within a number of steps and seconds."""

    forms: ClassVar[tuple[Form, ...]] = ("answers",)

    class Config(Record):
        """How to train.

        Attributes:
            lr: Peak learning rate; None is 2e-3 for a base below 20 million parameters, else 2e-4.
            batch: Rows a step.
            micro: Rows at a time on the device, a divisor of ``batch``; None is all of them.
            epochs: Passes over the rows, unless ``max_steps`` or ``seconds`` end it before.
            seconds: Ceiling of the training itself, without loading; None is none.
            max_length: Longer rows, in tokens, are left out.
            known: Largest share of rows that the model, with its parent adapter if it goes on
                from one, would have answered by itself; the others are repeated until it is
                reached. None takes every row as often as the next.
            replay: Whether rows that the base brings along are among the known ones.
            interpolation: How far the adapter goes from the base to the trained weights; below 1 it
                keeps more of what the base could do (WiSE-FT, Wortsman et al. 2022).
            precision: ``auto`` is bf16 where the device multiplies in it, else fp32.
            device: ``auto`` is CUDA where there is one.
            checkpointing: Trade a fifth of the speed for memory.
            start: ``base``, or ``parent`` to go on from the parent's weights.
        """

        rank: int = Field(default=8, ge=1)
        alpha: int = Field(default=16, ge=1)
        dropout: float = Field(default=0.0, ge=0, lt=1)
        lr: float | None = Field(default=None, gt=0)
        batch: int = Field(default=16, ge=1)
        micro: int | None = Field(default=None, ge=1)
        epochs: float = Field(default=6.0, gt=0)
        max_steps: int = Field(default=240, ge=1)
        seconds: float | None = Field(default=60.0, gt=0)
        max_length: int = Field(default=2048, ge=8)
        known: float | None = Field(default=0.5, gt=0, lt=1)
        replay: bool = True
        interpolation: float = Field(default=1.0, gt=0, le=1)
        precision: Literal["auto", "fp32", "bf16"] = "auto"
        device: Literal["auto", "cpu", "cuda"] = "auto"
        checkpointing: bool = False
        start: Literal["base", "parent"] = "base"

    def __init__(self, config: Config | None = None, progress: OnProgress | None = None) -> None:
        self.config = config or self.Config()
        self.progress = progress
        if self.config.batch % (self.config.micro or 1):
            raise UserError("methods.sft.micro must divide methods.sft.batch.")

    def train(
        self, dataset: Dataset, base: Path, parent: Path | None, out: Path, seed: int
    ) -> Adapter:
        """Train an adapter over ``base``; it lies in ``out`` under the name of its content hash.

        Args:
            dataset: Rows from a curator.
            base: Folder of the base model.
            parent: Folder of the adapter before this one, if there is one.
            out: The folder ``adapters``.
            seed: Of the adapter's start and the order of rows.

        Raises:
            UserError: There is nothing to train on, memory ran out, or nothing was learnt.
        """
        if not dataset.rows:
            told = getattr(dataset, "summary", "Nothing to train on: the dataset has no rows.")
            raise UserError(str(told))
        if form(dataset.rows) not in self.forms:
            raise UserError(
                "The rows are pairs of answers, and sft learns from single ones: change "
                "train.trainer, or the curator, as in -o train.curator=rft"
            )
        try:
            import peft  # noqa: F401
            import trl  # noqa: F401
        except ImportError as error:
            raise MissingExtra("TRL with PEFT", "pip install 'instar[local]'") from error
        written = workspace_beside(out)
        try:
            with _model.quiet():
                return self._train(dataset, base, parent, out, written, seed)
        finally:
            shutil.rmtree(written, ignore_errors=True)

    def _train(
        self, dataset: Dataset, base: Path, parent: Path | None, out: Path, written: Path, seed: int
    ) -> Adapter:
        began = time.monotonic()
        device, precision = _model.placement(self.config.device, self.config.precision)
        model, tokenizer = _model.load(base, device, precision)
        shift_convolutions(model)
        stops = stop_tokens(tokenizer, model.generation_config)
        encoded = encode(dataset.rows, tokenizer, stops, self.config.max_length)
        self._require_rows(encoded)
        recipe = self._recipe(model, precision, seed)
        kept = Encoded()
        if self.config.replay:
            kept = replayed(base, tokenizer, self.config.max_length)
        if self.config.start == "parent" and parent is not None:
            model = _model.go_on_from(model, parent)
        mix = self._mix(model, encoded, len(kept.ids), _padding(tokenizer), precision)
        watch = Watch(self._steps(mix.rows), self.config.seconds, self.progress)
        rows = encoded.joined(kept)
        lengths = [len(ids) for ids in rows.ids]
        order = mix.drawn(lengths, self.config.batch, watch.steps, seed)
        trainer = self._trainer(
            model, tokenizer, rows.chosen(order), recipe, watch, written, device
        )
        before = _model.Weights(trainer.model)
        with _model.memory_advice(self.config.micro or self.config.batch, encoded.longest):
            trainer.train()
        moved = before.require_learnt(trainer.model)
        _model.interpolate(trainer.model, self.config.interpolation)
        metrics = _report(encoded, watch) | {"moved": moved, "device": device}
        new = None if self.config.known is None else len(mix.new)
        metrics |= {"rows_new": new, "rows_replayed": len(kept.ids), "rows_a_pass": mix.rows}
        _model.save(trainer.model, written, base.name)
        draw_loss(watch.losses, written / "loss.png")
        metrics["seconds_with_loading"] = round(time.monotonic() - began, 2)
        return seal(
            written,
            out,
            base=base_hash(base),
            parent=parent.name if parent else None,
            dataset=dataset.hash,
            recipe=recipe,
            metrics=metrics,
        )

    def _require_rows(self, encoded: Encoded) -> None:
        if not encoded.ids:
            raise UserError(
                f"Nothing to train on: {encoded.cut} rows are longer than "
                f"{self.config.max_length} tokens (the longest has {encoded.longest}), "
                f"{encoded.masked} have nothing to learn. Raise methods.sft.max_length."
            )

    def _mix(self, model: Any, encoded: Encoded, replay: int, pad: int, precision: str) -> Mix:
        """Which rows are new to the model, the replayed ones last."""
        rows = len(encoded.ids) + replay
        if self.config.known is None:
            return Mix.of([0.0] * rows, None)
        found = surprises(model, encoded, pad, _model.autocast(model, precision))
        return Mix.of(found + [0.0] * replay, self.config.known)

    def _steps(self, rows: int) -> int:
        wanted = math.ceil(rows * self.config.epochs / self.config.batch)
        return max(1, min(wanted, self.config.max_steps))

    def _recipe(self, model: Any, precision: str, seed: int) -> dict[str, Any]:
        small = model.num_parameters() < _POCKET_SIZE
        chosen = {
            "trainer": "sft",
            "lr": self.config.lr or (2e-3 if small else 2e-4),
            "precision": precision,
            "targets": linear_layers(model),
            "seed": seed,
        }
        return self.config.model_dump(mode="json", exclude={"device"}) | chosen

    def _trainer(
        self,
        model: Any,
        tokenizer: Any,
        encoded: Encoded,
        recipe: Mapping[str, Any],
        watch: Watch,
        folder: Path,
        device: str,
    ) -> SFTTrainer:
        from datasets import Dataset as Table
        from peft import LoraConfig, PeftModel
        from transformers import PrinterCallback

        lora = LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,
            lora_dropout=self.config.dropout,
            target_modules=recipe["targets"],
            task_type="CAUSAL_LM",
        )
        columns: dict[str, list[Any]] = {"input_ids": [*encoded.ids], "labels": [*encoded.labels]}
        columns["weights"] = [*encoded.weights]
        trainer = answer_trainer(watch.rate)(
            model=model,
            args=self._arguments(recipe, watch.steps, folder, device),
            train_dataset=Table.from_dict(columns),
            processing_class=tokenizer,
            data_collator=left_padded(_padding(tokenizer)),
            peft_config=None if isinstance(model, PeftModel) else lora,
            callbacks=[callback(watch)],
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _arguments(
        self, recipe: Mapping[str, Any], steps: int, folder: Path, device: str
    ) -> SFTConfig:
        from trl import SFTConfig

        micro = self.config.micro or self.config.batch
        return SFTConfig(
            output_dir=str(folder),
            max_steps=steps,
            learning_rate=recipe["lr"],
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=self.config.batch // micro,
            activation_checkpointing=self.config.checkpointing,
            bf16=recipe["precision"] == "bf16",
            use_cpu=device == "cpu",
            seed=recipe["seed"],
            data_seed=recipe["seed"],
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            dataloader_pin_memory=device != "cpu",
            max_length=None,
            packing=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )


def _padding(tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id or 0) if pad is None else int(pad)


def _report(encoded: Encoded, watch: Watch) -> dict[str, Any]:
    losses = [loss for _, loss in watch.losses]
    return {
        "rows_used": len(encoded.ids),
        "rows_cut": encoded.cut,
        "rows_masked": encoded.masked,
        "rows_drifted": encoded.drifted,
        "rows_unended": encoded.unended,
        "row_tokens": encoded.tokens,
        "row_tokens_learnt": encoded.learnt,
        "longest_row": encoded.longest,
        "steps": len(losses),
        "steps_planned": watch.steps,
        "seconds": round(watch.seconds, 2),
        "loss_first": losses[0] if losses else None,
        "loss_last": losses[-1] if losses else None,
        "losses": [[step, round(loss, 5)] for step, loss in watch.losses],
    }
