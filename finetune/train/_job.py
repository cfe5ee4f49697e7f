"""What the steps of a training hand to each other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune.train import _model
from instar.contracts import Dataset

__all__ = ["Job", "Parts", "Plan"]


@dataclass
class Job:
    """A training on its way.

    Attributes:
        model: The base, with the parent adapter if it goes on from one.
        stops: Tokens at which serving stops.
        recipe: Everything that decides the result but rows and weights.
    """

    dataset: Dataset
    base: Path
    parent: Path | None
    seed: int
    device: str
    precision: str
    model: Any
    tokenizer: Any
    stops: list[int]
    recipe: dict[str, Any]

    @property
    def pad(self) -> int:
        """Token that fills rows up."""
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id or 0) if pad is None else int(pad)

    @property
    def autocast(self) -> AbstractContextManager[Any]:
        """The arithmetic of the training, for what is asked of the model beside it."""
        return _model.autocast(self.model, self.precision)


@dataclass
class Plan:
    """What is trained on.

    Attributes:
        columns: Encoded rows in the order in which they are trained, some of them repeatedly.
        lengths: Tokens of each of them.
        metrics: What became of the rows of the dataset.
    """

    columns: dict[str, list[Any]]
    lengths: list[int]
    steps: int
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass
class Parts:
    """What a method brings: a trainer of TRL, its settings, and what else it is made with."""

    trainer: type[Any]
    config: type[Any]
    options: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)
