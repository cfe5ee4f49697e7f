"""Direct preference optimisation of a LoRA adapter with TRL and PEFT, with a term of imitation.

A pair is two answers to one prompt. The loss pulls the better one up *against* the worse one, each
measured by how much more likely the model makes it than the policy that training starts from (the
base, or the parent adapter where it goes on from one); that alone may lower both, so the
likelihood of the better one is a second term (DPO: Rafailov et al. 2023; with the term: Pang et
al. 2024). The starting policy is asked once a pair before the training and not at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from finetune.train._encode import require_rows
from finetune.train._job import Job, Parts, Plan
from finetune.train._loss import each_answer, planned
from finetune.train._mix import Mix
from finetune.train._pairs import encode_pairs
from finetune.train._run import AdapterTraining
from finetune.train._settings import Settings
from finetune.train._watch import Watch

if TYPE_CHECKING:
    from trl import DPOTrainer

__all__ = ["DirectPreferenceOptimisation"]


class DirectPreferenceOptimisation(AdapterTraining):
    """LoRA on pairs of a better and a worse answer."""

    class Config(Settings):
        """How to train; without ``lr`` it is 5e-4 for a base below 20 million parameters, else 2e-5.

        Attributes:
            batch: Pairs a step.
            beta: How dear it is to leave the starting policy.
            sft: Weight of the term of imitation, in nats a token of the better answer; 0 is plain DPO.
        """

        batch: int = Field(default=8, ge=1)
        epochs: float = Field(default=3.0, gt=0)
        beta: float = Field(default=0.1, gt=0)
        sft: float = Field(default=1.0, ge=0)

    id = "dpo"
    fields = ("prompt", "chosen", "rejected", "tools")
    forms = ("pairs",)
    rates = (5e-4, 2e-5)
    shared = True
    curves = ("rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected")
    config: Config

    def plan(self, job: Job) -> Plan:
        """The pairs, each as often as the next, with the starting policy's log-probabilities.

        Raises:
            UserError: No pair fits, or nothing tells the answers apart.
        """
        pairs = encode_pairs(job.dataset.rows, job.tokenizer, job.stops, self.config.max_length)
        pairs.chosen.cut, pairs.chosen.masked = pairs.cut, pairs.masked
        require_rows(pairs.chosen, self.config.max_length, self.id)
        columns = pairs.columns()
        for name, encoded in (("chosen", pairs.chosen), ("rejected", pairs.rejected)):
            losses = each_answer(job.model, encoded, job.pad, job.autocast)
            columns[f"ref_{name}_logps"] = [-sum(own) for own in losses]
        mix = Mix.of([0.0] * len(pairs.lengths), None)
        steps = self.steps(mix.rows)
        order = mix.drawn(pairs.lengths, self.config.batch, steps, job.seed)
        drawn = {name: [values[i] for i in order] for name, values in columns.items()}
        return Plan(drawn, [pairs.lengths[i] for i in order], steps, pairs.metrics())

    def parts(self, job: Job, watch: Watch) -> Parts:
        """TRL's trainer of preferences, which is given ids and not messages."""
        from trl import DPOConfig

        options: dict[str, Any] = {"beta": self.config.beta, "max_length": None}
        if self.config.sft:
            options |= {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, self.config.sft]}
        return Parts(planned(_encoded_trainer(), watch.rate), DPOConfig, options)


def _encoded_trainer() -> type[DPOTrainer]:
    from trl import DPOTrainer

    class EncodedTrainer(DPOTrainer):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.precompute_ref_logps = True

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    return EncodedTrainer
