"""The stages of the moult: which memories the adapter in use has made needless, and a gate of its own.

It comes after the gate of the adapter, unless that rejected it. Tasks of practice that nobody has practised yet are done
twice, with all memories and with none, and each group's memories are judged by that group's tasks.
What is shed is written into a candidate that only the gate can make serve.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.runner import episode_seed
from instar._gate_reuse import under
from instar._gating import able, measured, settled, unmeasured
from instar._loop import Job, Loop, Output, State, draw
from instar._stages import add_generation
from instar.compose import Serving
from instar.types import (
    Generation,
    MemoryItem,
    MemoryOp,
    MemoryStatus,
    OpKind,
    Split,
    Status,
    Task,
    Trajectory,
)

__all__ = ["gate_moult", "moult"]

_POOL = 4


async def moult(loop: Loop, key: str, state: State) -> Output:
    """Measure under the adapter which groups still need their memories, and shed the others."""
    bearer = _bearer(loop, key, state)
    groups = _groups(loop, bearer)
    reason = _none(loop, bearer, groups)
    tasks = {} if reason else _tasks(loop, key, groups)
    if reason or not tasks:
        reason = reason or "no practise task is left that was not practised"
        loop.progress.say(f"{key}: {reason}")
        return Output({"moulted": ""}, {"reason": reason, "clusters": []})
    kept, shed = await _both_ways(loop, key, bearer, [t for ts in tasks.values() for t in ts])
    found = _weighed(groups, tasks, kept, shed)
    gone = {
        i for cluster in found if cluster["decision"] == "internalised" for i in cluster["items"]
    }
    facts = {"clusters": found, "tokens_an_episode": _tokens(kept, shed)}
    loop.progress.say(f"{key}: {_sentence(found)}")
    if not gone:
        return Output({"moulted": ""}, facts, [*kept, *shed])
    candidate = add_generation(loop, state["turn"], bearer.id, "moult", bearer.adapter)
    _shed(loop, key, [i for items in groups.values() for i in items if i.id in gone], candidate.id)
    return Output({"moulted": candidate.id}, facts | {"candidate": candidate.id}, [*kept, *shed])


def _bearer(loop: Loop, key: str, state: State) -> Generation:
    """Who has the adapter: the winner, or the candidate that the gate left undecided.

    One that does what the memories do as well looks no better beside them. It pays by what it makes
    needless, which only its moult can show.
    """
    store = loop.store
    winner = store.generation(able(loop, key, state["winner"], state["active"]))
    candidate = store.generation(state["adapter"]) if state.get("adapter") else winner
    if (candidate.verdict or {}).get("decision") != "undecided":
        return winner
    return store.generation(able(loop, key, candidate.id, winner.id))


def _groups(loop: Loop, generation: Generation) -> dict[str, list[MemoryItem]]:
    """Memories of this place by group; what a person pinned and what is always shown stays."""
    found: dict[str, list[MemoryItem]] = defaultdict(list)
    for item in loop.store.items(generation.id):
        home = item.namespace == loop.workspace.home.namespace
        if home and item.group and not item.pinned and not item.standing:
            found[item.group].append(item)
    return dict(sorted(found.items()))


def _none(loop: Loop, bearer: Generation, groups: Mapping[str, Any]) -> str:
    if not loop.config.moult.tasks:
        return "the moult is off (moult.tasks=0)"
    if bearer.adapter is None:
        return "no adapter is in use"
    return "" if groups else "there is nothing to shed"


def _tasks(loop: Loop, key: str, groups: Mapping[str, Any]) -> dict[str, list[Task]]:
    """Tasks that nobody has practised, in equal shares: of each group, or of so many as can be told about.

    Fewer than can be told about would be for nothing. Which groups have to wait is drawn each turn anew.
    """
    from finetune.moult import MoultConfig

    wanted, least = loop.config.moult.tasks, MoultConfig().least
    each = max(least, wanted // len(groups))
    seed = draw(loop.config, key)
    tried = random.Random(seed).sample(list(groups), min(len(groups), max(1, wanted // each)))
    seen = {t.task.id for t in loop.store.trajectories(purpose="practise")}
    pool = loop.workspace.home.tasks(Split.PRACTISE, _POOL * each * len(groups), seed)
    random.Random(seed).shuffle(pool)
    found: dict[str, list[Task]] = {group: [] for group in groups if group in tried}
    for task in pool:
        mine = found.get(task.group)
        if mine is not None and len(mine) < each and task.id not in seen:
            mine.append(task)
    chosen = {group: tasks for group, tasks in found.items() if tasks}
    loop.store.save_tasks([t for tasks in chosen.values() for t in tasks])
    return chosen


async def _both_ways(
    loop: Loop, key: str, bearer: Generation, tasks: Sequence[Task]
) -> tuple[list[Trajectory], list[Trajectory]]:
    whole = Serving.of(bearer)
    jobs = [Job(t, episode_seed(draw(loop.config, key), t)) for t in tasks]
    sides = []
    for name, serving in (("with", whole), ("without", whole.model_copy(update={"memory": None}))):
        solve = loop.workspace.solver(serving, loop.workspace.home, "moult")
        with loop.progress.stage(f"{key} {name} memory", len(jobs)) as tally:
            sides.append(await loop.collect(under(loop, f"{key}/{name}"), jobs, solve, tally))
    return sides[0], sides[1]


def _weighed(
    groups: Mapping[str, Sequence[MemoryItem]],
    tasks: Mapping[str, Sequence[Task]],
    kept: Sequence[Trajectory],
    shed: Sequence[Trajectory],
) -> list[dict[str, Any]]:
    from finetune.moult import weigh

    with_, without = ({t.task.id: _clean(t) for t in side} for side in (kept, shed))
    found = []
    for group, items in groups.items():
        pairs = [(with_[t.id], without[t.id]) for t in tasks.get(group, ())]
        found.append(weigh(group, [i.id for i in items], pairs).model_dump(mode="json"))
    return found


def _clean(trajectory: Trajectory) -> bool | None:
    status = trajectory.score.status
    return None if status is Status.UNKNOWN else status is Status.PASS


def _tokens(kept: Sequence[Trajectory], shed: Sequence[Trajectory]) -> dict[str, float]:
    """Mean tokens of an episode with all memories and with none."""
    return {
        name: round(fmean(t.usage.tokens for t in side), 1)
        for name, side in (("with", kept), ("without", shed))
    }


def _sentence(clusters: Sequence[Mapping[str, Any]]) -> str:
    shed = [c for c in clusters if c["decision"] == "internalised"]
    items = sum(len(c["items"]) for c in shed)
    whole = sum(len(c["items"]) for c in clusters)
    return (
        f"the adapter does without {items} of {whole} memories, in {len(shed)} of "
        f"{len(clusters)} groups"
    )


def _shed(loop: Loop, key: str, items: Sequence[MemoryItem], candidate: str) -> None:
    if loop.store.memory_log(1, author=key):
        return
    status = {"status": MemoryStatus.INTERNALISED}
    ops = [
        MemoryOp(
            kind=OpKind.EDIT,
            target=item.id,
            item=item.model_copy(update=status),
            reason=f"the adapter does without it in {item.group}",
        )
        for item in items
    ]
    loop.workspace.bank.write(ops, candidate, key)


async def gate_moult(loop: Loop, key: str, state: State) -> Output:
    """What has shed against what has not."""
    candidate = state.get("moulted") or ""
    winner = able(loop, key, state["winner"], state["active"])
    if candidate and able(loop, key, candidate, winner) != candidate:
        verdict = unmeasured("files of its adapter are damaged")
        return settled(loop, candidate, winner, verdict, [])
    if not candidate:
        reason = (loop.store.stage(f"g{state['turn']}/moult") or {}).get(
            "reason", "nothing was shed"
        )
        return Output({}, {"verdict": unmeasured(reason), "candidate": None})
    factor = loop.config.gate.moult_factor
    return await measured(loop, key, candidate, winner, factor)
