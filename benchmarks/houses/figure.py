"""A picture of how agents learn a house: clean success by episode, with the levels as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from instar.types import Status, Trajectory

__all__ = ["draw_learning"]


def _running(trajectories: Sequence[Trajectory], window: int) -> tuple[list[int], list[float]]:
    """Clean success in percent over the last episodes, at each known one."""
    known = [
        (i, t.score.status is Status.PASS)
        for i, t in enumerate(trajectories, 1)
        if t.score.status is not Status.UNKNOWN
    ]
    places, passed = [i for i, _ in known], [p for _, p in known]
    parts = [passed[max(0, i + 1 - window) : i + 1] for i in range(len(passed))]
    return places, [100 * sum(part) / len(part) for part in parts]


def draw_learning(
    path: Path,
    title: str,
    runs: Mapping[str, Sequence[Trajectory]],
    levels: Mapping[str, float],
    window: int = 20,
) -> None:
    """Write the picture as PNG.

    Args:
        runs: Episodes in order, by the name of the agent.
        levels: Clean success of those who learn nothing, by name; see `HouseWorld.levels`.
        window: Over how many episodes success is taken.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), layout="constrained", dpi=140)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, trajectories in runs.items():
        axes.plot(*_running(trajectories, window), lw=2, label=name)
    for i, (name, value) in enumerate(levels.items()):
        axes.axhline(
            100 * value,
            color="#777777",
            ls=("-", "--", ":", "-.")[i % 4],
            lw=1,
            label=name.replace("_", " "),
        )
    axes.set_ylim(-2, 102)
    axes.set_xlabel("episode")
    axes.set_ylabel(f"clean success over {window} episodes, %")
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    beside = path.with_name(path.name + ".part")
    figure.savefig(beside, format="png")
    beside.replace(path)
