"""The way that every training of an adapter goes: load, encode, train, prove, draw, seal.

Every round starts again from the base unless the configuration says otherwise; the parent is then
lineage only. The adapter is written beside, sealed and renamed into place. A training that did not
move the adapter, moved the base or diverged gives no adapter. One that was killed or asked to leave
goes on from its last checkpoint, if everything that decides its result is the same.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from finetune._convolution import shift_convolutions
from finetune.curate.base import Form, form
from finetune.registry import base_hash, seal, workspace_beside
from finetune.train import _model, _ranks
from finetune.train._drift import Anchors
from finetune.train._encode import require_form, stop_tokens
from finetune.train._estimate import estimate, sentence
from finetune.train._job import Job, Parts, Plan
from finetune.train._plot import draw_loss
from finetune.train._resume import Checkpoints
from finetune.train._settings import NO_RECIPE, Settings, arguments, lora
from finetune.train._watch import Watch, callback
from finetune.train.base import OnProgress, linear_layers
from instar.contracts import Dataset
from instar.errors import MissingExtra, UserError
from instar.types import Adapter, content_hash

__all__ = ["AdapterTraining"]

_POCKET_SIZE = 20_000_000


_NAMED = {"answers": "single answers", "pairs": "pairs of answers"}
_GIVES = {"answers": "rft", "pairs": "pairs"}


class AdapterTraining(ABC):
    """A training within a number of steps and seconds; a method says on what and by which loss.

    Attributes:
        id: As it is called in the configuration.
        fields: What every row has to have.
        forms: Of rows that it learns from.
        rates: Default of the learning rate for a base below 20 million parameters, and above.
        curves: What the trainer logs beside the loss that the report keeps.
        generates: Whether the model also speaks while it is trained.
        shared: Whether several processes may share the rows of a step: the loss that one returns
            is the mean over its own rows, or the sum of its part times the number of processes.
        unit: Of the loss.
        unmoved: What to do about a training that moved nothing.
    """

    id: ClassVar[str]
    fields: ClassVar[tuple[str, ...]] = ("prompt", "completion", "tools")
    forms: ClassVar[tuple[Form, ...]] = ("answers",)
    rates: ClassVar[tuple[float, float]] = (2e-3, 2e-4)
    curves: ClassVar[tuple[str, ...]] = ()
    generates: ClassVar[bool] = False
    shared: ClassVar[bool] = False
    unit: ClassVar[str] = ""
    unmoved: ClassVar[str] = "raise train.lr or train.minutes"
    Config: type[Settings]
    config: Settings

    def __init__(self, config: Settings | None = None, progress: OnProgress | None = None) -> None:
        self.config = config or self.Config()
        self.progress = progress
        if self.config.batch % self.config.at_once:
            raise UserError(f"methods.{self.id}.micro must divide methods.{self.id}.batch.")

    @abstractmethod
    def plan(self, job: Job) -> Plan:
        """Encode the rows and say in which order they are trained."""

    @abstractmethod
    def parts(self, job: Job, watch: Watch) -> Parts:
        """The trainer of TRL; its class is not made yet."""

    def train(
        self, dataset: Dataset, base: Path, parent: Path | None, out: Path, seed: int
    ) -> Adapter:
        """Train an adapter over ``base``; it lies in ``out`` under the name of its content hash.

        Args:
            dataset: Rows from a curator.
            base: Folder of the base model.
            parent: Folder of the adapter before this one, if there is one.
            out: The folder ``adapters``; checkpoints lie beside it until the training is done.
            seed: Of the adapter's start and the order of rows.

        Raises:
            UserError: There is nothing to train on, memory ran out, or nothing was learnt.
        """
        self.require(dataset)
        out.mkdir(parents=True, exist_ok=True)  # where it cannot be, better now than afterwards
        with _model.quiet():
            return self._train(dataset, base, parent, out, seed)

    def dry_run(
        self, dataset: Dataset, base: Path, parent: Path | None, seed: int
    ) -> dict[str, Any]:
        """What `train` would do with the same arguments; one step is tried and nothing is kept.

        Returns:
            What became of the rows, steps, tokens, an estimate of time and memory, and all of it as
            a ``summary`` for people.

        Raises:
            UserError: There is nothing to train on, or memory ran out.
        """
        self.require(dataset)
        with _model.quiet(), tempfile.TemporaryDirectory() as folder:
            job = self.job(dataset, base, parent, seed)
            plan = self.plan(job)
            checkpoints = Checkpoints(Path(folder) / "adapters", "none", None)
            trainer = self.trainer(job, plan, Watch(plan.steps, None), checkpoints)
            with _model.memory_advice(self.config.at_once, max(plan.lengths), self.id):
                found = estimate(trainer, plan.lengths, self.config)
        found |= plan.metrics | {"steps_planned": plan.steps, "tokens": sum(plan.lengths)}
        found |= {"device": job.device, "max_length": self.config.max_length}
        return found | {"summary": sentence(found)}

    def require(self, dataset: Dataset) -> None:
        """See that there are rows of the right form, and the libraries."""
        if not dataset.rows:
            told = getattr(dataset, "summary", "Nothing to train on: the dataset has no rows.")
            raise UserError(str(told))
        if form(dataset.rows) not in self.forms:
            raise UserError(
                f"The rows are {_NAMED[form(dataset.rows)]}, and {self.id} learns from "
                f"{_NAMED[self.forms[0]]}: change train.trainer, or the curator, as in "
                f"-o train.curator={_GIVES[self.forms[0]]}"
            )
        require_form(dataset.rows, self.fields, self.id)
        try:
            import peft  # noqa: F401
            import trl  # noqa: F401
        except ImportError as error:
            raise MissingExtra("TRL with PEFT", "pip install 'instar[local]'") from error

    def job(self, dataset: Dataset, base: Path, parent: Path | None, seed: int) -> Job:
        """Load the base and settle everything that the settings leave open."""
        device, precision = _model.placement(self.config.device, self.config.precision)
        model, tokenizer = _model.load(base, device, precision, self.config.quantize)
        if not self.generates:
            shift_convolutions(model)
        stops = stop_tokens(tokenizer, model.generation_config)
        recipe = self._recipe(model, precision, seed)
        if self.config.start == "parent" and parent is not None:
            model = _model.go_on_from(model, parent)
        return Job(dataset, base, parent, seed, device, precision, model, tokenizer, stops, recipe)

    def trainer(self, job: Job, plan: Plan, watch: Watch, checkpoints: Checkpoints) -> Any:
        """The trainer of TRL, ready to go."""
        from datasets import Dataset as Table
        from peft import PeftModel
        from transformers import PrinterCallback

        parts = self.parts(job, watch)
        given = arguments(self.config, job.recipe, plan.steps, checkpoints.folder, job.device)
        going_on = isinstance(job.model, PeftModel)
        args = parts.config(**given, **parts.options)
        # Several devices are for several processes; one would take a batch for each of them.
        args._n_gpu = min(args.n_gpu, 1)
        trainer = parts.trainer(
            model=job.model,
            args=args,
            train_dataset=Table.from_dict(plan.columns),
            processing_class=job.tokenizer,
            peft_config=None if going_on else lora(self.config, job.recipe["targets"]),
            callbacks=[callback(watch, checkpoints)],
            **parts.more,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def steps(self, rows: int) -> int:
        """Steps planned for a number of rows a pass."""
        wanted = math.ceil(rows * self.config.epochs / self.config.batch)
        return max(1, min(wanted, self.config.max_steps))

    def _train(
        self, dataset: Dataset, base: Path, parent: Path | None, out: Path, seed: int
    ) -> Adapter:
        began = time.monotonic()
        job = self.job(dataset, base, parent, seed)
        plan = self.plan(job)
        watch = Watch(plan.steps, self.config.seconds, self.progress, curves=self.curves)
        checkpoints = Checkpoints(out, _key(job), self.config.save_seconds)
        trainer = self.trainer(job, plan, watch, checkpoints)
        before = _model.Weights(trainer.model)
        anchors = Anchors(base, job.tokenizer, self.config.max_length, self.config.anchors)
        untrained = anchors.losses(trainer.model, job.pad, job.autocast)
        self._run(trainer, plan, watch, checkpoints)
        moved = before.require_learnt(trainer.model, self.unmoved)
        _model.interpolate(trainer.model, self.config.interpolation)
        metrics = plan.metrics | _course(watch, plan, self.config.batch)
        metrics |= {"moved": moved, "device": job.device, "processes": _ranks.count()}
        metrics |= anchors.drift(untrained, anchors.losses(trainer.model, job.pad, job.autocast))
        if checkpoints.damaged and not watch.resumed:
            metrics["begun_anew"] = f"{', '.join(sorted(checkpoints.damaged))} was damaged"
        metrics["seconds_with_loading"] = round(time.monotonic() - began, 2)
        sealed = self._sealed(job, trainer.model, watch, out, metrics) if _ranks.first() else None
        made = _ranks.from_first(sealed)
        assert made is not None
        return made

    def _sealed(
        self, job: Job, model: Any, watch: Watch, out: Path, metrics: dict[str, Any]
    ) -> Adapter:
        written = workspace_beside(out)
        try:
            _model.save(model, written, job.base.name)
            draw_loss(watch.losses, written / "loss.png", self.unit)
            return seal(
                written,
                out,
                base=base_hash(job.base),
                parent=job.parent.name if job.parent else None,
                dataset=job.dataset.hash,
                recipe=job.recipe,
                metrics=metrics,
            )
        finally:
            shutil.rmtree(written, ignore_errors=True)

    def _run(self, trainer: Any, plan: Plan, watch: Watch, checkpoints: Checkpoints) -> None:
        last = checkpoints.latest()
        if last:
            watch.go_on(checkpoints.facts(last))
        advice = _model.memory_advice(self.config.at_once, max(plan.lengths), self.id)
        with checkpoints.kept_if_left(), advice:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
            if watch.left:
                raise watch.left

    def _recipe(self, model: Any, precision: str, seed: int) -> dict[str, Any]:
        small = model.num_parameters() < _POCKET_SIZE
        chosen = {
            "trainer": self.id,
            "lr": self.config.lr or self.rates[0 if small else 1],
            "precision": precision,
            "targets": linear_layers(model),
            "seed": seed,
        }
        return self.config.model_dump(mode="json", exclude=set(NO_RECIPE)) | chosen


def _key(job: Job) -> str:
    """Hash of what decides the result."""
    going_on = job.parent.name if job.parent and job.recipe["start"] == "parent" else None
    return content_hash([job.dataset.hash, base_hash(job.base), going_on, job.recipe])


def _course(watch: Watch, plan: Plan, batch: int) -> dict[str, Any]:
    losses = [loss for _, loss in watch.losses]
    tokens = sum(plan.lengths[: len(losses) * batch])
    return {
        "steps": len(losses),
        "steps_planned": watch.steps,
        "steps_before": watch.resumed,
        "seconds": round(watch.seconds, 2),
        "tokens": tokens,
        "tokens_per_second": round(tokens / max(watch.seconds, 1e-6)),
        "loss_first": losses[0] if losses else None,
        "loss_last": losses[-1] if losses else None,
        "losses": [[step, round(loss, 5)] for step, loss in watch.losses],
        **{name.replace("/", "_"): values for name, values in watch.curves.items()},
    }
