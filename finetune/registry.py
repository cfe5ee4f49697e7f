"""The folder of adapters: what may be served, and what is only half there.

An adapter is written beside, sealed by a manifest that names the hash of every file that is loaded,
and renamed into place; its name is the hash of weights, lineage and recipe. So a folder is either
whole or known to be broken: anything without a manifest, with a missing file or with other content
is reported with its remedy and never served, and neither is an adapter over another base.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from instar.errors import UnknownName, UserError, WorkspaceError
from instar.failpoints import reach
from instar.store import Store
from instar.types import Adapter, Record, content_hash

__all__ = [
    "MANIFEST",
    "Fault",
    "Registry",
    "base_hash",
    "broken",
    "file_hash",
    "sealed_files",
    "seal",
    "workspace_beside",
]

MANIFEST = "instar.json"
_LOADED = ("adapter_config.json", "adapter_model.safetensors")
_BESIDE = ".writing-"


class Fault(Record):
    """Something in the folder of adapters that is not served, and what to do about it."""

    path: str
    why: str
    remedy: str


def base_hash(folder: Path) -> str:
    """Hash of a model's weights and shape, whatever its folder is called.

    Raises:
        UserError: There are no weights in the folder.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise UserError(f"No model weights in {folder}: name a folder with *.safetensors files.")
    shape = folder / "config.json"
    found = [*files, shape] if shape.exists() else files
    return content_hash([file_hash(f) for f in found])


def file_hash(path: Path) -> str:
    """Hash of a file, which is read anew only where it was changed."""
    facts = path.stat()
    return _hash_once(str(path.resolve()), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash_once(path: str, size: int, changed: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def workspace_beside(adapters: Path) -> Path:
    """A new folder to write an adapter in, on the same file system as its final place.

    What writers left there that were killed goes.
    """
    adapters.mkdir(parents=True, exist_ok=True)
    for left in adapters.glob(f"{_BESIDE}*"):
        if not _being_written(left):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_BESIDE}{os.getpid()}-", dir=adapters))


def seal(
    written: Path,
    adapters: Path,
    *,
    base: str,
    parent: str | None,
    dataset: str,
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Adapter:
    """Name a written adapter by its content and move it into place.

    Args:
        written: A folder from `workspace_beside` with the files of PEFT.
        adapters: The folder it is moved into.
        base: Hash of the base model.
        parent: Name of the adapter before it.
        dataset: Hash of the rows.
        recipe: Settings of the training.
        metrics: What was measured; no part of the name.
    """
    files = {name: file_hash(written / name) for name in _LOADED}
    lineage = {"base": base, "parent": parent, "dataset": dataset, "recipe": dict(recipe)}
    name = content_hash({"files": files, **lineage})
    target = adapters / name
    adapter = Adapter(
        name=name, path=str(target), metrics=dict(metrics), created=time.time(), **lineage
    )
    manifest = {"files": files, "adapter": adapter.model_dump(mode="json", exclude={"path"})}
    (written / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    reach("train.rename")
    _move(written, target)
    return adapter


def _move(written: Path, target: Path) -> None:
    if target.exists() and broken(target) is None:
        # The same training was done before and came to the same weights.
        shutil.rmtree(written)
        return
    if target.exists():
        shutil.rmtree(target)
    written.rename(target)


def _manifest(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return loaded


def sealed_files(folder: Path) -> list[Path]:
    """The files of an adapter that say and do what it is, its manifest included."""
    return [folder / name for name in (*_LOADED, MANIFEST)]


def broken(folder: Path) -> str | None:
    """Why a folder must not be served; None if it may."""
    try:
        files = _manifest(folder)["files"]
    except FileNotFoundError:
        return "half-written: it has no manifest"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    for name in _LOADED:
        if not (folder / name).is_file():
            return f"{name} is missing"
        if file_hash(folder / name) != files.get(name):
            return f"{name} was changed or is cut short"
    return None


class Registry:
    """The adapters of a workspace.

    Args:
        root: The folder ``adapters``.
        store: Where adapters are recorded.
    """

    def __init__(self, root: Path, store: Store) -> None:
        self.root, self._store = root, store

    def record(self, adapter: Adapter) -> Adapter:
        """Record a sealed adapter; recording the same one again changes nothing.

        One that was pruned and came again from the same training is served again.

        Raises:
            WorkspaceError: Its folder is not whole.
        """
        self._check(adapter.name)
        known = {a.name: a for a in self._store.adapters()}
        if adapter.name not in known:
            self._store.add_adapter(adapter)
            return adapter
        kept = known[adapter.name]
        if kept.pruned is not None:
            kept = kept.model_copy(update={"pruned": None})
            self._store.change_adapter(kept)
        return kept

    def get(self, name: str, base: str | None = None) -> Adapter:
        """A recorded adapter that may be served, with its present path.

        Args:
            name: Its content hash.
            base: Hash of the base it is to be loaded on.

        Raises:
            UnknownName: None of this name is recorded.
            WorkspaceError: Its folder is not whole.
            UserError: It was pruned, or belongs to another base.
        """
        known = {a.name: a for a in self._store.adapters()}
        if name not in known:
            raise UnknownName("adapter", name, known)
        adapter = known[name]
        if adapter.pruned is not None:
            day = time.strftime("%Y-%m-%d", time.localtime(adapter.pruned))
            raise UserError(
                f"Adapter {name} was pruned on {day}: what is said of it is kept, its weights are "
                "gone. Adapters that are here: instar adapters list"
            )
        self._check(name)
        if base is not None and base != adapter.base:
            raise UserError(
                f"Adapter {name} was trained over base {adapter.base}, and this model is {base}: "
                "choose the model it was made for, or train a new one with: instar evolve"
            )
        return adapter.model_copy(update={"path": str(self.root / name)})

    def why_not(self, name: str) -> str:
        """Why a recorded adapter cannot be served, in a few words; empty where it can.

        Raises:
            UnknownName: None of this name is recorded.
        """
        if self._store.adapter(name).pruned is not None:
            return f"adapter {name} was pruned"
        why = self._wrong(name)
        return f"adapter {name} cannot be served: {why}" if why else ""

    def faults(self) -> list[Fault]:
        """Everything in the folder that is not served, and recorded adapters that are gone."""
        kept = self._store.adapters()
        # Half a folder of these may be left by a kill; the next pruning takes it away.
        pruned = {a.name for a in kept if a.pruned is not None}
        recorded = {a.name for a in kept} - pruned
        there = self.root.iterdir() if self.root.exists() else ()
        folders = sorted(p for p in there if p.is_dir() and p.name not in pruned)
        found = [f for p in folders if (f := self._fault(p, recorded))]
        gone = sorted(recorded - {p.name for p in folders})
        return found + [
            self._told(self.root / name, "recorded, but its folder is gone") for name in gone
        ]

    def _fault(self, folder: Path, recorded: set[str]) -> Fault | None:
        if folder.name.startswith(_BESIDE):
            ended = "half-written: training ended"
            return None if _being_written(folder) else self._told(folder, ended)
        why = broken(folder)
        if why is None and folder.name not in recorded:
            why = "whole, but not recorded: training ended just before"
        return self._told(folder, why) if why else None

    def _wrong(self, name: str) -> str | None:
        folder = self.root / name
        return broken(folder) if folder.exists() else "its folder is gone"

    def _check(self, name: str) -> None:
        why = self._wrong(name)
        if why:
            fault = self._told(self.root / name, why)
            raise WorkspaceError(f"Adapter {name} cannot be served: {why}. {fault.remedy}")

    def _told(self, folder: Path, why: str) -> Fault:
        """What is wrong with a folder and what to do: only without what serves no evolution goes on."""
        active = self._store.active()
        if active is not None and active.adapter == folder.name:
            remedy = (
                f"{active.id} serves with it: take it from a backup (instar restore), or go back: "
                "instar generations rollback"
            )
        else:
            there = f"Delete it (rm -r {folder}). " if folder.exists() else ""
            remedy = f"{there}Evolution goes on without it and trains another: instar evolve"
        return Fault(path=str(folder), why=why, remedy=remedy)


def _being_written(folder: Path) -> bool:
    writer = folder.name.removeprefix(_BESIDE).partition("-")[0]
    if not writer.isdigit():
        return False
    try:
        os.kill(int(writer), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
