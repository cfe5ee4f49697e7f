"""What was promoted and does harm, and what was good and was turned away, by fresh tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from instar.stats import Paired, paired, wilson
from instar.types import Record

__all__ = ["HARM", "LEVEL", "Comparison", "corrected", "report", "table"]

HARM = -0.05
"""Difference in clean success below which a promotion is harmful."""
LEVEL = 0.95


class Comparison(Record):
    """A candidate and what it was to replace on the same fresh tasks, in the same order.

    Attributes:
        decision: What the gate said.
        before: Clean success of each task with what was active; None where it is unknown.
        after: With the candidate.
    """

    sabotage: str
    seed: int
    gate: str
    candidate: str
    decision: str
    before: tuple[float | None, ...]
    after: tuple[float | None, ...]

    def difference(self, level: float = LEVEL) -> Paired:
        """Candidate minus active."""
        found = paired(self.before, self.after, level=level)
        assert found is not None  # both did at least one task
        return found

    def ends(self, level: float = LEVEL) -> tuple[float, float]:
        """Ends of the interval; without one nothing is known."""
        interval = self.difference(level).interval
        return (interval.low, interval.high) if interval else (-1.0, 1.0)


def corrected(promoted: Sequence[Comparison]) -> list[tuple[float, bool]]:
    """Level of each interval, and whether it lies below `HARM`.

    Step-down after Holm (1979): the one that looks worst has to stand at the strictest level; where
    one does not, none of those that look better does.
    """
    order = sorted(range(len(promoted)), key=lambda i: promoted[i].ends()[1])
    found = [(LEVEL, False)] * len(promoted)
    standing = True
    for rank, index in enumerate(order):
        level = 1 - (1 - LEVEL) / (len(promoted) - rank)
        standing = standing and promoted[index].ends(level)[1] < HARM
        found[index] = (level, standing)
    return found


def report(found: Sequence[Comparison]) -> dict[str, Any]:
    """All figures as JSON values.

    Returns:
        ``gates``, one entry a comparison; ``harmful``, the promoted ones that are; ``promoted``, how
        many were; ``good``, decisions on candidates that are better, by word.
    """
    promoted = [c for c in found if c.decision == "promote"]
    told = {id(c): verdict for c, verdict in zip(promoted, corrected(promoted), strict=True)}
    gates = [_entry(c, *told.get(id(c), (LEVEL, False))) for c in found]
    good = Counter(c.decision for c in found if c.ends()[0] > 0)
    return {
        "gates": gates,
        "promoted": len(promoted),
        "harmful": [g for g in gates if g["harmful"]],
        "good": dict(good),
    }


def _entry(one: Comparison, level: float, harmful: bool) -> dict[str, Any]:
    plain = one.difference()
    low, high = one.ends(level)
    named = one.model_dump(include={"sabotage", "seed", "gate", "candidate", "decision"})
    measured = {"n": plain.n, "difference": plain.difference, "unknown": plain.unknown}
    shown = {"level": level, "interval": [low, high], "harmful": harmful}
    return {**named, **measured, **shown, "good": one.ends()[0] > 0}


def table(found: Sequence[Comparison]) -> str:
    """The gates with what fresh tasks say of them, then the two sums."""
    whole = report(found)
    lines = [
        f"{'sabotage':<10}{'seed':>4}  {'gate':<16}{'decision':<11}{'points':>7}  interval (n)"
    ]
    for g in whole["gates"]:
        low, high = g["interval"]
        mark = "  HARMFUL" if g["harmful"] else "  good" if g["good"] else ""
        lines.append(
            f"{g['sabotage']:<10}{g['seed']:>4}  {g['gate']:<16}{g['decision']:<11}"
            f"{100 * g['difference']:>+7.1f}  [{100 * low:+.1f}, {100 * high:+.1f}] ({g['n']}){mark}"
        )
    lines.append(f"promoted {whole['promoted']}, harmful {len(whole['harmful'])}")
    return "\n".join([*lines, _turned_away(whole["good"])])


def _turned_away(good: dict[str, int]) -> str:
    total = sum(good.values())
    if not total:
        return "good candidates: none"
    words = []
    for word in ("reject", "undecided"):
        low, high = wilson(good.get(word, 0), total)
        share = good.get(word, 0) / total
        words.append(f"{word} {share:.0%} [{100 * low:.0f}, {100 * high:.0f}]")
    return f"good candidates: {total}, of which {', '.join(words)}"
