"""The stages of a turn up to the training: start, practise, reflect, curate, train.

A stage gets the loop, its key in the store and the state, and returns what it leaves behind. It
may be killed anywhere and is then called again with the same key: what it has already written it
finds under that key and does not write twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instar import _methods
from instar._curating import curated
from instar._loop import Job, Loop, Output, State, draw
from instar._practice import choose, learn
from instar._reflecting import distil, forget, weigh
from instar._returning import came_back
from instar.auditing import trusted
from instar.compose import Serving
from instar.errors import ConfigError
from instar.recorded import READ, unread
from instar.threads import give_back, in_thread
from instar.types import (
    Generation,
    GenerationStatus,
    Prompts,
    Trajectory,
    content_hash,
)

__all__ = ["curate", "practise", "reflect", "start", "train"]


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


async def train(loop: Loop, key: str, state: State) -> Output:
    """Train an adapter on the curated rows, unless there is a reason not to."""
    curated = loop.store.stage(f"g{state['turn']}/curate") or {}
    active = loop.store.generation(state["active"])
    reason = _no_training(loop, curated, active)
    if reason:
        loop.progress.say(f"{key}: {reason}")
        return Output({}, {"adapter": None, "reason": reason, "rows": curated["rows"]})
    parent = _newest_adapter(loop, active, state["turn"])
    if loop.config.train.dry_run:
        found = await try_training(loop, key, curated["dataset"], parent)
        loop.progress.say(f"{key}: {found['summary']}")
        facts = {"adapter": None, "reason": found["summary"], "rows": curated["rows"]}
        return Output({}, facts | {"dry_run": found})
    adapter = await train_adapter(loop, key, curated["dataset"], parent)
    metrics = loop.store.adapter(adapter).metrics
    cut = _cut_short(metrics)
    if cut:
        loop.progress.say(f"{key}: {cut}")
    facts = {"adapter": adapter, "rows": curated["rows"], "metrics": dict(metrics)}
    return Output({}, facts)


def _newest_adapter(loop: Loop, active: Generation, turn: int) -> str | None:
    """The adapter in use, or one made since that the gate left undecided.

    Its practise goes on in this turn, and so may its training. One that was rejected, that belongs
    to another base, or that came after a generation since rolled back is out.
    """
    from finetune.registry import base_hash

    line = set(loop.store.ancestry(active.id))
    folder = loop.workspace.models.folder
    assert folder is not None
    base = base_hash(folder)
    made: dict[str, int] = {}
    for one in loop.store.generations():
        undecided = one.status is GenerationStatus.CANDIDATE and one.parent in line
        if one.adapter and one.seq < turn and (one.id in line or undecided):
            made.setdefault(one.adapter, one.seq)
    fitting = [name for name in made if loop.store.adapter(name).base == base]
    return max(fitting, key=lambda name: made[name], default=None)


def _cut_short(metrics: Mapping[str, Any]) -> str:
    """A sentence where time ended a training; how far it came then depends on the machine."""
    made, planned = metrics.get("steps"), metrics.get("steps_planned")
    if made is None or planned is None or made >= planned:
        return ""
    return f"time ended it after {made} of {planned} steps; for more: -o train.minutes=5"


def _no_training(loop: Loop, curated: dict[str, Any], active: Generation) -> str:
    model = loop.workspace.models
    if loop.config.train.trainer == "off":
        return "training is off (train.trainer=off)"
    if model.folder is None:
        return f"model {model.name} runs elsewhere; only a local model can be trained here"
    if not curated["rows"]:
        return str(curated.get("summary", "no verified success to train on"))
    if active.adapter and loop.store.adapter(active.adapter).dataset == curated["dataset"]:
        return "nothing new to train on"
    return ""


async def train_adapter(loop: Loop, key: str, dataset: str, parent: str | None) -> str:
    """Train on a saved dataset and record the adapter; returns its name."""
    workspace = loop.workspace
    trainer, given = _trainer(loop, dataset, parent)
    out = workspace.path / "adapters"
    with loop.progress.stage(key) as tally:
        if hasattr(trainer, "progress"):

            def watch(p: Any) -> None:
                tally.at(p.step, p.steps, f"loss {p.loss:.3f}")
                loop.may_go_on()

            trainer.progress = watch
        seed = draw(loop.config, key)
        try:
            adapter = await in_thread(lambda: trainer.train(*given, out, seed))
        except asyncio.CancelledError:
            # Processes of its own would go on while the workspace is not held any more.
            getattr(trainer, "leave", lambda: None)()
            raise
        give_back()
    return workspace.registry.record(adapter).name


async def try_training(loop: Loop, key: str, dataset: str, parent: str | None) -> dict[str, Any]:
    """What a training on a saved dataset would take.

    Raises:
        ConfigError: The trainer cannot say.
    """
    name = loop.config.train.trainer
    trainer, given = _trainer(loop, dataset, parent)
    if not hasattr(trainer, "dry_run"):
        raise ConfigError(f"The trainer {name} has no dry run: leave out train.dry_run")
    with loop.progress.stage(key):
        seed = draw(loop.config, key)
        found: dict[str, Any] = await in_thread(lambda: trainer.dry_run(*given, seed))
        give_back()
    return found


def _trainer(
    loop: Loop, dataset: str, parent: str | None
) -> tuple[Any, tuple[Any, Path, Path | None]]:
    """The trainer, and what it is given: rows, base, and the adapter before."""
    from finetune.curate.base import RowSet

    config, workspace = loop.config, loop.workspace
    trainer = _methods.trainer(config)
    rows = RowSet.load(workspace.path / "datasets" / dataset)
    before = Path(workspace.registry.get(parent).path) if parent else None
    behind = {row["trajectory"] for row in rows.rows if "trajectory" in row}
    base = workspace.models.folder
    assert base is not None
    if hasattr(trainer, "open_episode"):
        tasks = {t.id: t.task for t in loop.store.trajectories(ids=behind)}
        trainer.open_episode = lambda row, seed: workspace.home.open(tasks[row["trajectory"]], seed)
    return trainer, (rows, base, before)
