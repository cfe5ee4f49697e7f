"""Which configuration of a grid comes sooner to the same held-out success, counted in practised episodes.

    python -m benchmarks.studies.sooner DIR [--measure generations]

A folder of `instar ablate` whose grid measures an arm after each generation. Of two configurations
and a seed the target is the lower of the best successes that the two came to, so that both come to
it; how many episodes that took is read off the line through the generations. Differences are paired
over seeds, intervals as everywhere (`instar.stats.paired`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from instar._grids import as_options
from instar.config import load_config
from instar.errors import InstarError, UserError
from instar.evolve import TURN
from instar.stats import Paired, paired

__all__ = ["Run", "compare", "main", "read", "until"]

_ROUNDS = sum(name.startswith("practise") for name in TURN)
"""Of practice in a turn."""


class Run(NamedTuple):
    """One evolution.

    Attributes:
        curve: Held-out success before the first turn and after each one.
        episodes: Practised in a turn.
    """

    curve: tuple[float, ...]
    episodes: int


def until(run: Run, target: float) -> float:
    """Episodes until a success is come to, by a straight line between generations.

    Raises:
        ValueError: It is never come to.
    """
    if run.curve[0] >= target:
        return 0.0
    for turn, (before, after) in enumerate(pairwise(run.curve)):
        if after >= target:
            return run.episodes * (turn + (target - before) / (after - before))
    raise ValueError(f"{target} is never come to")


def compare(
    ours: Mapping[int, Run], theirs: Mapping[int, Run]
) -> tuple[float, float, Paired | None]:
    """Mean episodes of two configurations until the same success, and theirs minus ours.

    Args:
        ours: By seed.
        theirs: By seed; only seeds of both count.

    Raises:
        UserError: They have no seed in common.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        raise UserError("No seed was run with both configurations.")
    targets = [min(max(ours[s].curve), max(theirs[s].curve)) for s in seeds]
    one, other = (
        [until(of[seed], target) for seed, target in zip(seeds, targets, strict=True)]
        for of in (ours, theirs)
    )
    return fmean(one), fmean(other), paired(one, other, clusters=seeds)


def read(folder: Path, measure: str) -> dict[str, dict[int, Run]]:
    """The curves of a grid's cells, by configuration and seed.

    Raises:
        UserError: It is no such folder, or nothing was measured after each generation.
    """
    found: dict[str, dict[int, Run]] = {}
    for path in sorted(folder.glob("*/*/cell.json")):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            asked, measures = kept["asked"], kept["measures"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read: run instar ablate again") from error
        if measure in measures:
            curve = _curve(measures[measure]["outcomes"], asked["generations"], path)
            found.setdefault(path.parts[-3], {})[asked["seed"]] = Run(curve, _episodes(asked))
    if not found:
        raise UserError(f"{folder} holds no cell with a measure {measure!r}: see instar ablate")
    return found


def _curve(
    outcomes: Mapping[str, Sequence[Sequence[Any]]], turns: int, path: Path
) -> tuple[float, ...]:
    by_turn = [outcomes.get(f"g{turn}") for turn in range(turns + 1)]
    if not all(by_turn):
        raise UserError(
            f'{path} is not measured after each generation, by one arm: generation = "all"'
        )
    return tuple(fmean(s for *_, s in of if s is not None) for of in by_turn if of)


def _episodes(asked: Mapping[str, Any]) -> int:
    config = load_config(None, as_options({"preset": asked["preset"], **asked["settings"]}))
    return _ROUNDS * config.practise.tasks * config.practise.attempts


def _rows(found: Mapping[str, Mapping[int, Run]]) -> list[str]:
    first, *others = found
    lines = [
        "| configuration | episodes | of the first | minus the first, 95 % | seeds |",
        "|---|---|---|---|---|",
    ]
    for name in others:
        ours, theirs, by = compare(found[first], found[name])
        low, high = by.interval if by is not None and by.interval else (float("nan"),) * 2
        lines.append(
            f"| {name} | {theirs:.0f} | {ours:.0f} | {theirs - ours:+.0f} [{low:+.0f}, {high:+.0f}] "
            f"| {by.n if by is not None else 0} |"
        )
    return lines


def main(args: Sequence[str] | None = None) -> int:
    """Print a row for each configuration but the one that they are compared with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--measure", default="generations")
    parser.add_argument(
        "--against", default="uniform", help="the configuration that the others are compared with"
    )
    given = parser.parse_args(args)
    try:
        found = read(given.folder, given.measure)
        if given.against not in found or len(found) < 2:
            raise UserError(
                f"Two configurations are needed, one of them named by --against: {sorted(found)}"
            )
        print("\n".join(_rows({given.against: found.pop(given.against), **found})))
    except InstarError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
