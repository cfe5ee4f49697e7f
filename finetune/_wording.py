"""A verdict of the gate as one sentence for people."""

from __future__ import annotations

from collections.abc import Sequence

from finetune._figures import Figure

__all__ = ["points", "sentence"]

_HEADS = {"promote": "Promoted", "reject": "Rejected", "undecided": "Undecided"}


def sentence(decision: str, reasons: Sequence[str], success: Figure, best_case: Figure) -> str:
    """The decision, why, and the figures of clean success."""
    head = _HEADS[decision]
    if success.difference is None or success.active is None or success.candidate is None:
        return f"{head}: no pair of episodes could be compared."
    numbers = (
        f"clean success {success.active:.0%} -> {success.candidate:.0%}, "
        f"difference {points(success)}{_p(success)}, n={success.n}"
    )
    if best_case.difference != success.difference:
        numbers += f"; with every unknown counted for the candidate {points(best_case)}"
    return f"{head}: {' and '.join(reasons)} ({numbers})."


def _p(figure: Figure) -> str:
    """The exact test decides together with the interval, and may not agree with it."""
    if figure.p is None:
        return ""
    return ", p<0.001" if figure.p < 0.001 else f", p={figure.p:.3f}"


def points(figure: Figure) -> str:
    """The difference in points with its interval."""
    told = f"{(figure.difference or 0) * 100:+.1f} points"
    if figure.interval is None:
        return told
    return f"{told} [{figure.interval.low * 100:+.1f}, {figure.interval.high * 100:+.1f}]"
