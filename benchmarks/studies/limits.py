"""What limits pocket in the houses: success by whether a rule applies, and of which kind it is.

    python -m benchmarks.studies.limits RUN...

A run is the folder of a bench run in House Rules or Library Desk. A task may have no rule, only rules
of kinds that have a counterpart in what pocket was trained on, or one of a kind that has none there.
Intervals are Wilson's, over all attempts of an arm; those of one house are alike, so they are narrow.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.runner import Line, read_lines
from instar.stats import wilson
from instar.types import Status

__all__ = ["KINDS", "main", "of_kinds"]

KINDS = ("no rule", "rules with a counterpart", "a rule without one")


def _kind(line: Line) -> str:
    metrics = line.trajectory.score.metrics
    if not metrics.get("ruled"):
        return KINDS[0]
    return KINDS[2] if metrics.get("novel") else KINDS[1]


def of_kinds(lines: Iterable[Line]) -> dict[str, dict[str, list[bool]]]:
    """Successes by arm and kind of task; what is not known is left out."""
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        status = line.trajectory.score.status
        if status is not Status.UNKNOWN:
            found[line.arm][_kind(line)].append(status is Status.PASS)
    return {arm: dict(kinds) for arm, kinds in found.items()}


def _cell(passed: Sequence[bool]) -> str:
    if not passed:
        return "-"
    low, high = wilson(sum(passed), len(passed))
    share = sum(passed) / len(passed)
    return f"{share:.0%} [{100 * low:.0f}, {100 * high:.0f}] of {len(passed)}"


def main(args: Sequence[str] | None = None) -> int:
    """Print one row an arm."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    folders: list[Path] = parser.parse_args(args).runs
    missing = [f for f in folders if not (f / "episodes.jsonl").is_file()]
    if missing:
        print(
            f"{missing[0]} is no run: name folders such as WORKSPACE/runs/bench1", file=sys.stderr
        )
        return 2
    found = of_kinds(line for folder in folders for line in read_lines(folder))
    print(f"| arm | {' | '.join(KINDS)} |\n|---|---|---|---|")
    for arm, kinds in found.items():
        print(f"| {arm} | {' | '.join(_cell(kinds.get(k, [])) for k in KINDS)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
