"""The few shapes that charts are drawn with; colours come from the page's style sheet through classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["dot", "line", "svg", "text"]


def svg(width: int, height: int, label: str, body: Sequence[str]) -> str:
    """A picture of so many units, with what it shows in words."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
    return "\n".join([head, *body, "</svg>"])


def text(x: float, y: float, told: str, kind: str = "", anchor: str = "middle") -> str:
    """Words; their colour comes from their class."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(told)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def dot(x: float, y: float, kind: str, radius: float = 5) -> str:
    """A mark."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}"/>'
