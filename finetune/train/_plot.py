"""The curve of a training's loss as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["draw_loss"]


def draw_loss(losses: Sequence[tuple[int, float]], path: Path, unit: str = "") -> None:
    """Draw loss against step; without a display and without global state.

    Args:
        losses: Step and loss.
        path: Of the picture.
        unit: Of the loss, where it has one.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([step for step, _ in losses], [loss for _, loss in losses], marker=".", linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel(f"loss ({unit})" if unit else "loss")
    axes.set_ylim(bottom=min([0.0, *(loss for _, loss in losses)]))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
