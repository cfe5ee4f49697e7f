"""The stage that trains: on which rows, from which adapter on, and what becomes of a training that fails.

What cannot be used is left out and its reason kept: rows that are damaged are curated again, of adapters
the newest sound one is gone on from, and a training that gives none ends the training but not the turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar import _methods
from instar._curating import curated
from instar._loop import Loop, Output, State, draw
from instar._stages import describe
from instar.errors import (
    CannotLoad,
    ConfigError,
    MissingExtra,
    UnknownName,
    UserError,
    WorkspaceError,
)
from instar.threads import give_back, in_thread
from instar.types import Generation, GenerationStatus

if TYPE_CHECKING:
    from finetune.curate.base import RowSet
    from instar.store import Store

__all__ = ["NO_TRAINING", "train", "train_adapter", "trained"]

NO_TRAINING = (CannotLoad, ConfigError, MissingExtra, UnknownName, WorkspaceError)
"""Errors of whoever asks and of the machine: no other rows would mend them, so a turn waits for that."""


async def train(loop: Loop, key: str, state: State) -> Output:
    """Train an adapter on the curated rows, unless there is a reason not to."""
    kept = loop.store.stage(f"g{state['turn']}/curate") or {}
    active = loop.store.generation(state["active"])
    reason = _no_training(loop, kept, active)
    if reason:
        return _without(loop, key, kept, reason)
    rows, kept = _rows(loop, key, state["turn"], kept)
    parent = _parent(loop, key, active, state["turn"])
    try:
        if loop.config.train.dry_run:
            found = await _try(loop, key, rows, parent)
            return _without(loop, key, kept, found["summary"], dry_run=found)
        adapter = await train_adapter(loop, key, rows, parent)
    except NO_TRAINING:
        raise
    except UserError as error:
        return _without(loop, key, kept, f"the training gave no adapter: {error}")
    metrics = loop.store.adapter(adapter).metrics
    for told in filter(None, (_begun_anew(metrics), _cut_short(metrics))):
        loop.progress.say(f"{key}: {told}")
    facts = {"adapter": adapter, "rows": kept["rows"], "metrics": dict(metrics)}
    return Output({}, facts)


def _without(loop: Loop, key: str, kept: Mapping[str, Any], reason: str, **more: Any) -> Output:
    """A turn that trains nothing, and why."""
    loop.progress.say(f"{key}: {reason}")
    return Output({}, {"adapter": None, "reason": reason, "rows": kept["rows"], **more})


def trained(store: Store, run: str) -> list[dict[str, Any]]:
    """What each training of a run gave: the adapter, or None and why there is none."""
    about = store.stage(run) or {}
    turns = range(about.get("turn", 0), about.get("last", -1) + 1)
    found = [(turn, store.stage(f"g{turn}/train")) for turn in turns]
    return [
        {"turn": turn, "adapter": one["adapter"], "reason": one.get("reason", "")}
        for turn, one in found
        if one is not None
    ]


def _rows(loop: Loop, key: str, turn: int, kept: dict[str, Any]) -> tuple[RowSet, dict[str, Any]]:
    """The rows of the turn, and what is on record of them; curated again where they were damaged."""
    from finetune.curate.base import RowSet

    datasets = loop.workspace.path / "datasets"
    try:
        return RowSet.load(datasets / kept["dataset"]), kept
    except WorkspaceError:
        loop.progress.say(
            f"{key}: the rows in {datasets / kept['dataset']} are damaged or gone: curated again"
        )
    found = curated(loop.workspace, loop.config.train.curator, turn)
    found.save(datasets / found.hash)
    kept = kept | describe(found)
    loop.store.finish_stage(f"g{turn}/curate", kept)
    return RowSet.load(datasets / found.hash), kept


def _parent(loop: Loop, key: str, active: Generation, turn: int) -> str | None:
    """The adapter that comes before; where the training goes on from it, the newest that is sound."""
    names = _in_line(loop, active, turn)
    if not _goes_on(_methods.trainer(loop.config)):
        return names[0] if names else None
    for name in names:
        why = loop.workspace.registry.why_not(name)
        if not why:
            return name
        loop.progress.say(f"{key}: it does not go on from the newest adapter: {why}")
    return None


def _goes_on(trainer: Any) -> bool:
    """Whether a trainer reads the adapter before; to one that starts from the base it is a name only."""
    return getattr(getattr(trainer, "config", None), "start", "parent") != "base"


def _in_line(loop: Loop, active: Generation, turn: int) -> list[str]:
    """The adapter in use and those made since that the gate left undecided, newest first.

    The practise of such a one goes on in this turn, and so may its training. One that was rejected, that
    belongs to another base, or that came after a generation since rolled back is out.
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
    return sorted(fitting, key=lambda name: made[name], reverse=True)


def _cut_short(metrics: Mapping[str, Any]) -> str:
    """A sentence where time ended a training; how far it came then depends on the machine."""
    made, planned = metrics.get("steps"), metrics.get("steps_planned")
    if made is None or planned is None or made >= planned:
        return ""
    return f"time ended it after {made} of {planned} steps; for more: -o train.minutes=5"


def _begun_anew(metrics: Mapping[str, Any]) -> str:
    """A sentence where a training that broke off could not go on from where it was."""
    why = metrics.get("begun_anew")
    return f"the training was begun anew: {why}" if why else ""


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


async def train_adapter(loop: Loop, key: str, rows: RowSet, parent: str | None) -> str:
    """Train on rows and record the adapter; returns its name.

    Raises:
        UserError: The training came to nothing.
    """
    workspace = loop.workspace
    trainer, given = _trainer(loop, rows, parent)
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
        finally:
            give_back()
    return workspace.registry.record(adapter).name


async def _try(loop: Loop, key: str, rows: RowSet, parent: str | None) -> dict[str, Any]:
    """What a training on rows would take.

    Raises:
        ConfigError: The trainer cannot say.
    """
    name = loop.config.train.trainer
    trainer, given = _trainer(loop, rows, parent)
    if not hasattr(trainer, "dry_run"):
        raise ConfigError(f"The trainer {name} has no dry run: leave out train.dry_run")
    with loop.progress.stage(key):
        seed = draw(loop.config, key)
        found: dict[str, Any] = await in_thread(lambda: trainer.dry_run(*given, seed))
        give_back()
    return found


def _trainer(
    loop: Loop, rows: RowSet, parent: str | None
) -> tuple[Any, tuple[RowSet, Path, Path | None]]:
    """The trainer, and what it is given: rows, base, and the adapter before."""
    config, workspace = loop.config, loop.workspace
    trainer = _methods.trainer(config)
    before: Path | None = None
    if parent:
        read = _goes_on(trainer)
        before = (
            Path(workspace.registry.get(parent).path) if read else workspace.registry.root / parent
        )
    behind = {row["trajectory"] for row in rows.rows if "trajectory" in row}
    base = workspace.models.folder
    assert base is not None
    if hasattr(trainer, "open_episode"):
        tasks = {t.id: t.task for t in loop.store.trajectories(ids=behind)}
        worlds = {w.namespace: w for w in (workspace.foreign, workspace.home) if w is not None}

        def open_episode(row: Mapping[str, Any], seed: int) -> Any:
            task = tasks[row["trajectory"]]  # of the other house where a placebo is trained
            return worlds.get(task.namespace, workspace.home).open(task, seed)

        trainer.open_episode = open_episode
    return trainer, (rows, base, before)
