"""Effects with their intervals as a picture: one row a memory, what helps above, what hurts below."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from memory.worth import Verdict, Worth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_worth"]

_COLOURS = {
    Verdict.HELPS: "#1a9850",
    Verdict.HURTS: "#c0504d",
    Verdict.USELESS: "#7a8291",
    Verdict.UNDECIDED: "#2f6fde",
}
_MOST = 40


def draw_worth(
    found: Sequence[Worth], names: Mapping[str, str] | None = None, title: str = ""
) -> Figure:
    """Draw effects on success in points; without a display and without global state.

    The line is the interval of one memory on its own; the dot is its estimate, the bar across it the
    estimate shrunk towards its kind. Of many memories those at both ends are drawn.

    Args:
        found: In any order.
        names: What to call each instead of its id.
        title: Over the picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    ranked = sorted(found, key=lambda w: (w.shrunk, w.name))
    if len(ranked) > _MOST:
        ranked = ranked[: _MOST // 2] + ranked[-_MOST // 2 :]
    figure = Figure(figsize=(7.5, 1.6 + 0.28 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    for place, worth in enumerate(ranked):
        colour = _COLOURS[worth.verdict]
        low, high = worth.success.interval
        axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=1.4)
        axes.plot(_points(worth.success.estimate), place, "o", color=colour, markersize=5)
        axes.plot(_points(worth.shrunk), place, "|", color="black", markersize=9)
    axes.set_ylim(-0.6, max(1, len(ranked)) - 0.4)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(ranked)), [_label(w, names or {}) for w in ranked], fontsize=8)
    axes.set_xlabel("effect on verified success (points; 95 % at any time)", fontsize=9)
    axes.set_xlim(-105, 105)
    figure.suptitle(_plain("\n".join(textwrap.wrap(title, 80))), fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    marks = [Line2D([], [], color=c, marker="o", label=v.value) for v, c in _COLOURS.items()]
    marks += [
        Line2D([], [], color="0.4", marker="o", linestyle="", label="alone"),
        Line2D([], [], color="black", marker="|", linestyle="", label="as in the table (shrunk)"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def _points(effect: float) -> float:
    """In points; weighted differences of few episodes can leave the range of what is possible."""
    return max(-100.0, min(100.0, 100 * effect))


def _plain(text: str) -> str:
    """A text in which the dollars of slots are no formula."""
    return text.replace("$", r"\$")


def _label(worth: Worth, names: Mapping[str, str]) -> str:
    name = names.get(worth.name, worth.name) or worth.level.value
    return _plain(f"{name} ({worth.shown}/{worth.n})")
