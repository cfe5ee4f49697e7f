"""A run as a page: `report.html` in one file without scripts, and `report.png` beside it.

The page shows what was measured before what was done: success per generation and per arm with
intervals, paired differences, the leakage check, then verdicts, memories, training, and what each
stage cost. It is written from one record, so it can be written again from `report.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, JsonValue

from benchmarks._charts import arms_chart, generations_chart, loss_chart, percent
from benchmarks._figure import COLOURS, draw
from benchmarks._html import page, write_text
from benchmarks._loop_charts import loop_charts
from benchmarks.runner import write_json
from instar.types import Record

__all__ = ["Files", "ReportData", "write"]

_TEMPLATE = "report.html.jinja"


class ReportData(Record):
    """Everything that a report shows, as JSON values.

    Attributes:
        facts: What was run, shown under the title: world, model, seed, number of tasks.
        generations: In the order of evolution: ``label, note, id, status, success, interval, n``.
        arms: Figures by arm, from `benchmarks.summary`.
        left_out: Arms that could not be measured, each with the reason.
        paired: Paired differences, from `benchmarks.summary`.
        levels: Clean success of those who learn nothing, by name: a line in each chart.
        memories: Items in use: ``when, content, kind, support, generation``.
        ledger: How many memories are ``shown``, ``internalised`` and ``retired``.
        curriculum: One a round of practice: ``turn, round, tasks, proposed, proposers, refused,
            refusals, groups, selector``.
        training: One a turn: ``turn, adapter, rows, dropped, loss, seconds``, and where they are
            known ``counts, used, anchors, course``.
        moults: One a turn: ``turn, reason, clusters, kept, internalised, forgotten, back, tokens,
            lighter, decision``.
        verdicts: One a candidate: ``turn, generation, kind, decision, difference, interval, n,
            reasons``, and of what was measured what the stored verdict has.
        stages: One a stage: ``turn, stage, episodes, seconds, tokens``.
        leakage: Summary of `benchmarks.leakage`.
    """

    title: str
    facts: dict[str, str] = Field(default_factory=dict)
    generations: list[dict[str, Any]] = Field(default_factory=list)
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)
    paired: list[dict[str, Any]] = Field(default_factory=list)
    levels: dict[str, float] = Field(default_factory=dict)
    memories: list[dict[str, Any]] = Field(default_factory=list)
    ledger: dict[str, int] = Field(default_factory=dict)
    curriculum: list[dict[str, Any]] = Field(default_factory=list)
    training: list[dict[str, Any]] = Field(default_factory=list)
    moults: list[dict[str, Any]] = Field(default_factory=list)
    verdicts: list[dict[str, Any]] = Field(default_factory=list)
    stages: list[dict[str, Any]] = Field(default_factory=list)
    leakage: dict[str, JsonValue] = Field(default_factory=dict)


class Files(NamedTuple):
    """Where a report was written."""

    html: Path
    png: Path


def write(folder: Path, data: ReportData) -> Files:
    """Write `report.html`, `report.png` and `report.json` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", data.model_dump(mode="json"))
    html, png = folder / "report.html", folder / "report.png"
    write_text(html, _render(data))
    draw(png, data.title, data.generations, data.arms, data.levels)
    return Files(html, png)


def _render(data: ReportData) -> str:
    return page(
        _TEMPLATE,
        data=data,
        colours=COLOURS,
        generations_svg=generations_chart(data.generations, data.levels),
        arms_svg=arms_chart(data.arms, data.levels),
        losses=[loss_chart(t.get("loss") or []) for t in data.training],
        charts=loop_charts(data.verdicts, data.training, data.moults),
        headline=_headline(data),
    )


def _headline(data: ReportData) -> str:
    """The result in one sentence, with no claim beyond the figures."""
    known = [p for p in data.generations if p["success"] is not None]
    if len(known) < 2:
        return "No two generations were measured."
    first, last = known[0], known[-1]
    return (
        f"Clean success on held-out tasks: {percent(first['success'])} in {first['label']}, "
        f"{percent(last['success'])} in {last['label']}."
    )
