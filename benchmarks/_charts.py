"""Charts as inline SVG, drawn by hand so that a report is one small file in light and dark.

Colours come from the page's style sheet through classes; every figure that is drawn also stands
beside its mark as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks._svg import dot, line, svg, text

__all__ = ["arms_chart", "generations_chart", "learning_chart", "loss_chart", "percent"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 18, 42
_GAP = 14
"""Pixels between two labels at least."""


def percent(value: float | None, signed: bool = False) -> str:
    """A share as people read it; "not measured" for None."""
    if value is None:
        return "not measured"
    return f"{100 * value:+.0f} %" if signed else f"{100 * value:.0f} %"


def _stacked(levels: Mapping[str, float]) -> list[tuple[str, float]]:
    """Levels with one label for those that are equal to a point in a hundred, lowest first."""
    named: dict[int, list[str]] = {}
    for name, value in levels.items():
        named.setdefault(round(100 * value), []).append(name.replace("_", " "))
    return [(", ".join(names), value / 100) for value, names in sorted(named.items())]


def generations_chart(
    points: Sequence[Mapping[str, Any]], levels: Mapping[str, float] | None = None
) -> str:
    """Clean success of each generation with its interval, in the order of evolution.

    Args:
        levels: What those get who learn nothing, by name: one line each.
    """
    width, height = 520, 270
    floor, room = height - _BOTTOM, height - _BOTTOM - _TOP
    slot = (width - _LEFT - _RIGHT) / max(1, len(points))
    xs = [_LEFT + slot * (i + 0.5) for i in range(len(points))]
    body = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = floor - room * tick
        body += [line(_LEFT, y, width - _RIGHT, y, "grid")]
        body += [text(_LEFT - 8, y + 4, f"{100 * tick:.0f}", "tick", "end")]
    for name, value in _stacked(levels or {}):
        y = floor - room * value
        body += [line(_LEFT, y, width - _RIGHT, y, "level")]
        body += [text(width - _RIGHT, y - 4, f"{name} {percent(value)}", "tick", "end")]
    known = [(x, p) for x, p in zip(xs, points, strict=True) if p["success"] is not None]
    path = " ".join(f"{x:.1f},{floor - room * p['success']:.1f}" for x, p in known)
    body.append(f'<polyline points="{path}" class="trace"/>')
    for x, point in known:
        low, high = point["interval"]
        y = floor - room * point["success"]
        body.append(line(x, floor - room * low, x, floor - room * high, "whisker"))
        body.append(dot(x, y, "mark", 6))
        body.append(text(x + 12, y - 9, percent(point["success"]), "value", "start"))
    for x, point in zip(xs, points, strict=True):
        body.append(text(x, floor + 18, str(point["label"]), "label"))
        body.append(text(x, floor + 33, str(point.get("note", "")), "tick"))
    return svg(width, height, "Clean success per generation, in percent", body)


def arms_chart(
    arms: Mapping[str, Mapping[str, Any]], levels: Mapping[str, float] | None = None
) -> str:
    """Clean success of each arm with its interval, one row an arm, and the levels as lines."""
    width, row, left = 520, 34, 128
    marked = _stacked(levels or {})
    head = 14 * len(marked)
    height = head + row * len(arms) + 34
    room = width - left - 62
    body = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + room * tick
        body += [line(x, head + 8, x, height - 24, "grid")]
        body += [text(x, height - 8, f"{100 * tick:.0f}", "tick")]
    for index, (name, value) in enumerate(marked):
        x = left + room * value
        body += [line(x, 14 * index + 4, x, height - 24, "level")]
        label = f"{name} {percent(value)}"
        body += [text(x + 4, 14 * index + 13, label, "tick", "start")]
    for index, (name, figures) in enumerate(arms.items()):
        y = head + 8 + row * (index + 0.5)
        kind = name.rpartition(":")[2]
        body.append(text(left - 14, y + 4, name.replace("_", " "), "label", "end"))
        if figures["success"] is None:
            body.append(text(left + 8, y + 4, "not measured", "tick", "start"))
            continue
        low, high = figures["interval"]
        x = left + room * figures["success"]
        body.append(
            f'<rect x="{left}" y="{y - 7}" width="{x - left:.1f}" height="14" class="bar {kind}"/>'
        )
        body.append(line(left + room * low, y, left + room * high, y, "whisker"))
        body.append(dot(x, y, f"mark {kind}"))
        body.append(text(width - 8, y + 4, percent(figures["success"]), "value", "end"))
    return svg(width, height, "Clean success per arm, in percent", body)


def learning_chart(
    curves: Mapping[str, Sequence[Sequence[float]]], levels: Mapping[str, float] | None = None
) -> str:
    """Clean success over the last episodes, by arm, as the episodes of a stream went by.

    Args:
        curves: Pairs of the episode's place and a share, by name of the arm.
        levels: What those get who learn nothing, by name: one line each.
    """
    width, height = 1040, 300
    floor, room = height - _BOTTOM, height - _BOTTOM - _TOP
    right = width - 190
    most = max((point[0] for curve in curves.values() for point in curve), default=1)
    body = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = floor - room * tick
        body += [line(_LEFT, y, right, y, "grid")]
        body += [text(_LEFT - 8, y + 4, f"{100 * tick:.0f}", "tick", "end")]
    ends = [(value, f"{name} {percent(value)}", "tick") for name, value in _stacked(levels or {})]
    for value, _, _ in ends:
        body += [line(_LEFT, floor - room * value, right, floor - room * value, "level")]
    for name, curve in curves.items():
        spots = [(_LEFT + (right - _LEFT) * x / most, floor - room * y) for x, y in curve]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        body.append(f'<polyline points="{path}" class="curve {name.rpartition(":")[2]}"/>')
        if curve:
            label = f"{name.replace('_', ' ')} {percent(curve[-1][1])}"
            ends.append((curve[-1][1], label, "value"))
    for y, label, kind in _apart([(floor - room * v, told, kind) for v, told, kind in ends]):
        body.append(text(right + 8, y + 4, label, kind, "start"))
    body += [text(_LEFT, floor + 18, "1", "tick"), text(right, floor + 18, f"{most:.0f}", "tick")]
    body.append(text((_LEFT + right) / 2, floor + 18, "episode", "tick"))
    return svg(width, height, "Clean success over the last twenty episodes, in percent", body)


def _apart(labels: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Labels moved up as far as it takes for none to lie on another."""
    placed: list[tuple[float, str, str]] = []
    for y, told, kind in sorted(labels, reverse=True):
        below = placed[-1][0] if placed else y + _GAP
        placed.append((min(y, below - _GAP), told, kind))
    return placed


def loss_chart(losses: Sequence[Sequence[float]]) -> str:
    """Training loss over steps, given as pairs of step and loss."""
    if len(losses) < 2:
        return ""
    width, height = 300, 110
    steps, values = [p[0] for p in losses], [p[1] for p in losses]
    wide, tall = (steps[-1] - steps[0]) or 1, max(values) or 1
    spots = [
        (36 + (width - 48) * (s - steps[0]) / wide, 88 - 74 * v / tall)
        for s, v in zip(steps, values, strict=True)
    ]
    body = [line(36, 88, width - 12, 88, "grid")]
    body.append(
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in spots)}" class="trace"/>'
    )
    body.append(text(30, 18, f"{tall:.2f}", "tick", "end"))
    body.append(text(30, 92, "0", "tick", "end"))
    told = f"{values[-1]:.3f} at step {steps[-1]:.0f}"  # beside the curve it would lie on it
    body.append(text(width - 12, 104, told, "value", "end"))
    return svg(width, height, "Training loss", body)
