"""What ``instar ablate`` does: whole evolutions under several settings, over the same seeds.

For "method A against method B" the unit is the whole run with its seed, not the task: tasks of one
run share a house, a bank and an adapter. So each cell of the grid is a workspace of its own, one for
a setting and a seed; differences are paired by seed, with a t interval over the runs. A cell is
resumed at its stage, and one that is finished is read.
"""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, ValidationError

from benchmarks.runner import write_json
from instar._methods import require
from instar._models import Models
from instar.compose import Workspace
from instar.config import Config, load_config
from instar.errors import UnknownName, UserError
from instar.evolve import evolve
from instar.progress import Progress
from instar.stats import holm, mean_interval, paired
from instar.types import Record

__all__ = ["Grid", "ablate", "read_grid"]

_FULLEST = ("both", "memory", "adapter", "base")
_REPORT = "run1/report"

EXAMPLE = """\
preset = "pocket"
generations = 3
seeds = [0, 1, 2]

[base]
"gate.tasks" = 100

[configs.uniform]
"curriculum.select" = "uniform"

[configs.sec]
"curriculum.select" = "sec"
"""
"""A grid that compares two selectors; the first configuration is what others are compared with."""


class Grid(Record):
    """What to run.

    Attributes:
        seeds: Of the runs; each configuration is run with every one of them.
        generations: Of each run.
        base: Settings by dotted key that all cells share.
        configs: Settings of each named configuration.
        vary: Values by dotted key; every combination is a configuration.
    """

    preset: str = "pocket"
    generations: int = Field(default=3, ge=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    base: dict[str, JsonValue] = Field(default_factory=dict)
    configs: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    vary: dict[str, list[JsonValue]] = Field(default_factory=dict)

    def named(self) -> dict[str, dict[str, JsonValue]]:
        """Settings of every configuration by its name."""
        products = itertools.product(*([(k, v) for v in vs] for k, vs in self.vary.items()))
        made = {_name(pairs): dict(pairs) for pairs in products if pairs}
        return {k: {**self.base, **v} for k, v in {**self.configs, **made}.items()}


def _name(pairs: Sequence[tuple[str, JsonValue]]) -> str:
    return ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in pairs)


def read_grid(path: Path) -> Grid:
    """A grid from a TOML file.

    Raises:
        UserError: There is none, or it does not fit; the message says where.
    """
    try:
        grid = Grid.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"No grid in {path}. To see an example: instar ablate") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UnknownName("key of a grid", where, list(Grid.model_fields)) from error
        raise UserError(f"{path}: {where}: {first['msg']}, not {first['input']!r}") from error
    if len(grid.named()) < 2:
        raise UserError(
            f"{path} has fewer than two configurations. To see an example: instar ablate"
        )
    return grid


async def ablate(grid: Grid, folder: Path, progress: Progress) -> dict[str, Any]:
    """Run what is missing of a grid; returns the table, which is also written into the folder.

    Raises:
        ConfigError: A setting of a configuration does not exist or does not fit.
        UserError: The folder holds another grid.
    """
    cells = {
        (name, seed): _config(grid, name, settings, folder / name / str(seed), seed)
        for name, settings in grid.named().items()
        for seed in grid.seeds
    }
    _claim(grid, folder)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for number, ((name, seed), config) in enumerate(cells.items(), 1):
        progress.say(f"Cell {number} of {len(cells)}: {name}, seed {seed}")
        found[name, seed] = await _cell(config, grid.generations, progress)
    table = _table(grid, found)
    write_json(folder / "ablation.json", table)
    return table


def _config(
    grid: Grid, name: str, settings: Mapping[str, JsonValue], folder: Path, seed: int
) -> Config:
    """The settings of a cell, with all that they name looked for before any work."""
    fixed: dict[str, JsonValue] = {"preset": grid.preset, "seed": seed, "workspace": str(folder)}
    try:
        config = load_config(None, [f"{k}={_toml(v)}" for k, v in {**settings, **fixed}.items()])
        require(config)
        Models(config.model).require()
    except UserError as error:
        raise UserError(f"Configuration {name}: {str(error).replace(' in -o', '')}") from error
    return config


def _toml(value: JsonValue) -> str:
    """JSON is TOML for numbers, texts, truth values and lists of these."""
    return "none" if value is None else json.dumps(value)


def _claim(grid: Grid, folder: Path) -> None:
    """The folder belongs to one grid; more seeds are no other grid."""
    path = folder / "grid.json"
    folder.mkdir(parents=True, exist_ok=True)
    ours = grid.model_dump(mode="json", exclude={"seeds"})
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
    values = [c["success"] for c in cells]
    known = [v for v in values if v is not None]
    interval = mean_interval(values)
    gains = [c["gain"] for c in cells if c["gain"] is not None]
    return {
        "success": sum(known) / len(known) if known else None,
        "interval": list(interval) if interval else None,
        "gain": sum(gains) / len(gains) if gains else None,
        "runs": values,
    }


def _paired(
    grid: Grid, found: Mapping[tuple[str, int], dict[str, Any]], a: str, b: str
) -> dict[str, Any] | None:
    one, other = ([found[name, seed]["success"] for seed in grid.seeds] for name in (a, b))
    result = paired(one, other, clusters=list(grid.seeds))
    if result is None:
        return None
    return {
        "a": a,
        "b": b,
        "difference": result.difference,
        "interval": list(result.interval) if result.interval else None,
        "p": result.p,
        "n": result.n,
    }
