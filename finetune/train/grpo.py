"""Group-relative policy optimisation of a LoRA adapter with TRL, on live episodes of our worlds.

Every task is attempted several times; an attempt that did better than its group becomes likelier,
one that did worse less likely (Shao et al. 2024; loss and scaling are TRL's defaults). Nothing is
learnt from a group whose attempts all came to the same: its share is in the report, for a share near
1 means that the tasks are too easy or too hard. The dataset gives the tasks: the first turn of each
trajectory without memories is the prompt, and what was answered then is not looked at.

TRL keeps one growing conversation an episode, where our agent shows the latest observation in full
and the earlier turns in a line each. So what is practised here is a little unlike what is served.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from finetune._reading import read_calls
from finetune.train._episodes import OpenEpisode, environment
from finetune.train._job import Job, Parts, Plan
from finetune.train._loss import planned
from finetune.train._run import AdapterTraining
from finetune.train._settings import Settings
from finetune.train._watch import Watch
from finetune.train.base import OnProgress
from instar.contracts import Dataset
from instar.errors import UserError
from instar.types import content_hash

__all__ = ["GroupRelative"]


class GroupRelative(AdapterTraining):
    """LoRA on attempts at tasks, each measured against the others of its group.

    Attributes:
        open_episode: Opens an episode at the task of a row; set by whoever has the world.
    """

    class Config(Settings):
        """How to train; without ``lr`` it is 5e-4 for a base below 20 million parameters, else 1e-5.

        Attributes:
            batch: Attempts a step.
            group: Attempts at one task, a divisor of ``batch``.
            beta: Weight of the distance to the base, which keeps the adapter near it.
            temperature: At which attempts are sampled.
            answer: Most tokens of an episode after its prompt, observations included.
            calls: Most turns with calls in an episode.
        """

        batch: int = Field(default=16, ge=2)
        group: int = Field(default=8, ge=2)
        epochs: float = Field(default=3.0, gt=0)
        seconds: float | None = Field(default=600.0, gt=0)
        beta: float = Field(default=0.0, ge=0)
        temperature: float = Field(default=1.0, gt=0)
        answer: int = Field(default=512, ge=1)
        calls: int = Field(default=14, ge=1)

    id = "grpo"
    fields = ("prompt", "tools", "trajectory", "step")
    rates = (5e-4, 1e-5)
    curves = ("reward", "frac_reward_zero_std", "completions/mean_length")
    generates = True
    unmoved = (
        "in every group all attempts had the same score, so practise tasks that sometimes succeed, "
        "or raise methods.grpo.group or methods.grpo.temperature"
    )
    config: Config

    def __init__(self, config: Config | None = None, progress: OnProgress | None = None) -> None:
        super().__init__(config, progress)
        self.open_episode: OpenEpisode | None = None
        if self.config.batch % self.config.group:
            raise UserError("methods.grpo.group must divide methods.grpo.batch.")

    def require(self, dataset: Dataset) -> None:
        """See that there are tasks, and somebody who opens episodes."""
        super().require(dataset)
        if self.open_episode is None:
            raise UserError("The trainer grpo needs a world to play in: run it by instar evolve.")

    def dry_run(
        self, dataset: Dataset, base: Path, parent: Path | None, seed: int
    ) -> dict[str, Any]:
        """Not known beforehand.

        Raises:
            UserError: Always; what it takes depends on the episodes.
        """
        raise UserError("The trainer grpo has no dry run: its time is that of its episodes.")

    def plan(self, job: Job) -> Plan:
        """The tasks, each as often as the next; of several sets of tools the one of most tasks.

        Raises:
            UserError: No prompt fits, or the base has no way to show calls.
        """
        firsts = [row for row in job.dataset.rows if not row["step"] and not row.get("memories")]
        lengths = [_length(row, job.tokenizer) for row in firsts]
        fitting = [n for n, length in enumerate(lengths) if length <= self.config.max_length]
        if not fitting:
            raise UserError(
                f"No first turn without memories of at most {self.config.max_length} tokens among "
                f"{len(job.dataset.rows)} rows to begin an episode with: raise methods.grpo.max_length."
            )
        sets = Counter(content_hash(firsts[n]["tools"]) for n in fitting)
        [(most, _)] = sets.most_common(1)
        chosen = [n for n in fitting if content_hash(firsts[n]["tools"]) == most]
        rows = [firsts[n] for n in chosen]
        self._tools = rows[0]["tools"]
        _let_read(job.tokenizer)
        columns = {
            "prompt": [[_plain(message) for message in row["prompt"]] for row in rows],
            "trajectory": [row["trajectory"] for row in rows],
            "seed": [job.seed + n for n in range(len(rows))],
        }
        used = {"rows_used": len(rows), "rows_cut": len(firsts) - len(fitting)}
        used |= {"rows_masked": len(job.dataset.rows) - len(firsts), "longest_row": max(lengths)}
        used["rows_with_other_tools"] = len(fitting) - len(rows)
        steps = self.steps(len(rows) * self.config.group)
        return Plan(columns, [lengths[n] for n in chosen], steps, used)

    def parts(self, job: Job, watch: Watch) -> Parts:
        """TRL's trainer, playing in episodes of ours."""
        from trl import GRPOConfig, GRPOTrainer

        assert self.open_episode is not None
        options: dict[str, Any] = {
            "num_generations": self.config.group,
            "beta": self.config.beta,
            "temperature": self.config.temperature,
            "max_completion_length": self.config.answer,
            "max_tool_calling_iterations": self.config.calls,
            "shuffle_dataset": True,
        }
        more = {"environment_factory": environment(self._tools, self.open_episode)}
        return Parts(planned(GRPOTrainer, watch.rate), GRPOConfig, options, more)


def _let_read(tokenizer: Any) -> None:
    """Have TRL read calls as serving does, and see that it can show them to this base."""
    from trl.chat_template_utils import (
        get_training_chat_template,
        is_chat_template_prefix_preserving,
        supports_tool_calling,
    )

    read_calls(tokenizer)
    fit = supports_tool_calling(tokenizer)
    try:
        if fit and not is_chat_template_prefix_preserving(tokenizer):
            get_training_chat_template(tokenizer)
    except ValueError:
        fit = False
    if not fit:
        raise UserError(
            "The chat template of this base cannot show a conversation with calls that grows turn "
            "by turn: choose a base that was made for tools, such as Qwen 3."
        )


def _plain(message: Mapping[str, Any]) -> dict[str, str]:
    """Role and text: a table would fill everything else up with nulls."""
    return {"role": str(message["role"]), "content": str(message["content"])}


def _length(row: Mapping[str, Any], tokenizer: Any) -> int:
    text = tokenizer.apply_chat_template(
        list(row["prompt"]), tools=row["tools"] or None, tokenize=False, add_generation_prompt=True
    )
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
