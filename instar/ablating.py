"""What ``instar ablate`` does: whole evolutions under several settings, over the same seeds.

For "method A against method B" the unit is the whole run with its seed, not the task: tasks of one
run share a house, a bank and an adapter. So each cell of the grid is a workspace of its own, one for
a setting and a seed; differences are paired by seed, with a t interval over the runs. A cell is
resumed at its stage, and one that is finished is read. What a grid measures of its cells besides,
such as placebos, is run in their workspaces when they are finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from benchmarks.runner import write_json
from instar._cells import KeptCell
from instar._grids import Grid, as_options
from instar._measuring import measured
from instar._methods import build, require
from instar._models import Models
from instar._over_runs import Cell, figures, over_runs, paired_over_runs
from instar.compose import Workspace
from instar.config import Config, load_config
from instar.errors import UserError
from instar.evolve import evolve
from instar.progress import Progress
from instar.stats import holm

__all__ = ["ablate", "configs"]

_FULLEST = ("both", "memory", "adapter", "base")
_REPORT = "run1/report"


async def ablate(grid: Grid, folder: Path, progress: Progress) -> dict[str, Any]:
    """Run what is missing of a grid; returns the table, which is also written into the folder.

    Raises:
        UserError: A setting does not exist or does not fit, or the folder holds another grid.
    """
    cells = configs(grid, folder)
    _claim(grid, folder)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    seen: dict[tuple[str, int], dict[str, Cell]] = {}
    for number, ((name, seed), (config, others)) in enumerate(cells.items(), 1):
        progress.say(f"Cell {number} of {len(cells)}: {name}, seed {seed}")
        kept = KeptCell(config.workspace, _asked(grid, name, seed))
        if kept.report is None:
            kept.keep_report(await _cell(config, grid.generations, progress))
        assert kept.report is not None
        found[name, seed] = kept.report
        seen[name, seed] = {}
        for what, other in others.items():
            progress.say(f"Measuring {what}")
            seen[name, seed][what] = await _measured(grid, kept, what, other, progress)
    table = _table(grid, found)
    if grid.measure:
        table["measures"] = _measures(grid, seen)
    write_json(folder / "ablation.json", table)
    return table


def _asked(grid: Grid, name: str, seed: int) -> dict[str, Any]:
    """What a cell is, wherever it is computed."""
    settings = grid.named()[name]
    return {
        "preset": grid.preset,
        "settings": settings,
        "seed": seed,
        "generations": grid.generations,
    }


async def _measured(
    grid: Grid, kept: KeptCell, what: str, config: Config, progress: Progress
) -> Cell:
    """A measurement of a cell, made or read.

    Raises:
        UserError: It is to be made, and the workspace of the cell is elsewhere.
    """
    wanted = grid.measure[what]
    asked = wanted.model_dump(mode="json")
    found = kept.measured(what, asked)
    if found is None:
        if not (config.workspace / "instar.db").exists():
            raise UserError(
                f"{config.workspace} holds what was measured and not the run itself, and {what} was not "
                "measured so. To run it again, delete its cell.json"
            )
        found = await measured(config, wanted, grid.generations, progress)
        kept.keep_measured(what, asked, found)
    return found


def configs(grid: Grid, folder: Path) -> dict[tuple[str, int], tuple[Config, dict[str, Config]]]:
    """Settings of each cell, and those that each of its measurements is made with.

    Raises:
        UserError: One does not exist or does not fit, or names what does not exist.
    """
    found = {}
    for name, settings in grid.named().items():
        for seed in grid.seeds:
            place = folder / name / str(seed)
            others = {
                what: _config(
                    grid, f"{name}, measure {what}", settings | m.overrides(), place, seed
                )
                for what, m in grid.measure.items()
            }
            found[name, seed] = (_config(grid, name, settings, place, seed), others)
    return found


def _config(
    grid: Grid, name: str, settings: Mapping[str, JsonValue], folder: Path, seed: int
) -> Config:
    """The settings of a cell, with all that they name looked for before any work."""
    fixed: dict[str, JsonValue] = {"preset": grid.preset, "seed": seed, "workspace": str(folder)}
    try:
        config = load_config(None, as_options({**settings, **fixed}))
        require(config)
        build("benchmarks.worlds", config.world.name, config)
        Models(config.model).require()
    except UserError as error:
        raise UserError(f"Configuration {name}: {str(error).replace(' in -o', '')}") from error
    return config


def _claim(grid: Grid, folder: Path) -> None:
    """The folder belongs to one grid; more seeds or measurements are no other grid."""
    path = folder / "grid.json"
    folder.mkdir(parents=True, exist_ok=True)
    ours = grid.model_dump(mode="json", exclude={"seeds", "measure"})
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != ours:
        raise UserError(f"{folder} holds another grid. Choose another folder: --out DIR")
    write_json(path, ours)


async def _cell(config: Config, generations: int, progress: Progress) -> dict[str, Any]:
    """Held-out figures of one whole run."""
    async with Workspace.open(config) as workspace:
        if workspace.store.stage(_REPORT) is None:
            await evolve(workspace, generations, progress)
        kept = workspace.store.stage(_REPORT)
        assert kept is not None
        arms: dict[str, Any] = kept["summary"]["arms"]
    whole = next(arms[a] for a in _FULLEST if a in arms)
    return {
        "success": whole["success"],
        "gain": _minus(whole["success"], arms["base"]["success"]),
        "steps": whole["steps"],
        "tokens": whole["tokens"],
    }


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _table(grid: Grid, found: Mapping[tuple[str, int], dict[str, Any]]) -> dict[str, Any]:
    names = list(grid.named())
    rows = {name: _row([found[name, seed] for seed in grid.seeds]) for name in names}
    first, *others = names
    pairs = [_paired(grid, found, first, other) for other in others]
    known = [p for p in pairs if p is not None]
    corrected = holm([p["p"] for p in known])
    return {
        "unit": "run",
        "seeds": list(grid.seeds),
        "generations": grid.generations,
        "configs": rows,
        "paired": [p | {"p_holm": c} for p, c in zip(known, corrected, strict=True)],
    }


def _row(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    gains = [c["gain"] for c in cells if c["gain"] is not None]
    gain = sum(gains) / len(gains) if gains else None
    return over_runs([c["success"] for c in cells]) | {"gain": gain}


def _paired(
    grid: Grid, found: Mapping[tuple[str, int], dict[str, Any]], a: str, b: str
) -> dict[str, Any] | None:
    one, other = ([found[name, seed]["success"] for seed in grid.seeds] for name in (a, b))
    result = paired_over_runs(one, other, grid.seeds)
    return None if result is None else {"a": a, "b": b, **result}


def _measures(grid: Grid, seen: Mapping[tuple[str, int], Mapping[str, Cell]]) -> dict[str, Any]:
    """Figures of each measurement, of each configuration."""
    return {
        what: {
            name: figures(
                wanted, grid.generations, grid.seeds, [seen[name, s][what] for s in grid.seeds]
            )
            for name in grid.named()
        }
        for what, wanted in grid.measure.items()
    }
