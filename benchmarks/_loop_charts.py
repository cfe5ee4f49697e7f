"""Charts of what the learning loop decided: intervals at the gate, and what was before and after.

Like `benchmarks._charts`: every figure that is drawn also stands beside its mark as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks._svg import dot, line, svg, text

__all__ = ["Between", "Row", "between_chart", "differences_chart", "loop_charts"]

_ROW = 24
_WIDTH = 520
_LEFT = 150
_LETTERS = 22
_REACHES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""How far a scale goes to either side; the half of each is a round figure too."""


def loop_charts(
    verdicts: Sequence[Mapping[str, Any]],
    training: Sequence[Mapping[str, Any]],
    moults: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """All charts of a report about its turns, as `benchmarks.report.ReportData` has them.

    Returns:
        ``verdicts``, one chart; ``groups``, one a verdict that has groups or probes; ``anchors``, one
        a training; ``shed``, one a moult that looked at memories. What there is nothing for is empty.
    """
    looked = [v for v in verdicts if v.get("groups") is not None or v.get("probes") is not None]
    return {
        "verdicts": _verdicts_chart([v for v in verdicts if v["n"]]),
        "groups": [_groups_chart(v) for v in looked],
        "anchors": [_anchors_chart(t.get("anchors") or {}) for t in training],
        "shed": [_shed_chart(m["clusters"]) for m in moults if m["clusters"]],
    }


def _verdicts_chart(verdicts: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        Row(
            f"turn {v.get('turn', '?')}, {v['kind']}",
            v["difference"],
            v["interval"],
            v["decision"],
            f"n {v['n']}",
        )
        for v in verdicts
    ]
    margin = max((v.get("margin", 0.0) for v in verdicts), default=0.0)
    return differences_chart(rows, margin, "Clean success, candidate minus active, in points")


def _groups_chart(verdict: Mapping[str, Any]) -> str:
    rows = [
        Row(
            g["name"],
            g["figure"]["difference"],
            g["figure"]["interval"],
            "blocks" if g["blocks"] else "",
            f"n {g['figure']['n']}",
        )
        for g in verdict.get("groups") or ()
    ]
    label = "Clean success by group, candidate minus active, in points"
    return differences_chart(rows, verdict.get("group_margin", 0.0), label)


class Row(NamedTuple):
    """One paired difference.

    Attributes:
        label: Of what.
        difference: Candidate minus active, a share; None where nothing was measured.
        interval: Its bounds, where there are any.
        kind: A class of the style sheet: what was decided.
        told: Beside the figure, such as the number of pairs.
    """

    label: str
    difference: float | None
    interval: Sequence[float] | None
    kind: str
    told: str = ""


def differences_chart(rows: Sequence[Row], margin: float, label: str) -> str:
    """Differences with their intervals, one a row, against nothing and against a margin.

    Args:
        rows: From top to bottom.
        margin: How much worse is still let pass; drawn as a line on the side of loss.
        label: What the chart shows, in words.
    """
    known = [row for row in rows if row.difference is not None]
    if not known:
        return ""
    ends = [abs(v) for r in known for v in (r.interval or (0.0,))]
    ends += [abs(r.difference or 0.0) for r in known]
    reach = next((r for r in _REACHES if r >= max([*ends, margin])), 1.0)
    right = _WIDTH - 124
    room = right - _LEFT
    height = _ROW * len(rows) + 34

    def place(value: float) -> float:
        return _LEFT + room * (max(-reach, min(reach, value)) + reach) / (2 * reach)

    body = []
    for tick in (-reach, -reach / 2, 0.0, reach / 2, reach):
        body.append(line(place(tick), 6, place(tick), height - 24, "grid"))
        body.append(text(place(tick), height - 8, f"{100 * tick:+.0f}" if tick else "0", "tick"))
    body.append(line(place(0), 6, place(0), height - 24, "whisker"))
    if margin:
        body.append(line(place(-margin), 6, place(-margin), height - 24, "level"))
    for index, row in enumerate(rows):
        y = 6 + _ROW * (index + 0.5)
        body.append(text(_LEFT - 12, y + 4, _short(row.label), "label", "end"))
        if row.difference is None:
            body.append(text(_LEFT + 8, y + 4, "not measured", "tick", "start"))
            continue
        if row.interval:
            low, high = row.interval
            body.append(line(place(low), y, place(high), y, f"span {row.kind}"))
        body.append(dot(place(row.difference), y, f"spot {row.kind}"))
        body.append(text(right + 64, y + 4, f"{100 * row.difference:+.1f}", "value", "end"))
        body.append(text(_WIDTH - 2, y + 4, row.told, "tick", "end"))
    return svg(_WIDTH, height, label, body)


class Between(NamedTuple):
    """One figure before and after.

    Attributes:
        label: Of what.
        before: The first figure.
        after: The second one.
        kind: A class of the style sheet for the second one.
        told: Beside it.
    """

    label: str
    before: float
    after: float
    kind: str
    told: str


def between_chart(rows: Sequence[Between], most: float, label: str, unit: float = 1.0) -> str:
    """Figures before (hollow) and after (full), one a row, joined by a line.

    Args:
        rows: From top to bottom.
        most: The end of the scale, which begins at nothing.
        label: What the chart shows, in words.
        unit: What a figure is multiplied with on the scale, such as 100 for per cent.
    """
    if not rows:
        return ""
    right = _WIDTH - 150
    height = _ROW * len(rows) + 34

    def place(value: float) -> float:
        return _LEFT + (right - _LEFT) * min(1.0, value / most)

    body = []
    for share in (0.0, 0.5, 1.0):
        x = place(most * share)
        body.append(line(x, 6, x, height - 24, "grid"))
        body.append(text(x, height - 8, f"{most * share * unit:.3g}", "tick"))
    for index, row in enumerate(rows):
        y = 6 + _ROW * (index + 0.5)
        body.append(text(_LEFT - 12, y + 4, _short(row.label), "label", "end"))
        body.append(line(place(row.before), y, place(row.after), y, f"span {row.kind}"))
        body.append(dot(place(row.before), y, "hollow"))
        body.append(dot(place(row.after), y, f"spot {row.kind}"))
        body.append(text(right + 14, y + 4, row.told, "tick", "start"))
    return svg(_WIDTH, height, label, body)


def _shed_chart(clusters: Sequence[Mapping[str, Any]]) -> str:
    """Clean success of each group with its memories and without, under the adapter."""
    rows = [
        Between(
            c["name"],
            c["kept_clean"],
            c["shed_clean"],
            c["decision"],
            f"{100 * c['kept_clean']:.0f} to {100 * c['shed_clean']:.0f} %, n {c['n']}",
        )
        for c in clusters
        if c["kept_clean"] is not None and c["shed_clean"] is not None
    ]
    label = "Clean success of each group with its memories and without, in percent"
    return between_chart(rows, 1.0, label, 100)


def _anchors_chart(anchors: Mapping[str, Mapping[str, float]]) -> str:
    """Loss on what the base could do before, before the training and after."""
    rows = [
        Between(
            "memory followed" if name == "followed" else "everything else",
            found["before"],
            found["after"],
            "after",
            f"{found['before']:.3f} to {found['after']:.3f}",
        )
        for name, found in anchors.items()
    ]
    most = max((max(r.before, r.after) for r in rows), default=0.0)
    steps = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    scale = next((s for s in steps if s >= most), most)
    return between_chart(rows, scale, "Loss on anchors before and after the training")


def _short(label: str) -> str:
    """A label that fits into its column."""
    told = label.replace("_", " ")
    return told if len(told) <= _LETTERS else told[: _LETTERS - 1] + "…"
