"""The file `cell.json` of a cell of a grid: what it came to, readable without its workspace.

A grid takes hours. Its cells may be computed on several machines, or one by one, and put together by
these files alone: a cell that has one which fits the grid is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from instar._over_runs import Cell, Outcome

__all__ = ["KeptCell"]

_FILE = "cell.json"


class KeptCell:
    """What is known of a cell.

    Args:
        folder: Of the cell; its workspace too, where it was computed here.
        asked: Settings of the cell, its seed and number of generations; a file about others is none.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self._path, self._asked = folder / _FILE, json.loads(json.dumps(dict(asked)))
        self._kept: dict[str, Any] = {"measures": {}}
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["asked"] == self._asked:
                self._kept = found
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or one that says nothing about this cell

    @property
    def report(self) -> dict[str, Any] | None:
        """Held-out figures of its report."""
        return self._kept.get("report")

    def measured(self, name: str, wanted: Mapping[str, Any]) -> Cell | None:
        """A measurement, if it was made with these settings."""
        found = self._kept["measures"].get(name)
        if found is None or found["wanted"] != wanted:
            return None
        outcomes = {
            label: {
                (task, attempt): Outcome(family, success) for task, attempt, family, success in of
            }
            for label, of in found["outcomes"].items()
        }
        return Cell(**{**found["cell"], "outcomes": outcomes})

    def keep_report(self, figures: Mapping[str, Any]) -> None:
        """Write down the figures of the report."""
        self._kept["report"] = dict(figures)
        self._write()

    def keep_measured(self, name: str, wanted: Mapping[str, Any], cell: Cell) -> None:
        """Write down a measurement."""
        plain = asdict(cell)
        del plain["outcomes"]
        outcomes = {
            label: [[task, attempt, one.family, one.success] for (task, attempt), one in of.items()]
            for label, of in cell.outcomes.items()
        }
        kept = {"wanted": dict(wanted), "cell": plain, "outcomes": outcomes}
        self._kept["measures"][name] = kept
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        made_by = {"instar": metadata.version("instar")}
        value = {"asked": self._asked, "made_by": made_by, **self._kept}
        beside = self._path.with_suffix(".part")  # in one line, as tables are long
        beside.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(self._path)
