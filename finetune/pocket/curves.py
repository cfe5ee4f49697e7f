"""The curves of a pre-training as a picture: loss, and exact answers of each skill, against tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw_curves"]


def draw_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw what a run logged; skills of the office share a colour, dashed on pages.

    Args:
        history: Figures with ``tokens``, ``loss`` (nats a token, or None) and ``exam``.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    tones = [colormaps["tab20"](i) for i in (*range(0, 20, 2), *range(1, 20, 2))]
    above, below = figure.subplots(2, 1, height_ratios=(1, 2), sharex=True)
    known = [h for h in history if h["loss"] is not None]
    above.plot([_millions(h) for h in known], [h["loss"] for h in known], color="0.3", linewidth=1)
    above.set_ylabel("loss (nats a token)")
    above.set_yscale("log")
    colours: dict[str, Any] = {}
    for skill in dict.fromkeys(s for h in history for s in h["exam"]):
        seen = [h for h in history if skill in h["exam"]]
        office = skill.replace("web/", "tools/")
        colour = colours.setdefault(office, tones[len(colours) % len(tones)])
        below.plot(
            [_millions(h) for h in seen],
            [100 * h["exam"][skill] for h in seen],
            label=skill,
            color=colour,
            linewidth=1.3,
            linestyle="--" if skill.startswith("web/") else "-",
            marker="o" if len(seen) == 1 else "",
        )
    below.set_ylim(-2, 102)
    below.set_ylabel("exact answers (%), held-out words")
    below.set_xlabel("tokens (millions)")
    below.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _millions(figures: Mapping[str, Any]) -> float:
    return float(figures["tokens"]) / 1e6
