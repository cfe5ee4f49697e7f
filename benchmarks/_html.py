"""Pages from templates, and how figures are written on them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._charts import percent

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["page", "write_text"]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("benchmarks", ".")
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    env.filters |= {
        "percent": percent,
        "points": _points,
        "clock": _clock,
        "figure": _figure,
        "p_value": _p_value,
        "merged": _merged,
    }
    return env


def page(template: str, **values: Any) -> str:
    """A template of this folder, filled."""
    return _environment().get_template(template).render(**values)


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _points(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:+.1f}"


def _figure(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return first | second


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
