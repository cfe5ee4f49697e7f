"""How arms went over the course of a stream, as the mean over runs of several houses.

    python -m benchmarks.studies.streams RUN... [--parts 2]

A run is the folder of a bench run with `--protocol stream`. Its tasks are divided into parts of one
length in the order in which the arm that learns met them. A value is the mean over runs with a t
interval, as houses differ; each part is of clean success, and so is the difference to base over all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from benchmarks.runner import Line, read_lines, read_settings
from instar.errors import UserError
from instar.stats import mean_interval
from instar.types import Status

__all__ = ["in_parts", "main"]

_BASE = "base"


def in_parts(lines: Sequence[Line], parts: int) -> dict[str, list[float]]:
    """Clean success of each arm in each part of a stream; episodes with no known end are left out.

    Raises:
        ValueError: No arm learnt, or a part has no known episode of an arm.
    """
    by_arm: dict[str, dict[str, Status]] = {}
    for line in lines:
        trajectory = line.trajectory
        by_arm.setdefault(line.arm, {})[trajectory.task.id] = trajectory.score.status
    lived = next((list(ends) for arm, ends in by_arm.items() if arm != _BASE), None)
    if lived is None:
        raise ValueError("no arm of this run learnt")
    return {
        arm: [_success([ends.get(t) for t in part]) for part in _divided(lived, parts)]
        for arm, ends in sorted(by_arm.items())
    }


def _divided(tasks: Sequence[str], parts: int) -> list[Sequence[str]]:
    bounds = [len(tasks) * i // parts for i in range(parts + 1)]
    return [tasks[a:b] for a, b in pairwise(bounds)]


def _success(ends: Sequence[Status | None]) -> float:
    known = [end is Status.PASS for end in ends if end not in (None, Status.UNKNOWN)]
    if not known:
        raise ValueError("a part of it has no finished episode: ask for fewer parts")
    return fmean(known)


def _mean(values: Sequence[float]) -> str:
    mean, found = f"{100 * fmean(values):.0f}", mean_interval(values)
    return f"{mean} [{100 * found.low:.0f}, {100 * found.high:.0f}]" if found else mean


def main(args: Sequence[str] | None = None) -> int:
    """Print one row an arm, in per cent."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--parts", type=int, default=2, choices=range(1, 21), metavar="N")
    asked = parser.parse_args(args)
    parts: int = asked.parts
    whole, found = [], []
    for folder in asked.runs:
        try:
            if read_settings(folder).protocol != "stream":
                raise ValueError("it is no stream: run it with --protocol stream")
            lines = read_lines(folder)
            whole.append({arm: ends[0] for arm, ends in in_parts(lines, 1).items()})
            found.append(in_parts(lines, parts))
        except (UserError, ValueError) as error:
            print(f"{folder}: {error}", file=sys.stderr)
            return 2
    arms = [arm for arm in whole[0] if all(arm in run for run in whole)]
    head = " | ".join(f"part {i}" for i in range(1, parts + 1))
    print(f"| arm, {len(whole)} runs | all | over base | {head} |\n|{'---|' * (parts + 3)}")
    for arm in arms:
        over = (
            "" if arm == _BASE or _BASE not in arms else _mean([w[arm] - w[_BASE] for w in whole])
        )
        each = " | ".join(_mean([run[arm][i] for run in found]) for i in range(parts))
        print(f"| {arm} | {_mean([w[arm] for w in whole])} | {over} | {each} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
