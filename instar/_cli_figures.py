"""Figures of runs as tables for the terminal."""

from __future__ import annotations

from typing import Any

from instar._cli_common import table

__all__ = ["arm_table", "health_table", "paired_table", "share", "span"]

_BESIDE = ("utility", "attack_success")
"""Results of which neither says anything alone: shown together where a world measures them."""


def arm_table(measured: dict[str, Any]) -> str:
    """The arms of a summary, and their paired differences."""
    figures = measured["arms"].values()
    beside = [m for m in _BESIDE if any(m in f.get("metrics", {}) for f in figures)]
    arms = [
        [
            name.replace("_", " "),
            share(f["success"]),
            span(f["interval"]),
            *(share(f["metrics"].get(m)) for m in beside),
            _number(f["steps"]),
        ]
        for name, f in measured["arms"].items()
    ]
    shown = [m.replace("_", " ") for m in beside]
    head = f"{measured['benchmark']}, {measured['n']} tasks, generation {measured['generation']}"
    blocks = [head, table(["arm", "clean", "95 %", *shown, "steps"], arms)]
    if measured["paired"]:
        blocks.append(paired_table(measured["paired"]))
    if measured.get("levels"):
        rates = [f"{k.replace('_', ' ')} {share(v)}" for k, v in measured["levels"].items()]
        blocks.append(f"Those who learn nothing: {', '.join(rates)}.")
    blocks += [f"Not measured: {a}, as {why}." for a, why in measured.get("left_out", {}).items()]
    leakage = measured.get("leakage") or {}
    blocks.append(f"Leakage: {'none found' if leakage.get('clean') else 'see the report'}")
    return "\n\n".join(blocks)


def health_table(found: dict[str, Any]) -> str:
    """What a check of a world found: who scored what, what was altered, what is wrong."""
    verdict = "fit to measure with" if found["healthy"] else "not fit to measure with"
    rows = [[name.replace("_", " "), share(value)] for name, value in found["rates"].items()]
    blocks = [
        f"{found['world']}, {found['tasks']} tasks: {verdict}",
        table(["agent", "mean score"], rows),
    ]
    if found["spoilt"]:
        blocks.append(
            f"{found['spoilt']} runs of the oracle with one call left out, changed or added, "
            "none of which may pass."
        )
    if found["problems"]:
        blocks.append("\n".join(["Problems:", *(f"  {p}" for p in found["problems"])]))
    return "\n\n".join(blocks)


def paired_table(found: list[dict[str, Any]]) -> str:
    """Paired differences; p after Holm's correction for their number."""
    rows = [
        [
            f"{p['b']} - {p['a']}".replace("_", " "),
            f"{100 * p['difference']:+.1f}",
            span(p["interval"], signed=True),
            f"{p['p']:.4f}",
            f"{p['p_holm']:.4f}" if "p_holm" in p else "",
        ]
        for p in found
    ]
    return table(["difference", "points", "95 %", "p", "Holm"], rows, "Nothing in common.")


def share(value: float | None, sign: str = "") -> str:
    """A share in percent; ``sign`` is "+" for one that is a gain."""
    return "not measured" if value is None else f"{100 * value:{sign}.0f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def span(interval: list[float] | None, signed: bool = False) -> str:
    """An interval of shares in percent, or nothing."""
    if not interval:
        return ""
    low, high = (f"{100 * v:+.1f}" if signed else f"{100 * v:.0f}" for v in interval)
    return f"{low} to {high}"
