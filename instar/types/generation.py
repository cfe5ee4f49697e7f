"""What is promoted and rolled back."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, JsonValue

from instar.types.record import Record
from instar.types.turn import Prompts

__all__ = ["Adapter", "Generation", "GenerationStatus"]


class GenerationStatus(StrEnum):
    """Life of a generation."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    RETIRED = "retired"
    REJECTED = "rejected"


class Generation(Record):
    """One (prompts, memory as of, adapter, tools), the unit that is promoted and rolled back.

    Attributes:
        id: Hash of the contents, parent and sequence.
        seq: Counts from 0, the generation that has learnt nothing.
        prompts: Name of the prompts.
        texts: The prompts themselves where they were evolved; None serves those of the settings.
        verdict: The gate's words and numbers; None before the gate.
    """

    id: str
    seq: int
    parent: str | None
    status: GenerationStatus
    model: str
    prompts: str
    texts: Prompts | None = None
    adapter: str | None = None
    memory: bool = True
    tools: str = ""
    verdict: dict[str, JsonValue] | None = None
    created: float = 0.0

    def child(self, id: str, **changes: object) -> Generation:
        """A candidate under it that is as it is but for the changes, and not measured yet."""
        born = {"parent": self.id, "status": GenerationStatus.CANDIDATE, "verdict": None}
        return self.model_copy(update={**born, **changes, "id": id})


class Adapter(Record):
    """A LoRA adapter with its lineage; its name is its content hash and is never reused.

    Attributes:
        base: Hash of the base model's weights.
        dataset: Hash of the rows it was trained on.
        recipe: Settings of the training.
        metrics: What was measured while training.
        pinned: A person wants it kept, whatever the policy of pruning says.
        pruned: When its weights were deleted; None where they are there. What is said of it stays.
    """

    name: str
    path: str
    base: str
    parent: str | None = None
    dataset: str
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    created: float = 0.0
    pinned: bool = False
    pruned: float | None = None
