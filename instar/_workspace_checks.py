"""The doctor's look at a workspace and at the disk below it; nothing there is changed."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from instar._findings import Finding, State
from instar.errors import UserError

__all__ = ["damaged", "disk", "examine"]

_LEAST_DISK = 2 * 2**30


def disk(workspace: Path) -> Finding:
    """Free space where the workspace is, or would be."""
    place = next(p for p in (workspace.absolute(), *workspace.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / 2**30:.1f} GiB free at {place}"
    if free >= _LEAST_DISK:
        return Finding(name="disk", state=State.FOUND, detail=detail)
    remedy = "free some space, or choose another place with --workspace DIR"
    return Finding(name="disk", state=State.BROKEN, detail=detail, remedy=remedy)


def examine(workspace: Path) -> list[Finding]:
    """Lock, settings, store, adapters, rows and index of a workspace, which need not exist."""
    if not (workspace / "instar.db").exists():
        if _holds(workspace):
            return [_lost(workspace, "is gone")]
        detail = f"none at {workspace}"
        remedy = f"instar init --workspace {workspace}"
        found = Finding(
            name="workspace", state=State.MISSING, detail=detail, remedy=remedy, needed=False
        )
        return [found]
    parts = (_lock, _settings, _store, _index)
    return [finding for part in parts for finding in part(workspace)]


def damaged(workspace: Path) -> list[str]:
    """What is wrong with adapters and rows, a text each."""
    kinds = ("adapter", "dataset")
    return [f.detail for f in _store(workspace) if f.state is State.BROKEN and f.name in kinds]


def _holds(workspace: Path) -> bool:
    """Whether adapters were trained here."""
    return any((workspace / "adapters").glob("*/instar.json"))


def _lost(workspace: Path, how: str) -> Finding:
    detail = f"{workspace / 'instar.db'} {how}, and adapters of it are here: delete nothing"
    remedy = "take the last backup into a new folder: instar restore FILE --workspace NEW"
    return Finding(name="workspace", state=State.BROKEN, detail=detail, remedy=remedy)


def _lock(workspace: Path) -> Iterator[Finding]:
    path = workspace / "instar.lock"
    if not path.exists():
        return
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            detail = f"held by process {file.read().strip() or 'unknown'}, which is at work here"
            yield Finding(name="lock", state=State.FOUND, detail=detail)


def _settings(workspace: Path) -> Iterator[Finding]:
    from instar.config import load_config

    path = workspace / "instar.toml"
    if not path.exists():
        return
    try:
        load_config(path)
    except UserError as error:
        yield Finding(name="settings", state=State.BROKEN, detail=str(error))
    else:
        yield Finding(name="settings", state=State.FOUND, detail=str(path))


def _store(workspace: Path) -> Iterator[Finding]:
    from finetune.registry import Registry
    from instar.store import Store

    with Store.open(workspace, create=False) as store:
        wrong = store.check()
        if wrong:
            yield Finding(name="workspace", state=State.BROKEN, detail=wrong)
            return
        if not store.generations() and _holds(workspace):
            yield _lost(workspace, "knows of no generation")
            return
        detail = f"{workspace}, {len(store.generations())} generations"
        yield Finding(name="workspace", state=State.FOUND, detail=detail)
        adapters, active = len(store.adapters()), store.active()
        serving = active.adapter if active else None
        faults = Registry(workspace / "adapters", store).faults()
        datasets = {a.dataset for a in store.adapters()} | {
            str(v["dataset"]) for k, v in store.stages("g").items() if k.endswith("/curate")
        }
    yield Finding(name="adapters", state=State.FOUND, detail=f"{adapters} recorded")
    for fault in faults:
        detail = f"{fault.path}: {fault.why}"
        # A record alone harms nobody, unless it is of the adapter in use.
        gone = not Path(fault.path).exists() and Path(fault.path).name != serving
        state = State.MISSING if gone else State.BROKEN
        yield Finding(
            name="adapter", state=state, detail=detail, remedy=fault.remedy, needed=not gone
        )
    yield from _datasets(workspace / "datasets", sorted(datasets))


def _datasets(folder: Path, names: Sequence[str]) -> Iterator[Finding]:
    """Of rows on record those that are there: a pruning or a purge may have taken others away."""
    from finetune.curate.base import RowSet

    there = [folder / name for name in names if (folder / name).exists()]
    for path in there:
        try:
            RowSet.load(path)
        except UserError as error:
            yield Finding(name="dataset", state=State.BROKEN, detail=str(error))
    yield Finding(name="datasets", state=State.FOUND, detail=f"{len(there)} there")


def _index(workspace: Path) -> Iterator[Finding]:
    """Only whether the files are sound: what they hold is made to agree on the next opening."""
    files = sorted((workspace / "index").glob("chroma-*/chroma.sqlite3"))
    remedy = f"instar memory list --workspace {workspace}"
    if not files:
        detail = "none yet; it is built from the store when memories are opened"
        yield Finding(name="index", state=State.MISSING, detail=detail, needed=False)
    for file in files:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            try:
                sound = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            except sqlite3.DatabaseError:
                sound = False
        if sound:
            yield Finding(name="index", state=State.FOUND, detail=str(file.parent))
        else:
            detail = f"{file.parent} is damaged; it is rebuilt from the store, nothing is lost"
            yield Finding(name="index", state=State.BROKEN, detail=detail, remedy=remedy)
