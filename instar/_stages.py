"""The stages of a turn up to the training: start, practise, reflect, curate.

A stage gets the loop, its key in the store and the state, and returns what it leaves behind. It
may be killed anywhere and is then called again with the same key: what it has already written it
finds under that key and does not write twice.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from instar._curating import curated
from instar._loop import Job, Loop, Output, State, draw
from instar._practice import choose, learn
from instar._reflecting import distil, forget, weigh
from instar._returning import came_back
from instar.auditing import trusted
from instar.compose import Serving
from instar.recorded import READ, unread
from instar.types import (
    Generation,
    GenerationStatus,
    Prompts,
    Trajectory,
    content_hash,
)

__all__ = ["add_generation", "curate", "describe", "practise", "reflect", "start"]


async def start(loop: Loop, key: str, state: State) -> Output:
    """The active generation; the first turn of a workspace makes the one that has learnt nothing."""
    active = loop.store.active()
    if active is None:
        active = add_generation(loop, 0, None, "")
        active = loop.store.activate(active.id)
    return Output({"active": active.id}, {})


def add_generation(
    loop: Loop,
    seq: int,
    parent: str | None,
    what: str,
    adapter: str | None = None,
    texts: Prompts | None = None,
) -> Generation:
    """Record a candidate generation; its id follows from what it is made of.

    Args:
        loop: Where it is recorded.
        seq: The turn.
        parent: The generation that it comes after.
        what: Which candidate of its turn.
        adapter: Name of the adapter that it serves.
        texts: Its prompts where they are new; else it has those of its parent.
    """
    config = loop.config
    if texts is None and parent is not None:
        texts = loop.store.generation(parent).texts
    prompts = texts.name if texts else config.agent.prompts
    contents = [config.model.name, prompts, adapter, loop.workspace.home.namespace]
    made = Generation(
        id=f"g{seq}-{content_hash([seq, parent, what, *contents], 6)}",
        seq=seq,
        parent=parent,
        status=GenerationStatus.CANDIDATE,
        model=config.model.name,
        prompts=prompts,
        texts=texts,
        adapter=adapter,
    )
    loop.store.add_generation(made)
    return loop.store.generation(made.id)


async def practise(loop: Loop, key: str, state: State) -> Output:
    """Attempt practise tasks at home, and some in a foreign house without the adapter."""
    if not state.get("practise", True):
        return Output({}, {"tasks": 0, "proposed": 0, "refused": 0, "clean": 0, "home": 0})
    first = key.endswith("_1")
    serving = Serving.of(loop.store.generation(state["active" if first else "memory"]))
    plan = await choose(loop, key, state, serving)
    attempts = range(loop.config.practise.attempts)
    home, foreign = (
        [Job(t, draw(loop.config, key, t.id, a)) for t in tasks for a in attempts]
        for tasks in (plan.home, plan.foreign)
    )
    workspace = loop.workspace
    with loop.progress.stage(key, len(home) + len(foreign)) as tally:
        solve = workspace.solver(serving, workspace.home, "practise", sampled=True)
        done = await loop.collect(key, home, solve, tally)
        abroad: list[Trajectory] = []
        if foreign and workspace.foreign is not None:
            bare = serving.model_copy(update={"adapter": None})
            solve = workspace.solver(bare, workspace.foreign, "foreign", sampled=True)
            abroad = await loop.collect(key, foreign, solve, tally)
    facts = learn(loop, key, done, plan) | {"foreign": len(abroad)}
    return Output({}, facts, [*done, *abroad])


async def reflect(loop: Loop, key: str, state: State) -> Output:
    """Write what the distillers make of the round into the memory candidate, then forget."""
    candidate = state.get("memory") or ""
    if not candidate:
        candidate = add_generation(loop, state["turn"], state["active"], "memory").id
    lived = _lived(loop, key, state)
    plans = {}
    with loop.progress.stage(key):
        back = came_back(loop, f"{key}/came_back", lived, candidate)
        for name in loop.config.memory.distill:
            plans[name] = await distil(loop, f"{key}/{name}", name, lived, candidate, "g")
        gone = sum(forget(loop, key, name, candidate) for name in loop.config.memory.forget)
        weigh(loop, candidate)
    facts: dict[str, Any] = {
        "changes": sum(len(p["ops"]) for p in plans.values()),
        "read": len(lived),
        "refused": sum(p.get("refused", 0) for p in plans.values()),
    }
    facts[READ] = [t.id for t in lived if t.purpose == "live"]
    answers = {n: p["state"]["answers"] for n, p in plans.items() if "answers" in p["state"]}
    return Output(
        {"memory": candidate}, facts | {"forgotten": gone, "back": back, "answers": answers}
    )


def _lived(loop: Loop, key: str, state: State) -> list[Trajectory]:
    """The round just practised; before the first one the turns whose candidates stayed undecided."""
    turn, _, stage = key.partition("/")
    rounds = [f"{turn}/{stage.replace('reflect', 'practise')}"]
    if stage == "reflect_1":
        earlier = loop.store.stage(f"g{state['turn'] - 1}/promote") or {}
        undecided = earlier.get("carried", [])
        rounds = [f"g{t}/practise_{i}" for t in undecided for i in (1, 2)] + rounds
    lived = [found for stage in rounds for found in loop.store.trajectories(stage=stage)]
    if stage != "reflect_1":
        return lived
    return [*unread(loop.store, trusted(loop.store, loop.config)), *lived]


async def curate(loop: Loop, key: str, state: State) -> Output:
    """Choose what to train on, out of all practise so far and of sessions that were judged."""
    with loop.progress.stage(key):
        found = curated(loop.workspace, loop.config.train.curator, state["turn"])
        found.save(loop.workspace.path / "datasets" / found.hash)
    return Output({}, describe(found))


def describe(found: Any) -> dict[str, Any]:
    """A dataset in the store: its hash, how much it holds, and the trajectories behind it."""
    from finetune.curate.base import behind

    return {
        "dataset": found.hash,
        "rows": len(found.rows),
        "counts": found.counts,
        "dropped": dict(Counter(found.dropped.values())),
        "summary": found.summary,
        "trajectories": behind(found.rows),
    }
