"""Figures of runs as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
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
            str(f["n"]),
            *_repeated(f),
            *(share(f["metrics"].get(m)) for m in beside),
            _number(f["steps"]),
            _number(f["tokens"], 0),
        ]
        for name, f in measured["arms"].items()
    ]
    shown = [m.replace("_", " ") for m in beside]
    repeated = _attempts(measured)
    head = f"{measured['benchmark']}, {measured['n']} tasks, generation {measured['generation']}"
    columns = ["arm", "clean", "95 %", "n", *repeated, *shown, "steps", "tokens"]
    blocks = [head + _apart(measured), table(columns, arms)]
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
    if "oracle" not in found["rates"]:
        blocks.append("This world has no oracle: that a task can be done was not shown.")
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
            str(p["n"]),
            f"{p['p']:.4f}",
            f"{p['p_holm']:.4f}" if "p_holm" in p else "",
        ]
        for p in found
    ]
    head = ["difference", "points", "95 %", "pairs", "p", "Holm"]
    return table(head, rows, "Nothing in common.")


def unknown_lines(arms: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What could not be measured of each arm, and why."""
    found = []
    for arm, figures in arms.items():
        if figures["unknown"]:
            why = "; ".join(f"{text} ({n})" for text, n in figures.get("unknown_for", {}).items())
            told = f"{figures['unknown']} of {figures['n']} could not be measured"
            found.append(f"{arm}: {told}{': ' if why else ''}{why}")
    return found


def share(value: float | None, sign: str = "") -> str:
    """A share in percent; ``sign`` is "+" for one that is a gain."""
    return "not measured" if value is None else f"{100 * value:{sign}.0f} %"


def _apart(measured: dict[str, Any]) -> str:
    """What else one has to know of a run to read its figures."""
    found = "" if measured.get("protocol", "frozen") == "frozen" else f", {measured['protocol']}"
    if not measured.get("complete", True):
        done = sum(f["n"] for f in measured["arms"].values())
        whole = measured["n"] * measured.get("attempts", 1) * len(measured["arms"])
        found += f". NOT COMPLETE: {done} of {whole} episodes"
    return found


def _attempts(measured: dict[str, Any]) -> list[str]:
    """Heads of the columns of a run in which each task was attempted several times."""
    k = max((len(f.get("pass_at", {})) for f in measured["arms"].values()), default=0)
    return [f"pass@{k}", f"pass^{k}"] if k else []


def _repeated(figures: dict[str, Any]) -> list[str]:
    known = [list(figures.get(name, {}).values()) for name in ("pass_at", "pass_all")]
    return [share(values[-1]) for values in known if values]


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def span(interval: list[float] | None, signed: bool = False) -> str:
    """An interval of shares in percent, or nothing."""
    if not interval:
        return ""
    low, high = (f"{100 * v:+.1f}" if signed else f"{100 * v:.0f}" for v in interval)
    return f"{low} to {high}"
