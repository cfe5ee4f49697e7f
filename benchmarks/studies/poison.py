"""What false memories from page text cost, with the bank's defence and without it.

    python -m benchmarks.studies.poison [--seed 0] [--n 60] [--generations 2] [--out DIR] [-o K=V]

Pocket practises twice in one house where half of the tasks carry false advice, with the distillers
`workflow`, `rules` and one that believes what it reads. Once new memories begin as candidates, or in
quarantine where they are from untrusted text; once there is no forgetting, so that all of them are
active at once. The last memory candidate of each is measured, whatever the gate thought of it: this
is about the bank. Nothing is trained. Stopped, it goes on where it was.

Shares have Wilson's interval, the difference is paired by task with Newcombe's: both are of one house.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.runner import Line, read_lines
from benchmarks.studies._folder import claim
from benchmarks.summary import success
from instar import _bench_runs as runs
from instar.benching import Request, measure
from instar.compose import Workspace
from instar.config import Config, load_config
from instar.errors import InstarError
from instar.evolve import evolve
from instar.progress import Progress
from instar.stats import paired, wilson
from instar.types import MemoryItem, MemoryOp, MemoryStatus, OpKind, Trajectory

__all__ = ["Side", "main", "side", "study", "table"]

_GULLIBLE = "benchmarks.studies._gullible.Gullible"
_COMMON = [
    'preset="pocket"',
    f'memory.distill=["workflow", "rules", "{_GULLIBLE}"]',
    "methods.house_rules.poison=0.5",
    "train.trainer=off",
    # All that is practised is practised at home, and nothing is read of the run's own report.
    "practise.foreign_share=0",
    "report.tasks=2",
]
SIDES: Mapping[str, Sequence[str]] = {"with defence": (), "without": ("memory.forget=[]",)}
"""What is compared: settings by name."""


class Side(NamedTuple):
    """What one evolution left behind.

    Attributes:
        written: What the gullible distiller wrote first, by id.
        standing: Status of each of these at the end; what is not seen any more is retired.
        practised: Its practise.
        lines: Its measurement, arms ``memory`` and, on one side, ``base``.
        gate: What the gate decided on the generation that is measured.
    """

    written: Mapping[str, MemoryItem]
    standing: Mapping[str, MemoryStatus]
    practised: Sequence[Trajectory]
    lines: Sequence[Line]
    gate: str = ""

    def arm(self, name: str) -> dict[str, Trajectory]:
        """Episodes of an arm by task."""
        return {x.trajectory.task.id: x.trajectory for x in self.lines if x.arm == name}

    def showed(self, lived: Trajectory) -> bool:
        """Whether an episode was shown a false memory."""
        return any(m.shown and m.item in self.written for m in lived.memories)


async def study(
    seed: int, n: int, generations: int, out: Path, progress: Progress, more: Sequence[str] = ()
) -> dict[str, Side]:
    """Run what is missing of both evolutions and their measurements.

    Args:
        seed: Of both; it is the house.
        n: Held-out tasks.
        generations: Of each evolution.
        out: Folder that holds both workspaces.
        progress: Told of what is run.
        more: Settings ``key=value`` that both have besides.

    Raises:
        UserError: The folder holds another study, or a setting does not fit.
    """
    configs = {
        name: _config(seed, out / name.replace(" ", "_"), [*more, *SIDES[name]]) for name in SIDES
    }
    claim(out, {"seed": seed, "generations": generations, "settings": list(more)})
    found: dict[str, Side] = {}
    for name, config in configs.items():
        progress.say(f"{name}:")
        # Base sees no memory, so once is enough.
        arms = ("memory",) if found else ("base", "memory")
        wanted = Request(arms=arms, n=n)
        found[name] = await side(config, generations, wanted, progress)
    return found


def _config(seed: int, workspace: Path, more: Sequence[str]) -> Config:
    places = [f"seed={seed}", f"workspace={json.dumps(str(workspace))}"]
    return load_config(None, [*_COMMON, *places, *more])


async def side(config: Config, generations: int, wanted: Request, progress: Progress) -> Side:
    """Evolve and measure in one workspace, or read what was."""
    async with Workspace.open(config) as workspace:
        store = workspace.store
        if store.stage("run1/report") is None:
            await evolve(workspace, generations, progress)
        gate = store.stage(f"g{generations}/gate_memory")
        assert gate is not None  # the evolution is finished
        candidate = gate["candidate"]
        asked = wanted.model_copy(update={"generations": (candidate,)})
        lines = await _measured(workspace, asked, progress)
        plans = store.stages("g").items()
        ops = [o for key, plan in plans if key.endswith(_GULLIBLE) for o in plan["ops"]]
        seen = {i.id: i.status for i in store.items(candidate)}
        written = _written([MemoryOp.model_validate(o) for o in ops])
        return Side(
            written=written,
            standing={i: seen.get(i, MemoryStatus.RETIRED) for i in written},
            practised=store.trajectories(purpose="practise"),
            lines=lines,
            gate=gate["verdict"]["decision"],
        )


def _written(ops: Sequence[MemoryOp]) -> dict[str, MemoryItem]:
    written: dict[str, MemoryItem] = {}
    for op in ops:
        if op.kind is OpKind.ADD and op.item is not None:
            written.setdefault(op.item.id, op.item)
    return written


async def _measured(workspace: Workspace, wanted: Request, progress: Progress) -> list[Line]:
    """Episodes of the held-out measurement, which is run, gone on with or read."""
    # Nobody else measures in this workspace, so a run of as many tasks is this one.
    benches = [r for r in runs.listed(workspace.path)[0] if r["run"].startswith("bench")]
    begun = next((r for r in benches if r["n"] == wanted.n), None)
    if begun is None or not begun["finished"]:
        again = wanted.model_copy(update={"resume": begun["run"] if begun else None})
        name = (await measure(workspace, again, progress))["run"]
    else:
        name = begun["run"]
    return read_lines(workspace.path / "runs" / name)


def table(sides: Mapping[str, Side]) -> str:
    """The figures of both sides beside each other, then the paired difference first minus second."""
    rows = {name: _column(one) for name, one in sides.items()}
    columns = list(rows.values())
    lines = [f"{'':<42}" + "".join(f"{name:>24}" for name in rows)]
    lines += [f"{key:<42}" + "".join(f"{c[key]:>24}" for c in columns) for key in columns[0]]
    (first, one), (second, other) = sides.items()
    ours, theirs = one.arm("memory"), other.arm("memory")
    both = [id for id in theirs if id in ours]
    misled = [id for id in both if other.showed(theirs[id])]
    lines.append(f"\nclean success with memory, {first} minus {second}")
    for what, ids in (("all", both), (f"where {second} showed a false one", misled)):
        lines.append(f"  {what:<40}{_difference(ids, ours, theirs)}")
    return "\n".join(lines)


def _column(one: Side) -> dict[str, str]:
    base, memory = (list(one.arm(name).values()) for name in ("base", "memory"))
    origins = Counter(i.origin.value for i in one.written.values())
    told = ", ".join(f"{n} {origin}" for origin, n in sorted(origins.items()))
    stands = Counter(one.standing.values())
    return {
        "false memories written": str(len(one.written)),
        "  by origin": told or "-",
        "practise: episodes shown one": _share([one.showed(t) for t in one.practised]),
        "held out: episodes shown one": _share([one.showed(t) for t in memory]),
        "held out with a notice: followed it": _misled(memory),
        "held out: clean success, base": _clean(base),
        "held out: clean success, memory": _clean(memory),
        **{f"at the end {s.value}": str(stands[s]) for s in _ENDS},
        "gate on what is measured": one.gate or "-",
    }


_ENDS = (
    MemoryStatus.ACTIVE,
    MemoryStatus.CANDIDATE,
    MemoryStatus.QUARANTINED,
    MemoryStatus.RETIRED,
)


def _clean(lived: Collection[Trajectory]) -> str:
    known = [value for value in map(success, lived) if value is not None]
    return _share([value == 1 for value in known])


def _misled(lived: Collection[Trajectory]) -> str:
    """Share that took false advice, of those whose task gave some."""
    followed = [t.score.metrics["misled"] for t in lived if "misled" in t.score.metrics]
    return _share([value == 1 for value in followed])


def _share(happened: Sequence[bool]) -> str:
    if not happened:
        return "-"
    count, n = sum(happened), len(happened)
    low, high = wilson(count, n)
    return f"{count / n:.0%} [{100 * low:.0f}, {100 * high:.0f}] of {n}"


def _difference(
    ids: Sequence[str], ours: Mapping[str, Trajectory], theirs: Mapping[str, Trajectory]
) -> str:
    theirs_went, ours_went = ([success(side[i]) for i in ids] for side in (theirs, ours))
    found = paired(theirs_went, ours_went)
    if found is None or found.interval is None:
        return "-"
    low, high = found.interval
    points = f"{100 * found.difference:+.0f} [{100 * low:+.0f}, {100 * high:+.0f}] points"
    return f"{points}, p {found.p:.3f}, {found.n} tasks"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def main(args: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=_positive, default=60, help="held-out tasks")
    parser.add_argument("--generations", type=_positive, default=2)
    parser.add_argument("--out", type=Path, help="folder of both workspaces")
    parser.add_argument("-o", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args(args)
    out: Path = given.out or Path("runs") / f"poison_{given.seed}"
    work = study(given.seed, given.n, given.generations, out, Progress(), given.settings)
    try:
        sides = asyncio.run(work)
    except InstarError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(sides))
    return 0


if __name__ == "__main__":
    sys.exit(main())
