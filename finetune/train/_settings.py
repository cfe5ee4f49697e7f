"""Settings that all trainers of adapters share, and what they are called by PEFT and TRL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from finetune.train import _ranks
from instar.types import Record

if TYPE_CHECKING:
    from peft import LoraConfig

__all__ = ["NO_RECIPE", "Settings", "arguments", "lora"]

NO_RECIPE = frozenset({"device", "save_seconds", "anchors"})
"""Settings that do not change what is learnt."""


class Settings(Record):
    """How to train an adapter.

    Attributes:
        dora: Learn the length of each weight column apart (DoRA, Liu et al. 2024); slower.
        rslora: Scale by ``alpha / sqrt(rank)``, for high ranks (rsLoRA, Kalajdzievski 2023).
        quantize: ``nf4`` holds the frozen base in four bits (QLoRA, Dettmers et al. 2023); needs
            CUDA and bitsandbytes.
        lr: Peak learning rate; None is a default by the size of the base.
        batch: Rows a step, whatever number of processes shares them.
        micro: Rows at a time on a device, a divisor of ``batch``; None is all of them, or the share
            of each process.
        epochs: Passes over the rows, unless ``max_steps`` or ``seconds`` end it before.
        seconds: Ceiling of the training itself, without loading; None is none.
        max_length: Longer rows, in tokens, are left out.
        interpolation: How far the adapter goes from the base to the trained weights; below 1 it
            keeps more of what the base could do (WiSE-FT, Wortsman et al. 2022).
        precision: ``auto`` is bf16 where the device multiplies in it, else fp32.
        device: ``auto`` is CUDA where there is one.
        checkpointing: Trade a fifth of the speed for memory.
        start: ``base``, or ``parent`` to go on from the parent's weights.
        save_seconds: How often it is saved, so that a training that was stopped or killed goes on
            from there; None is never.
        anchors: Rows of those that the base brings whose loss is measured before and after; half
            of them follow a memory. 0 measures none.
    """

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dora: bool = False
    rslora: bool = False
    quantize: Literal["no", "nf4"] = "no"
    lr: float | None = Field(default=None, gt=0)
    batch: int = Field(default=16, ge=1)
    micro: int | None = Field(default=None, ge=1)
    epochs: float = Field(default=6.0, gt=0)
    max_steps: int = Field(default=240, ge=1)
    seconds: float | None = Field(default=60.0, gt=0)
    max_length: int = Field(default=2048, ge=8)
    interpolation: float = Field(default=1.0, gt=0, le=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpointing: bool = False
    start: Literal["base", "parent"] = "base"
    save_seconds: float | None = Field(default=60.0, ge=0)
    anchors: int = Field(default=32, ge=0)

    @property
    def at_once(self) -> int:
        """Rows at a time on the device."""
        return self.micro or self.batch


def lora(settings: Settings, targets: list[str]) -> LoraConfig:
    """The adapter as PEFT describes it."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_dora=settings.dora,
        use_rslora=settings.rslora,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def arguments(
    settings: Settings, recipe: Mapping[str, Any], steps: int, folder: Path, device: str
) -> dict[str, Any]:
    """What every trainer of TRL is told; rows come encoded and in their order.

    Args:
        settings: Of the training.
        recipe: With what ``auto`` and None stood for.
        steps: Planned.
        folder: For checkpoints.
        device: ``cpu`` or ``cuda``.
    """
    return {
        "output_dir": str(folder),
        "max_steps": steps,
        "learning_rate": recipe["lr"],
        "per_device_train_batch_size": settings.at_once,
        "gradient_accumulation_steps": settings.batch // settings.at_once // _ranks.count(),
        "bf16": recipe["precision"] == "bf16",
        "use_cpu": device == "cpu",
        # The layers with an adapter take part in every row.
        "ddp_find_unused_parameters": False,
        "seed": recipe["seed"],
        "data_seed": recipe["seed"],
        "train_sampling_strategy": "sequential",
        "dataloader_pin_memory": device != "cpu",
        "activation_checkpointing": settings.checkpointing,
        "logging_steps": 1,
        # A callback says when to save: by the clock, which the library does not look at.
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
