"""`report.png`: the two charts that matter in one picture, for chats and slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["COLOURS", "draw"]

COLOURS = {
    "base": "#7a8291",
    "memory": "#2f6fde",
    "adapter": "#d9822b",
    "both": "#1a9850",
    "moulted": "#0b5d3b",
    "prompt": "#b5508f",
    "whole": "#12324a",
    "placebo_memory": "#b9c7e6",
    "placebo_adapter": "#ecd3b3",
    "false_memory": "#c0504d",
    "best_of_n": "#8e6bbf",
}
"""One colour an arm, the same in the page and in the picture."""


def draw(
    path: Path,
    title: str,
    points: Sequence[Mapping[str, Any]],
    arms: Mapping[str, Mapping[str, Any]],
    levels: Mapping[str, float] | None = None,
) -> None:
    """Write the picture.

    Args:
        path: Where to.
        title: Over both charts.
        points: The generations, each with ``label``, ``success`` and ``interval``; without any, only
            the arms are drawn.
        arms: Figures by arm.
        levels: What those get who learn nothing, by name: a line in each chart.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained", dpi=140)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    if points:
        left, right = figure.subplots(1, 2)
        _generations(left, points)
    else:
        left, right = None, figure.subplots()
    _arms(right, arms)
    for i, (name, value) in enumerate((levels or {}).items()):
        style = {"color": "#777777", "lw": 1, "ls": ("-", "--", ":", "-.")[i % 4]}
        right.axvline(100 * value, label=name.replace("_", " "), **style)
        if left is not None:
            left.axhline(100 * value, **style)
    if levels:
        figure.legend(loc="outside lower center", ncols=len(levels), fontsize=8, frameon=False)
    beside = path.with_name(path.name + ".part")
    figure.savefig(beside, format="png")
    beside.replace(path)


def _spread(figures: Mapping[str, Any]) -> list[list[float]]:
    low, high = figures["interval"]
    return [[100 * (figures["success"] - low)], [100 * (high - figures["success"])]]


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _generations(axes: Any, points: Sequence[Mapping[str, Any]]) -> None:
    known = [(i, p) for i, p in enumerate(points) if p["success"] is not None]
    values = [100 * p["success"] for _, p in known]
    axes.plot([i for i, _ in known], values, color=COLOURS["both"], lw=2)
    for (i, point), value in zip(known, values, strict=True):
        axes.errorbar(
            i, value, yerr=_spread(point), fmt="o", ms=7, capsize=4, color=COLOURS["both"]
        )
        axes.annotate(f"{value:.0f}", (i, value), xytext=(8, 6), textcoords="offset points")
    axes.set_xticks(range(len(points)), [str(p["label"]) for p in points])
    axes.set_xlim(-0.5, max(1, len(points)) - 0.5)
    axes.set_ylim(0, 105)
    axes.grid(axis="y", color="#e6e8ec")
    axes.set_title("Clean success per generation, %", fontsize=10, loc="left")
    _plain(axes)


def _arms(axes: Any, arms: Mapping[str, Mapping[str, Any]]) -> None:
    known = [(name, f) for name, f in reversed(list(arms.items())) if f["success"] is not None]
    for i, (name, figures) in enumerate(known):
        value = 100 * figures["success"]
        colour = COLOURS.get(name.rpartition(":")[2], "#999999")
        axes.barh(i, value, height=0.55, color=colour)
        axes.errorbar(value, i, xerr=_spread(figures), fmt="none", capsize=4, color="#333333")
        axes.text(107, i, f"{value:.0f}", va="center", ha="right", fontweight="bold")
    axes.set_yticks(range(len(known)), [name.replace("_", " ") for name, _ in known])
    axes.set_xlim(0, 108)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.grid(axis="x", color="#e6e8ec")
    axes.set_title("Clean success per arm on held-out tasks, %", fontsize=10, loc="left")
    _plain(axes)
