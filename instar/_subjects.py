"""Who is measured: every arm of every generation under every model that a run asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from instar._arms import lacking
from instar.compose import Serving, Workspace
from instar.types import Generation

__all__ = ["Subject", "made_of", "subjects"]


@dataclass(frozen=True)
class Subject:
    """One arm as it is run.

    Attributes:
        label: Name in the run: the arm, after model and generation where there are several.
        arm: One of `instar.compose.ARMS`.
    """

    label: str
    arm: str
    generation: Generation
    serving: Serving


def subjects(
    workspace: Workspace,
    models: Sequence[str],
    generations: Sequence[Generation],
    arms: Sequence[str],
    learns: bool = False,
) -> tuple[list[Subject], dict[str, str]]:
    """All subjects, and the labels that are left out, each with the reason.

    Args:
        workspace: Where they live.
        models: Names.
        generations: Each under every model.
        arms: Each of every generation.
        learns: Whether arms with memory learn while they are measured.

    Raises:
        UserError: The world has no foreign house for a placebo.
    """
    found: list[Subject] = []
    left_out: dict[str, str] = {}
    for model in models:
        for generation in generations:
            several = [(model, len(models) > 1), (generation.id, len(generations) > 1)]
            prefix = "".join(f"{name}:" for name, many in several if many)
            missing = lacking(workspace, generation, arms, learns) | _foreign_weights(
                workspace, model, generation, arms
            )
            left_out |= {prefix + name: why for name, why in missing.items()}
            for arm in (a for a in arms if a not in missing):
                serving = workspace.arm(arm, generation).model_copy(update={"model": model})
                found.append(Subject(prefix + arm, arm, generation, serving))
    return found, left_out


def _foreign_weights(
    workspace: Workspace, model: str, generation: Generation, arms: Sequence[str]
) -> dict[str, str]:
    """Arms with an adapter, where the adapter belongs to another model."""
    if model == generation.model or generation.adapter is None:
        return {}
    why = f"the adapter of {generation.id} belongs to {generation.model}"
    return {a: why for a in arms if a in ("adapter", "both", "placebo_adapter")}


def made_of(workspace: Workspace, subject: Subject) -> dict[str, str | None]:
    """What a run keeps of a subject; equal ones answer alike."""
    from finetune.registry import base_hash

    model = workspace.model(subject.serving.model)
    return {
        "model": model.name,
        "weights": base_hash(model.folder) if model.folder else None,
        "generation": subject.generation.id,
        "memory": subject.serving.memory,
        "adapter": subject.serving.adapter,
    }
