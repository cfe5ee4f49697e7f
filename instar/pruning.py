"""What may go without being asked for: rejected adapters, their rows, old bench runs, by a policy.

Nothing goes that a generation could still need: the active one and its ancestors, those that served
or are retired, candidates that are recent or have the newest adapter, and what a person pinned. Neither does
anything that this module does not know the use of. Of an adapter that goes the record stays, with
what it was made of and what was measured; only the weights are deleted, after the record says so.
So a kill in between leaves a folder that nobody serves, and the next pruning takes it away.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from instar.config import Prune
from instar.errors import WorkspaceError
from instar.failpoints import reach
from instar.store import Store
from instar.types import Adapter, Generation, GenerationStatus, Record

__all__ = ["Doomed", "Pruning", "find", "folder_bytes", "prune"]

_RUN = re.compile(r"(bench)(\d+)|(run)(\d+)-report")
"""Folders of bench runs, and of the reports of evolutions."""
_TURN = re.compile(r"g(\d+)/curate")
_FOLDERS = {"adapter": "adapters", "dataset": "datasets", "run": "runs"}


class Doomed(Record):
    """Something that the policy lets go.

    Attributes:
        bytes: What its folder takes on disk.
        reason: For people.
    """

    kind: Literal["adapter", "dataset", "run"]
    name: str
    bytes: int
    reason: str


class Pruning(Record):
    """What goes, and why each adapter that stays does.

    Attributes:
        kept: The reason, by name of the adapter.
    """

    gone: tuple[Doomed, ...]
    kept: dict[str, str]

    @property
    def bytes(self) -> int:
        """What is freed."""
        return sum(one.bytes for one in self.gone)


def find(store: Store, workspace: Path, policy: Prune) -> Pruning:
    """What a pruning would let go; nothing is changed."""
    return _Search(store, workspace, policy).found()


def prune(store: Store, workspace: Path, policy: Prune) -> Pruning:
    """Delete what the policy lets go; what was deleted.

    Args:
        store: Of the workspace, whose lock the caller holds.
        workspace: The folder.
        policy: ``[prune]`` of the settings; whether it is ``auto`` is not looked at.

    Raises:
        WorkspaceError: A folder cannot be deleted; the same pruning goes on from there.
    """
    found = find(store, workspace, policy)
    for one in found.gone:
        if one.kind == "adapter":
            record = store.adapter(one.name)
            if record.pruned is None:
                store.change_adapter(record.model_copy(update={"pruned": time.time()}))
            reach("prune.record")
        folder = workspace / _FOLDERS[one.kind] / one.name
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise WorkspaceError(
                f"{folder} cannot be deleted: {error.strerror or error}. "
                "Mend that and type: instar adapters prune"
            ) from error
    return found


def folder_bytes(folder: Path) -> int:
    """How much the files of a folder take."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


class _Search:
    """Works out what is needed, and by that what is not."""

    def __init__(self, store: Store, workspace: Path, policy: Prune) -> None:
        self._store, self._workspace, self._policy = store, workspace, policy
        self._generations = {g.id: g for g in store.generations()}
        self._stages = store.stages()
        self._latest = max((g.seq for g in self._generations.values()), default=0)
        self._needed = dict(_needed(store, self._open(), self._generations))

    def _open(self) -> list[Generation]:
        """Candidates of which something may still come.

        The gate leaves most undecided, so that an adapter of every night would stay: an old one is let
        go unless it is the newest, from which training goes on.
        """
        found = [g for g in self._generations.values() if g.status is GenerationStatus.CANDIDATE]
        newest = max(
            (g for g in found if g.adapter), key=lambda g: (g.seq, g.created), default=None
        )
        return [
            g
            for g in found
            if g.adapter is None or g is newest or self._latest - g.seq < self._policy.turns
        ]

    def found(self) -> Pruning:
        kept: dict[str, str] = {}
        rejected: list[tuple[int, Adapter]] = []
        leftover: list[Doomed] = []
        for adapter in self._store.adapters():
            if adapter.pruned is not None:
                leftover += self._leftover(adapter)
            elif reason := self._reason(adapter):
                kept[adapter.name] = reason
            else:
                rejected.append((self._turn(adapter), adapter))
        gone = [*leftover, *self._rejected(rejected, kept)]
        gone += self._datasets(kept)
        gone += self._runs()
        return Pruning(gone=tuple(gone), kept=kept)

    # Adapters

    def _reason(self, adapter: Adapter) -> str:
        """Why an adapter is needed; empty where what used it was rejected, or left undecided long ago."""
        if adapter.pinned:
            return "pinned"
        users = self._users(adapter.name)
        if not users:
            return "no generation was made with it yet"
        reasons = [self._needed[g.id] for g in users if g.id in self._needed]
        return reasons[0] if reasons else ""

    def _users(self, name: str) -> list[Generation]:
        """Generations that serve an adapter, or that it is the placebo of."""
        served = [g for g in self._generations.values() if g.adapter == name]
        placebo = [
            self._generations[of]
            for key, value in self._stages.items()
            if key.startswith("placebo/") and value.get("adapter") == name
            if (of := key.split("/")[1]) in self._generations
        ]
        return [*served, *placebo]

    def _turn(self, adapter: Adapter) -> int:
        return max(g.seq for g in self._users(adapter.name))

    def _rejected(
        self, rejected: Sequence[tuple[int, Adapter]], kept: dict[str, str]
    ) -> Iterator[Doomed]:
        """Rejected ones beyond the policy; those within it join what is kept."""
        newest = sorted(rejected, key=lambda pair: (pair[0], pair[1].created), reverse=True)
        for place, (turn, adapter) in enumerate(newest, 1):
            age, was = self._latest - turn, self._was(adapter)
            if age >= self._policy.turns:
                why = f"{was} {age} turns ago" if age else f"{was} in the latest turn"
                yield self._doomed("adapter", adapter.name, why)
            elif place > self._policy.rejected:
                why = f"{was}, and {self._policy.rejected} newer ones are kept"
                yield self._doomed("adapter", adapter.name, why)
            else:
                kept[adapter.name] = f"{was}, but recent"

    def _was(self, adapter: Adapter) -> str:
        states = {g.status for g in self._users(adapter.name)}
        return "left undecided" if GenerationStatus.CANDIDATE in states else "rejected"

    def _leftover(self, adapter: Adapter) -> Iterator[Doomed]:
        if (self._workspace / "adapters" / adapter.name).exists():
            yield self._doomed("adapter", adapter.name, "left over from a pruning before")

    # Datasets

    def _datasets(self, kept: Iterable[str]) -> Iterator[Doomed]:
        """Rows of no adapter that stays, curated in a finished turn long enough ago."""
        needed = {self._store.adapter(name).dataset for name in kept}
        for folder in self._folders("datasets"):
            turn = self._curated(folder.name)
            if folder.name in needed or turn is None:
                continue
            age = self._latest - turn
            if age >= self._policy.turns and f"g{turn}/promote" in self._stages:
                yield self._doomed("dataset", folder.name, "no adapter that is kept was made of it")

    def _curated(self, name: str) -> int | None:
        """The last turn in which a dataset was curated; None where that is not known."""
        turns = [
            turn
            for key, value in self._stages.items()
            if value.get("dataset") == name
            if (turn := self._turn_of(key)) is not None
        ]
        return max(turns, default=None)

    def _turn_of(self, key: str) -> int | None:
        if found := _TURN.fullmatch(key):
            return int(found.group(1))
        kind, _, rest = key.partition("/")
        of = self._generations.get(rest.partition("/")[0]) if kind == "placebo" else None
        return of.seq if of else None

    # Bench runs

    def _runs(self) -> Iterator[Doomed]:
        if self._policy.runs is None:
            return
        finished: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for folder in self._folders("runs"):
            known = _RUN.fullmatch(folder.name)
            if known and _complete(folder):
                finished[known[1] or known[3]].append((int(known[2] or known[4]), folder.name))
        for of in finished.values():
            for _, name in sorted(of, reverse=True)[self._policy.runs :]:
                yield self._doomed("run", name, f"{self._policy.runs} newer ones are kept")

    def _folders(self, name: str) -> list[Path]:
        return sorted(path for path in (self._workspace / name).glob("*") if path.is_dir())

    def _doomed(self, kind: Literal["adapter", "dataset", "run"], name: str, why: str) -> Doomed:
        size = folder_bytes(self._workspace / _FOLDERS[kind] / name)
        return Doomed(kind=kind, name=name, bytes=size, reason=why)


def _needed(
    store: Store, candidates: Sequence[Generation], generations: Mapping[str, Generation]
) -> Iterator[tuple[str, str]]:
    """Generations that serve, served, or may come to serve, each with the reason, best one last."""
    for one in candidates:
        yield from ((id, f"candidate {one.id} came after it") for id in store.ancestry(one.id))
    for one in generations.values():
        if one.status is GenerationStatus.RETIRED:
            yield one.id, f"{one.id} is retired: one can go back to it"
    for one in candidates:
        yield one.id, f"candidate {one.id} was not rejected"
    for id in store.served():
        yield id, f"{id} served: one can go back to it"
    active = store.active()
    if active is not None:
        yield from (
            (id, f"{active.id} serves and came after it") for id in store.ancestry(active.id)
        )
        yield active.id, f"{active.id} serves"


def _complete(folder: Path) -> bool:
    """Whether a bench run has its figures, and none is to be resumed."""
    try:
        found: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found.get("complete", True))
