"""Whether an agent that is not Instar's gets better by its experience, joined by a few lines.

    python -m benchmarks.studies.beside [--agent desk] [--seeds 4] [--n 60] [--late] [--out DIR]

An agent of its own process does the tasks of House Rules, one house a seed. It is joined by `instar_client`
alone, its tools are the house's over HTTP, and what answers in it is a policy that follows memories (see
`benchmarks.studies._clerk_policy`): what is measured is the loop and the memories, not a model.

By practice, one generation is evolved. With ``--late`` nobody practises: the agent works in sessions that
`instar serve` records, each outcome is reported when all sessions are over, and one turn of
``evolve --once`` learns from them; the gate then measures on tasks. Either way the arms do the same fresh
held-out tasks; the placebo remembers another house. Stopped, it goes on with what is not finished.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import runner
from benchmarks.studies._beside_agents import AGENTS, free_port, running
from benchmarks.studies._beside_late import record
from benchmarks.studies._folder import claim
from benchmarks.summary import success
from instar._worthing import valued
from instar.benching import Request, measure
from instar.compose import Workspace
from instar.config import Config, load_config
from instar.errors import InstarError
from instar.evolve import evolve
from instar.once import once
from instar.progress import Progress
from instar.stats import mean_interval, paired

__all__ = ["House", "main", "one", "table"]

FIRST = 2000
"""The first house; with none of these was anything tuned."""

_SETTINGS = [
    "model.name=clerk",
    "practise.web_share=0",
    "gate.probes=[]",
    "moult.tasks=0",
    "report.tasks=2",
    "practise.concurrency=8",
]
_DONE = "beside/measured"


class House(NamedTuple):
    """What one house came to.

    Attributes:
        success: By arm, then by family and task.
        promoted: Whether the gate let the memories in.
        worth: What practice says of them, in a sentence.
        leaks: Found by lineage.
    """

    seed: int
    success: dict[str, dict[str, float | None]]
    promoted: bool
    worth: str
    leaks: int


async def one(agent: str, seed: int, n: int, late: bool, out: Path, more: Sequence[str]) -> House:
    """Let an agent learn in one house, and measure it there.

    Args:
        agent: One of `AGENTS`.
        seed: The house.
        n: Held-out tasks.
        late: Whether it learns from sessions whose outcome is told late.
        out: Folder that holds the workspaces.
        more: Settings ``key=value``.
    """
    port, progress = free_port(), Progress()
    folder = out / f"{agent}{'_late' * late}_{seed}"
    place = [f"seed={seed}", f"workspace={json.dumps(str(folder))}"]
    learnt = ['memory.namespaces=["live/clerk","live/support"]'] if late else []
    base = [*_SETTINGS, *learnt, *more, *place]
    alone = load_config(None, base)  # a mistake in it is found before anything is started
    if late:
        await record(agent, alone, out, progress)
    with running(agent, f"http://127.0.0.1:{port}", out) as url:
        there = [f"agent.url={url}", f"agent.port={port}"]
        async with Workspace.open(load_config(None, [*base, *there])) as workspace:
            return await _measured(workspace, n, late, progress)


async def _measured(workspace: Workspace, n: int, late: bool, progress: Progress) -> House:
    store = workspace.store
    if store.stage("run1/report") is None:
        await (once(workspace, False, progress) if late else evolve(workspace, 1, progress))
    kept = store.stage(_DONE)
    if kept is None:
        arms = ("base", "memory") if late else ("base", "memory", "placebo_memory")
        kept = await measure(workspace, Request(arms=arms, n=n, force=True), progress)
        store.finish_stage(_DONE, {k: kept[k] for k in ("run", "leakage")})
    return _house(workspace, workspace.config, kept)


def _house(workspace: Workspace, config: Config, kept: dict[str, Any]) -> House:
    active = workspace.store.active()
    assert active is not None
    found: dict[str, dict[str, float | None]] = {}
    for line in runner.read_lines(workspace.path / "runs" / kept["run"]):
        task = line.trajectory.task
        found.setdefault(line.arm, {})[f"{task.family}/{task.id}"] = success(line.trajectory)
    worth = valued(workspace.store, workspace.store.items(active.id), config.model.name)
    leaks = len(kept["leakage"]["leaks"])
    return House(config.seed, found, active.seq > 0, worth.line, leaks)


def table(houses: Sequence[House]) -> str:
    """The arms, memory against the others in pairs, both over houses and families, and what practice says."""
    arms = list(dict.fromkeys(name for house in houses for name in house.success))
    lines = [f"{len(houses)} houses, {sum(h.promoted for h in houses)} promoted"]
    for name in arms:
        rows = _rows(houses, name, name)
        values, clusters = [r.value for r in rows], [r.cluster for r in rows]
        known = [value for value in values if value is not None]
        share = f"{100 * sum(known) / len(known):.0f} %" if known else "unknown"
        interval = mean_interval(values, clusters)
        # Over few clusters it is one of t, which knows nothing of what a share can be.
        ends = [min(1.0, max(0.0, end)) for end in interval] if interval else None
        lines.append(f"{name}: {share} {_ends(ends)}")
    for name in (a for a in arms if a != "memory"):
        rows = _rows(houses, name, "memory")
        result = paired(
            [r.before for r in rows], [r.value for r in rows], [r.cluster for r in rows]
        )
        if result is not None:
            told = f"{100 * result.difference:+.0f} points {_ends(result.interval)}"
            lines.append(f"memory over {name}: {told}, n={result.n}, {result.clusters} clusters")
    lines += [f"house {house.seed}: {house.worth}" for house in houses]
    lines.append(f"leaks: {sum(house.leaks for house in houses)}")
    return "\n".join(lines)


class _Row(NamedTuple):
    """A task as two arms did it; the cluster is its house and family."""

    before: float | None
    value: float | None
    cluster: tuple[int, str]


def _rows(houses: Sequence[House], before: str, after: str) -> list[_Row]:
    """The tasks that both arms have done."""
    return [
        _Row(house.success[before][key], value, (house.seed, key.partition("/")[0]))
        for house in houses
        for key, value in house.success.get(after, {}).items()
        if key in house.success.get(before, {})
    ]


def _ends(interval: Sequence[float] | None) -> str:
    return f"[{', '.join(f'{100 * end:.0f}' for end in interval)}]" if interval else "[no interval]"


async def _study(given: argparse.Namespace) -> list[House]:
    shape = {"agent": given.agent, "n": given.n, "late": given.late, "settings": given.settings}
    claim(given.out, shape)
    return [
        await one(given.agent, seed, given.n, given.late, given.out, given.settings)
        for seed in range(FIRST, FIRST + given.seeds)
    ]


def main(args: Sequence[str] | None = None) -> int:
    """Print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--agent", choices=AGENTS, default="desk")
    parser.add_argument("--seeds", type=int, default=4, help="houses")
    parser.add_argument("--n", type=int, default=60, help="held-out tasks a house and arm")
    parser.add_argument("--late", action="store_true", help="learn from recorded sessions")
    parser.add_argument("--out", type=Path, default=Path("runs") / "beside")
    parser.add_argument("-o", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args(args)
    try:
        houses = asyncio.run(_study(given))
    except InstarError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(houses))
    return 0


if __name__ == "__main__":
    sys.exit(main())
