"""The runs of a workspace after they were made: listed, shown, compared, reported anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks import run_page
from benchmarks.runner import Line, Settings, read_lines, read_settings
from benchmarks.summary import compared, summarise
from instar import _commands as commands
from instar.config import Config
from instar.errors import UnknownName, UserError

__all__ = ["begun_with", "compare", "listed", "rewrite", "summary"]

_SAME = ("benchmark", "namespace", "seed", "attempts")


def listed(workspace: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Settings of all runs, and a line for each folder that cannot be read."""
    found, broken = [], []
    for path in sorted((workspace / "runs").glob("*/settings.json"), key=_order):
        try:
            settings = read_settings(path.parent)
        except UserError as error:
            broken.append(str(error))
            continue
        finished = _complete(path.parent)
        found.append(settings.model_dump(mode="json") | {"finished": finished})
    return found, broken


def _order(path: Path) -> tuple[str, int]:
    """bench2 before bench10."""
    name = path.parent.name
    number = name[len(name.rstrip("0123456789")) :]
    return name.removesuffix(number), int(number or 0)


def _complete(folder: Path) -> bool:
    """Whether all of a run was run: it has figures, and its budget did not end it."""
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found.get("complete", True))


def begun_with(workspace: Path, run: str) -> tuple[Config, dict[str, Any]]:
    """The settings that a run was begun with, and what was asked for besides.

    Raises:
        UnknownName: There is no such run.
        UserError: They cannot be read, or not by this version.
    """
    path = _folder(workspace, run) / "settings.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["config"]
        config = Config.model_validate({**kept, "workspace": workspace})
    except (OSError, ValueError, KeyError, ValidationError) as error:
        raise UserError(
            f"{path} cannot be read, or is of another version: begin a new run without --resume."
        ) from error

    was = read_settings(path.parent)
    models = was.options.get("models") or [config.model.name]
    return config, {**was.options, "models": models, "n": was.n, "seed": was.seed}


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
        raise UserError(
            f"Run {run} is not finished. {_go_on(workspace, run)} "
            f"To see what there is: {commands.bench('report', run, workspace=workspace)}"
        ) from error
    except ValueError as error:
        raise UserError(
            f"The figures of run {run} are damaged. Write them anew: instar bench report {run}"
        ) from error


def _go_on(workspace: Path, run: str) -> str:
    return f"To go on with it: {commands.again(begun_with(workspace, run)[0], run)}"


def rewrite(workspace: Path, run: str) -> dict[str, Any]:
    """Write the pages of a run from its episodes, with what was checked when it was finished.

    Raises:
        UnknownName: There is no such run.
        UserError: It has no episode yet.
    """
    folder = _folder(workspace, run)
    settings, lines = read_settings(folder), read_lines(folder)
    if not lines:
        raise UserError(f"Run {run} has no episode yet. {_go_on(workspace, run)}")
    try:
        before = summary(workspace, run)
    except UserError:
        before = {}
    checked = {k: before[k] for k in ("fairness", "health", "levels", "answers") if k in before}
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
    notes = [
        *(_unlike(settings[first], settings[other]) for other in others),
        *(f"{r} is not complete." for r, folder in folders.items() if not _complete(folder)),
    ]
    return {
        "runs": list(settings),
        "paired": compared(by_arm, names),
        "notes": [note for note in notes if note],
    }


def _unlike(a: Settings, b: Settings) -> str:
    """What else tells two runs apart, for whoever reads the difference."""
    apart = [
        f"{name} {getattr(a, name)} and {getattr(b, name)}"
        for name in ("generation", "model", "protocol", "n")
        if getattr(a, name) != getattr(b, name)
    ]
    return f"{a.run} and {b.run} differ in: {'; '.join(apart)}." if apart else ""


def _check_alike(a: Settings, b: Settings) -> None:
    for name in _SAME:
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            raise UserError(
                f"Runs {a.run} and {b.run} cannot be paired: {name} is {one!r} and {other!r}."
            )
