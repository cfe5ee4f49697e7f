"""Does `grpo` come to do what is rewarded? Pocket on House Rules by tools, one training a house.

    python -m benchmarks.studies.rewards [--seed 2000] [--seeds 5] [--steps 60] [--out DIR] [-o K=V]

Each house is practised once, without its rules, then `grpo` trains from the base on the tasks of what
went clean. With rules it has hardly anything to go by: an unwritten rule is not come upon by chance, so
nearly all attempts at a task come to the same. Without, what is to be learnt is to act in TRL's one
growing conversation, where our agent shows earlier turns in a line each, at a temperature above the
agent's. The rewards of the first 20 steps are set against those of the last 20 by Mann and Whitney's
test, one-sided, and the houses are put together after Fisher (1932). A step is 32 attempts at four
tasks drawn by chance, so steps differ by their tasks, too. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.studies._folder import claim
from instar.compose import Workspace
from instar.config import load_config
from instar.errors import InstarError, UserError
from instar.evolve import evolve_until
from instar.progress import Progress

__all__ = ["Ends", "main", "rewards", "study", "together"]

_END = 20
"""Steps at either end that are compared."""
_COMMON = [
    'preset="pocket"',
    "practise.web_share=0",
    "train.trainer=grpo",
    "methods.grpo.epochs=1000",
    "train.minutes=60",  # its steps end it, and not the clock of a busy machine
    "methods.house_rules.variant=free",
    "practise.tasks=16",
    "practise.foreign_share=0",
    # Found on house 3.
    "methods.grpo.lr=0.002",
    "methods.grpo.batch=32",
    "methods.grpo.temperature=1.2",
    "methods.grpo.answer=256",
    "methods.grpo.calls=6",
]


class Ends(NamedTuple):
    """Rewards of the first and of the last steps of one training."""

    first: Sequence[float]
    last: Sequence[float]

    @property
    def p(self) -> float:
        """Chance of such a rise where there is none."""
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(self.last, self.first, alternative="greater").pvalue)


def together(found: Sequence[Ends]) -> float:
    """The chance of all trainings together (Fisher 1932)."""
    from scipy.stats import combine_pvalues

    return float(combine_pvalues([ends.p for ends in found], method="fisher").pvalue)


async def rewards(
    seed: int, steps: int, out: Path, progress: Progress, more: Sequence[str]
) -> Ends:
    """Practise and train in one workspace, as far as that is not done.

    Raises:
        UserError: A setting does not fit, or nothing was trained.
    """
    place = [
        f"seed={seed}",
        f"workspace={json.dumps(str(out / str(seed)))}",
        f"train.steps={steps}",
    ]
    async with Workspace.open(load_config(None, [*_COMMON, *more, *place])) as workspace:
        if workspace.store.stage("g1/train") is None:
            progress.say(f"seed {seed}:")
            await evolve_until(workspace, "train", progress, practise=True)
        kept = workspace.store.stage("g1/train") or {}
        if kept.get("adapter") is None:
            raise UserError(f"Seed {seed} trained nothing: {kept.get('reason')}")
        metrics: Any = workspace.store.adapter(kept["adapter"]).metrics
    made = [float(reward) for reward in metrics["reward"]]
    if len(made) < 2 * _END:
        raise UserError(f"{len(made)} steps are too few to compare {_END} with {_END}: --steps N")
    return Ends(made[:_END], made[-_END:])


async def study(
    seeds: Sequence[int], steps: int, out: Path, progress: Progress, more: Sequence[str] = ()
) -> dict[int, Ends]:
    """One training a seed, or those that are missing.

    Raises:
        UserError: The folder holds another study; else as `rewards`.
    """
    claim(out, {"steps": steps, "settings": list(more)})
    return {seed: await rewards(seed, steps, out, progress, more) for seed in seeds}


def _table(found: dict[int, Ends]) -> str:
    lines = [f"| seed | first {_END} steps | last {_END} | p |", "|---|---|---|---|"]
    for seed, ends in found.items():
        lines.append(
            f"| {seed} | {fmean(ends.first):.3f} | {fmean(ends.last):.3f} | {ends.p:.2g} |"
        )
    first, last = (fmean(fmean(getattr(e, side)) for e in found.values()) for side in Ends._fields)
    return "\n".join(
        [*lines, f"| all | {first:.3f} | {last:.3f} | {together([*found.values()]):.2g} |"]
    )


def main(args: Sequence[str] | None = None) -> int:
    """Print a row a seed, and one for all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=2000, help="of the first house")
    parser.add_argument("--seeds", type=int, default=5, help="houses")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("runs") / "rewards")
    parser.add_argument("-o", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args(args)
    if given.seeds < 1 or given.steps < 2 * _END:
        parser.error(f"at least 1 seed and {2 * _END} steps")
    seeds = range(given.seed, given.seed + given.seeds)
    try:
        found = asyncio.run(study(seeds, given.steps, given.out, Progress(), given.settings))
    except InstarError as error:
        print(error, file=sys.stderr)
        return 2
    print(_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
