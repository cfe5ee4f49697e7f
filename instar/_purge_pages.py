"""The pages of a run, written anew from what a purge has left in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks import report, run_page, transcripts
from benchmarks.runner import read_lines, read_settings, write_json
from benchmarks.summary import summarise

__all__ = ["rewrite"]

_CHECKED = ("fairness", "health", "levels")
_FIGURES = ("summary.json", "report.json")


def rewrite(folder: Path) -> None:
    """Write the pages of a finished run.

    The report of an evolution keeps its figures, which were measured once; those of a bench run are
    figured anew, over the episodes that are left. A run of which none is left keeps its settings.
    """
    told = _json(folder / "report.json")
    try:
        report.write(folder, report.ReportData.model_validate(told))
    except ValidationError:  # the report of a bench run
        _bench(folder)


def _bench(folder: Path) -> None:
    settings, lines = read_settings(folder), read_lines(folder)
    if not lines:
        for name in _FIGURES:
            (folder / name).unlink(missing_ok=True)
        return
    before = _json(folder / "summary.json")
    checked = {k: before[k] for k in (*_CHECKED, "report") if k in before}
    found = summarise(settings, lines, before.get("leakage") or {}) | checked
    write_json(folder / "summary.json", found)
    run_page.write(folder, settings, found, lines)
    transcripts.write(folder / "trajectories.jsonl", lines)


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
