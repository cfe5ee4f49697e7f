"""What gets past the gate when an evolution is sabotaged, and what it costs those that are not.

    python -m benchmarks.studies.sabotage [--seed 2000] [--seeds 4] [--n 400] [--only NAME] [--out DIR] [-o K=V]

Each sabotage of `SABOTAGES` spoils evolutions of as many seeds: scores that are false, memories that
are poisoned, a judge to whom all is well, next to no data, a learning rate at which training runs
away. Then every candidate that came to a gate, and what it was to replace, do the same fresh held-out
tasks. A promoted candidate is called harmful where its interval, corrected after Holm (1979) for all
promotions of the study, lies below -5 points. Which candidates were good is said by the plain
interval at 95 %: of those the study counts how many were turned away. Evolutions that nobody spoils
(`none`) are run for that and are no part of the correction's claim about sabotage.

Intervals are Newcombe's of a paired difference. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.runner import write_json
from benchmarks.studies._folder import claim
from benchmarks.studies._harm import Comparison, report, table
from benchmarks.studies._spoiling import EPISODES, spoil
from instar.config import load_config
from instar.errors import InstarError, UnknownName
from instar.progress import Progress

__all__ = ["SABOTAGES", "case", "main", "study"]

_SABOTEURS = "benchmarks.studies._saboteurs"
_WORLD = f"world.name={_SABOTEURS}.Mislabelled"
_POISONED = f'memory.distill=["{_SABOTEURS}.Poisoner", "rules"]'
_GULLIBLE = 'memory.distill=["workflow", "rules", "benchmarks.studies._gullible.Gullible"]'
_JUDGE = f"memory.judge={_SABOTEURS}.Nodding"
_TRAINING = ["model.name=pocket", "train.trainer=sft", "train.steps=20"]

SABOTAGES: Mapping[str, Sequence[Sequence[str]]] = {
    # Every fifth score that is learnt from is false; in half of the runs every fifth at the gate too.
    "labels": (
        [_WORLD, "methods.Mislabelled.flipped=0.2"],
        [_WORLD, "methods.Mislabelled.flipped=0.2", "methods.Mislabelled.gate=true"],
    ),
    # False advice that is believed, then workflows that lead astray; each also without forgetting.
    "poison": (
        [_GULLIBLE, "methods.house_rules.poison=0.5"],
        [_GULLIBLE, "methods.house_rules.poison=0.5", "memory.forget=[]"],
        [_POISONED],
        [_POISONED, "memory.forget=[]"],
    ),
    # With the audit as it is, and with one that believes anybody.
    "judge": ([_JUDGE], [_JUDGE, "audit.precision=0"]),
    # One task to practise on, and none of which anybody knows how it went.
    "data": (["practise.tasks=1"], [_WORLD, "methods.Mislabelled.lost=1"]),
    "rate": tuple([*_TRAINING, f"train.lr={lr}"] for lr in ("0.03", "0.3", "3", "30")),
    "none": ([],),
}
"""Settings by sabotage; seeds take them in turn. ``none`` is the honest run."""

_COMMON = ['preset="pocket"', "practise.web_share=0", "report.tasks=2"]


async def case(
    name: str, seed: int, n: int, out: Path, progress: Progress, more: Sequence[str] = ()
) -> list[Comparison]:
    """Run what is missing of one evolution and of its measurement.

    Args:
        name: Of the sabotage.
        seed: Of the evolution; it is the house.
        n: Fresh tasks that each generation does.
        out: Folder that holds the workspaces.
        progress: Told of what is run.
        more: Settings ``key=value``; those of the sabotage win.

    Returns:
        One comparison for each gate that measured something.

    Raises:
        UnknownName: There is no such sabotage.
    """
    if name not in SABOTAGES:
        raise UnknownName("sabotage", name, SABOTAGES)
    variants = SABOTAGES[name]
    place = [f"seed={seed}", f"workspace={json.dumps(str(out / f'{name}_{seed}'))}"]
    config = load_config(None, [*_COMMON, *more, *variants[seed % len(variants)], *place])
    progress.say(f"{name}, seed {seed}:")
    return await spoil(config, name, n, progress)


async def study(
    seeds: Sequence[int],
    n: int,
    out: Path,
    progress: Progress,
    only: Sequence[str] = (),
    more: Sequence[str] = (),
) -> list[Comparison]:
    """All sabotages, or some; see `case`.

    Raises:
        UserError: The folder holds another study.
    """
    claim(out, {"n": n, "settings": list(more)})
    found: list[Comparison] = []
    for name in only or SABOTAGES:
        for seed in seeds:
            found += await case(name, seed, n, out, progress, more)
    write_json(out / "sabotage.json", report(found))
    return found


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def main(args: Sequence[str] | None = None) -> int:
    """Print the table; 1 where something harmful was promoted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=2000, help="of the first evolution")
    parser.add_argument("--seeds", type=_positive, default=4, help="evolutions a sabotage")
    parser.add_argument("--n", type=_positive, default=EPISODES, help="fresh tasks")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("runs") / "sabotage")
    parser.add_argument("-o", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args(args)
    seeds = range(given.seed, given.seed + given.seeds)
    work = study(seeds, given.n, given.out, Progress(), given.only, given.settings)
    try:
        found = asyncio.run(work)
    except InstarError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(found))
    return int(bool(report(found)["harmful"]))


if __name__ == "__main__":
    sys.exit(main())
