"""What practice shows the memories of each distiller to be worth, over finished evolutions.

    python -m benchmarks.studies.distillers WORKSPACE... [--model pocket]

Within a workspace it is the effect on success of being shown the first memory of a distiller that an
episode drew for, by random withholding (`memory.worth.by_author`). Over workspaces it is the mean of
these with a t interval, as houses differ; a workspace in which a distiller was never drawn for is left
out of its row.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from instar._worthing import withheld_from, writers
from instar.stats import mean_interval
from instar.store import Store
from memory.worth import Worth, by_author, observations

__all__ = ["main", "of_workspaces"]


def of_workspaces(folders: Sequence[Path], model: str) -> dict[str, list[Worth]]:
    """Worth by distiller, one of each workspace that drew for it."""
    found: dict[str, list[Worth]] = defaultdict(list)
    for folder in folders:
        with Store.open(folder / "instar.db") as store:
            observed = observations(withheld_from(store, model))
            for worth in by_author(observed, writers(store)):
                found[worth.name].append(worth)
    return dict(sorted(found.items()))


def _row(name: str, of: Sequence[Worth]) -> str:
    effects, steps = [w.success.estimate for w in of], [w.steps.estimate for w in of]
    seen = f"{sum(w.shown for w in of)} of {sum(w.n for w in of)}"
    each = ", ".join(f"{100 * e:+.0f}" for e in effects)
    return f"| {name} | {seen} | {_mean(effects, 100)} | {each} | {_mean(steps, 1)} |"


def _mean(values: Sequence[float], unit: float) -> str:
    mean, found = f"{unit * fmean(values):+.1f}", mean_interval(values)
    return f"{mean} [{unit * found.low:.1f}, {unit * found.high:.1f}]" if found else mean


def main(args: Sequence[str] | None = None) -> int:
    """Print one row a distiller."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("workspaces", nargs="+", type=Path, metavar="WORKSPACE")
    parser.add_argument("--model", default="pocket")
    asked = parser.parse_args(args)
    missing = [f for f in asked.workspaces if not (f / "instar.db").is_file()]
    if missing:
        print(f"{missing[0]} is no workspace: it holds no instar.db", file=sys.stderr)
        return 2
    print("| written by | shown | success, points | each | steps |\n|---|---|---|---|---|")
    for name, of in of_workspaces(asked.workspaces, asked.model).items():
        print(_row(name, of))
    return 0


if __name__ == "__main__":
    sys.exit(main())
