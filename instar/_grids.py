"""Grids for ``instar ablate``: what is compared, over which seeds, and what is measured of each run."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, ValidationError

from instar._measure import Measure
from instar.errors import UnknownName, UserError
from instar.types import Record

__all__ = ["EXAMPLE", "Grid", "read_grid"]

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

# What to measure of each finished evolution; with this, one configuration is enough.
[measure.arms]
arms = ["base", "memory", "adapter", "both", "placebo_memory"]
n = 100

[measure.by_generation]
generation = "all"
arms = ["both"]
n = 60
"practise.web_share" = 0
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
        measure: What is measured of each finished run, by name.
    """

    preset: str = "pocket"
    generations: int = Field(default=3, ge=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    base: dict[str, JsonValue] = Field(default_factory=dict)
    configs: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    vary: dict[str, list[JsonValue]] = Field(default_factory=dict)
    measure: dict[str, Measure] = Field(default_factory=dict)

    def named(self) -> dict[str, dict[str, JsonValue]]:
        """Settings of every configuration by its name."""
        products = itertools.product(*([(k, v) for v in vs] for k, vs in self.vary.items()))
        made = {_name(pairs): dict(pairs) for pairs in products if pairs}
        return {k: {**self.base, **v} for k, v in {**self.configs, **made}.items()}


def _name(pairs: Sequence[tuple[str, JsonValue]]) -> str:
    return ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in pairs)


def as_options(settings: Mapping[str, JsonValue]) -> list[str]:
    """Settings as ``-o`` takes them: JSON is TOML for numbers, texts, truth values and lists of these."""
    return [f"{k}={'none' if v is None else json.dumps(v)}" for k, v in settings.items()]


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
        raise _misfit(path, error.errors()[0]) from error
    if len(grid.named()) < (1 if grid.measure else 2):
        few = "no configuration" if grid.measure else "fewer than two configurations"
        raise UserError(f"{path} has {few}. To see an example: instar ablate")
    return grid


def _misfit(path: Path, first: Mapping[str, Any]) -> UserError:
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return UserError(f"{path}: {where}: {first['msg']}, not {first['input']!r}")
    if first["loc"][0] == "measure":
        hint = 'Settings are quoted, as in "practise.web_share" = 0.'
        return UnknownName("key of a measure", where, list(Measure.model_fields), hint)
    return UnknownName("key of a grid", where, list(Grid.model_fields))
