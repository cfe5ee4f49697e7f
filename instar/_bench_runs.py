"""The runs of a workspace after they were made: listed, shown, compared, reported anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import run_page
from benchmarks.runner import Line, Settings, read_lines, read_settings
from benchmarks.summary import compared, summarise
from instar.errors import UnknownName, UserError

__all__ = ["compare", "listed", "rewrite", "summary"]

_SAME = ("benchmark", "namespace", "seed", "attempts")


def listed(workspace: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Settings of all runs, and a line for each folder that cannot be read."""
    found, broken = [], []
    for path in sorted((workspace / "runs").glob("*/settings.json")):
        try:
            settings = read_settings(path.parent)
        except UserError as error:
            broken.append(str(error))
            continue
        finished = (path.parent / "summary.json").exists()
        found.append(settings.model_dump(mode="json") | {"finished": finished})
    return found, broken


def _folder(workspace: Path, run: str) -> Path:
    names = [p.parent.name for p in (workspace / "runs").glob("*/settings.json")]
    if run not in names:
        raise UnknownName("run", run, names, "See: instar bench list")
    return workspace / "runs" / run


def summary(workspace: Path, run: str) -> dict[str, Any]:
    """The figures of a finished run.

    Raises:
        UnknownName: There is no such run.
        UserError: It is not finished, or its figures cannot be read.
    """
    path = _folder(workspace, run) / "summary.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UserError(f"Run {run} is not finished. {_go_on(path.parent)}") from error
    except ValueError as error:
        raise UserError(
            f"The figures of run {run} are damaged. Write them anew: instar bench report {run}"
        ) from error


def _go_on(folder: Path) -> str:
    world = read_settings(folder).benchmark
    return f"Go on with it: instar bench run {world} --resume {folder.name}"


def rewrite(workspace: Path, run: str) -> dict[str, Any]:
    """Write the pages of a run from its episodes, with what was checked when it was finished.

    Raises:
        UnknownName: There is no such run.
        UserError: It has no episode yet.
    """
    folder = _folder(workspace, run)
    settings, lines = read_settings(folder), read_lines(folder)
    if not lines:
        raise UserError(f"Run {run} has no episode yet. {_go_on(folder)}")
    try:
        before = summary(workspace, run)
    except UserError:
        before = {}
    checked = {k: before[k] for k in ("fairness", "health", "levels") if k in before}
    found = summarise(settings, lines, before.get("leakage") or {}) | checked
    files = run_page.write(folder, settings, found, lines)
    return found | {"report": str(files.html)}


def compare(workspace: Path, runs: Sequence[str]) -> dict[str, Any]:
    """Paired differences of like arms between the first run and each other.

    Raises:
        UnknownName: There is no such run.
        UserError: Fewer than two runs, or runs that were not made on the same tasks and seeds.
    """
    if len(set(runs)) < 2:
        raise UserError("Name two different runs, as in: instar bench compare bench1 bench2")
    folders = {run: _folder(workspace, run) for run in dict.fromkeys(runs)}
    settings = {run: read_settings(folder) for run, folder in folders.items()}
    first, *others = settings
    for other in others:
        _check_alike(settings[first], settings[other])
    by_arm: dict[str, list[Line]] = {}
    for run, folder in folders.items():
        for line in read_lines(folder):
            by_arm.setdefault(f"{run}:{line.arm}", []).append(line)
    names = [
        (f"{first}:{arm}", f"{other}:{arm}")
        for other in others
        for arm in settings[first].arms
        if {f"{first}:{arm}", f"{other}:{arm}"} <= set(by_arm)
    ]
    return {"runs": list(settings), "paired": compared(by_arm, names)}


def _check_alike(a: Settings, b: Settings) -> None:
    for name in _SAME:
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            raise UserError(
                f"Runs {a.run} and {b.run} cannot be paired: {name} is {one!r} and {other!r}."
            )
