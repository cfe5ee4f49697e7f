"""What worth can tell of memories planted in House Rules, with pocket as it is.

    python -m benchmarks.studies.house_worth [--seed 0] [--rounds 12] [--n 260] [--out DIR] [-o K=V]

For each family of a house three memories of the same occasion are planted: what an agent that knows
the rules does (helpful), the false advice of the house (harmful), and a remark (useless). Nothing
tells them apart but what is withheld in practice. Pocket practises by tools; after each round the
bank is swept as the product does it. `benchmarks.studies.worth` has the error rates, of thousands of
simulated units; this is one house with a real model, where a memory is what it was planted as even if
pocket makes nothing of it. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.houses.case import Case, solution
from benchmarks.houses.world import HouseWorld
from benchmarks.runner import episode_seed
from benchmarks.studies._folder import claim
from instar._loop import Job, Loop, draw
from instar._stages import start
from instar._worthing import withheld_from, writers
from instar.compose import Serving, Workspace
from instar.config import Config, load_config
from instar.errors import InstarError
from instar.progress import Progress
from instar.stats import mean_interval
from instar.types import (
    MemoryItem,
    MemoryKind,
    MemoryOp,
    MemoryStatus,
    OpKind,
    Prompts,
    Result,
    Score,
    ScoreSource,
    Split,
    Status,
    Step,
    StopReason,
    Task,
    ToolCall,
    Trajectory,
)
from memory.distill.base import stable_id
from memory.distill.workflow import Workflow
from memory.forget.uplift import Uplift
from memory.worth import Level, Worth, observations, worth

__all__ = ["KINDS", "Planted", "area", "main", "study", "table"]

KINDS = ("helpful", "harmful", "useless")
_SETTINGS = ['preset="pocket"', "practise.web_share=0", "memory.distill=[]"]
_EXAMPLES = 12
# A workflow that successes support is recalled alone, and nothing beside it could be told.
_BARE = {"support": 0, "sources": (), "status": MemoryStatus.CANDIDATE}
_REMARK = "the office is at its quietest in the week after {}"


class Planted(NamedTuple):
    """What became of one memory.

    Attributes:
        kind: One of `KINDS`.
        status: At the end.
        ended: Why it was retired; empty where it was not.
        worth: What is known of it; None where it was never drawn for.
    """

    kind: str
    status: MemoryStatus
    ended: str
    worth: Worth | None


async def study(config: Config, rounds: int, n: int, progress: Progress) -> list[Planted]:
    """Plant, practise and sweep what is missing of so many rounds.

    Args:
        config: With the workspace of the study.
        rounds: Of practice, each followed by a sweep.
        n: Episodes a round.
        progress: Told of each.
    """
    async with Workspace.open(config) as workspace:
        loop = Loop(workspace, progress)
        place = str((await start(loop, "", {})).state["active"])
        if not loop.store.items(place):
            await _plant(workspace, place)
        for number in range(1, rounds + 1):
            await _round(loop, place, f"g{number}/practise_1", n)
        return _found(loop, place, rounds)


async def _plant(workspace: Workspace, place: str) -> None:
    world = workspace.home
    assert isinstance(world, HouseWorld)
    tasks = world.tasks(Split.PRACTISE, _EXAMPLES * len(world.house.advice), 0)
    of: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        of[task.family].append(task)
    planted: dict[str, list[MemoryItem]] = {kind: [] for kind in KINDS}
    for family, mine in sorted(of.items()):
        lived = [await _known(world, task) for task in mine]
        written = [op.item for op in Workflow().distill(lived, []) if op.item is not None]
        if written:
            best = max(written, key=lambda item: (item.support, item.id)).model_copy(update=_BARE)
            planted["helpful"].append(best)
            planted["harmful"].append(_lesson(best, world.advice(family)))
            planted["useless"].append(_lesson(best, _REMARK.format(family)))
    for kind, items in planted.items():
        ops = [MemoryOp(kind=OpKind.ADD, item=item) for item in items]
        workspace.bank.write(ops, place, kind)


async def _known(world: HouseWorld, task: Task) -> Trajectory:
    """The episode of an agent that knows the rules."""
    case = Case(world.house, task, 0)
    episode = await world.open(task, 0)
    try:
        tools = tuple(episode.toolset.tools())
        steps = []
        for number, call in enumerate(solution(case.house, case.dials, case.start)):
            asked = ToolCall(id=f"c{number}", name=call.name, arguments=dict(call.arguments))
            answer: Result = await episode.toolset.call(call.name, call.arguments)
            steps.append(Step(observation="", calls=(asked,), results=(answer,)))
    finally:
        await episode.close()
    return Trajectory(
        id=f"known-{task.id}",
        task=task,
        seed=0,
        generation="",
        model="oracle",
        provider="scripted",
        prompts=Prompts(name="", system=""),
        tools=tools,
        steps=tuple(steps),
        stop=StopReason.FINISHED,
        score=Score(status=Status.PASS, value=1.0, source=ScoreSource.ENVIRONMENT),
    )


def _lesson(like: MemoryItem, content: str) -> MemoryItem:
    """A lesson for the occasion of another memory."""
    more = {
        "id": stable_id(like.namespace, like.when, MemoryKind.LESSON, (), content),
        "content": content,
        "kind": MemoryKind.LESSON,
        "tools": (),
    }
    return like.model_copy(update=more)


async def _round(loop: Loop, place: str, key: str, n: int) -> None:
    """Practise, and sweep by all that is known; done once."""
    if loop.store.stage(key) is not None:
        return
    workspace = loop.workspace
    seed = draw(loop.config, key)
    tasks = workspace.home.tasks(Split.PRACTISE, n, seed)
    loop.store.save_tasks(tasks)
    serving = Serving(generation=place, memory=place)
    solve = workspace.solver(serving, workspace.home, "practise", sampled=True)
    jobs = [Job(task, episode_seed(seed, task)) for task in tasks]
    with loop.progress.stage(key, len(jobs)) as tally:
        await loop.collect(key, jobs, solve, tally)
    # Kept before the sweep is written: a round that was killed between sweeps nothing twice.
    loop.store.finish_stage(key, {"episodes": len(jobs)})
    rules = Uplift()
    rules.observe(withheld_from(loop.store, loop.config.model.name))
    ops = rules.sweep(loop.store.items(place), 0.0)
    if ops:
        workspace.bank.write(ops, place, f"sweep {key}")


def _found(loop: Loop, place: str, rounds: int) -> list[Planted]:
    kinds = {id: who for id, who in writers(loop.store).items() if who in KINDS}
    here = {item.id: item.status for item in loop.store.items(place)}
    observed = observations(withheld_from(loop.store, loop.config.model.name))
    known = {w.name: w for w in worth(observed, Level.CLUSTER)}
    ended = {
        line["item"]: line["reason"]
        for number in range(1, rounds + 1)
        for line in loop.store.memory_log(1000, author=f"sweep g{number}/practise_1")
    }
    return [
        Planted(
            kind=kind,
            status=here.get(id, MemoryStatus.RETIRED),
            ended="" if id in here else ended.get(id, ""),
            worth=known.get(id),
        )
        for id, kind in kinds.items()
    ]


def area(found: Sequence[Planted]) -> float:
    """Area under the curve of helpful against all others, by shrunk worth."""
    value = {kind: [p.worth.shrunk for p in found if p.kind == kind and p.worth] for kind in KINDS}
    pairs = [(a, b) for a in value["helpful"] for k in KINDS[1:] for b in value[k]]
    if not pairs:
        return float("nan")
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)


def table(found: Sequence[Planted]) -> str:
    """A line a kind, and the area under the curve."""
    head = f"{'planted':<10}{'units':>6}{'recalls each':>14}{'effect, points':>22}  in the end"
    lines = [head]
    for kind in KINDS:
        mine = [p for p in found if p.kind == kind]
        known = [p.worth for p in mine if p.worth is not None]
        ends = Counter("retired, " + p.ended.split(":")[0] if p.ended else p.status for p in mine)
        recalls = round(sum(w.n for w in known) / len(known)) if known else 0
        told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
        effect = _points([w.success.estimate for w in known])
        lines.append(f"{kind:<10}{len(mine):>6}{recalls:>14}{effect:>22}  {told}")
    lines.append(f"area under the curve, helpful against the others: {area(found):.3f}")
    return "\n".join(lines)


def _points(effects: Sequence[float]) -> str:
    """Mean over units with a t interval."""
    if not effects:
        return "-"
    spread = mean_interval(effects)
    mean = f"{100 * sum(effects) / len(effects):+.0f}"
    return f"{mean} [{100 * spread.low:+.0f}, {100 * spread.high:+.0f}]" if spread else mean


def main(args: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the house")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--n", type=int, default=260, help="episodes a round")
    parser.add_argument("--out", type=Path, help="the workspace")
    parser.add_argument("-o", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args(args)
    out: Path = given.out or Path("runs") / f"house_worth_{given.seed}"
    ours: Mapping[str, object] = {"seed": given.seed, "n": given.n, "settings": given.settings}
    try:
        claim(out, ours)
        places = [f"seed={given.seed}", f"workspace={json.dumps(str(out))}"]
        config = load_config(None, [*_SETTINGS, *places, *given.settings])
        found = asyncio.run(study(config, given.rounds, given.n, Progress()))
    except InstarError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
