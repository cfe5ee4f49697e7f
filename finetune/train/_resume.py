"""Checkpoints of a training, so that one that was killed or asked to leave goes on.

They lie beside the folder of adapters under a key made of everything that decides the result: a
training with other rows, base, recipe or seed begins anew. A checkpoint counts from the moment its
last file is there, which is written last and renamed into place; the one before it goes after that. It
names the hash of every other file: one that was damaged since does not count either.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetune.registry import file_hash
from finetune.train import _ranks
from instar.failpoints import reach

__all__ = ["Checkpoints"]

_WHOLE = "whole.json"
_STALE = 7 * 24 * 3600.0


class Checkpoints:
    """The checkpoints of one training; of several processes the first one keeps them.

    Args:
        adapters: The folder ``adapters``.
        key: Of the training.
        every: Seconds from one to the next; None saves none.
        clock: Seconds that only grow.

    Attributes:
        damaged: Names of those that were found to be so.
    """

    def __init__(
        self,
        adapters: Path,
        key: str,
        every: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = adapters.parent / "training" / key
        self._every, self._clock = every, clock
        self._saved = clock()
        self.damaged: set[str] = set()

    def latest(self) -> Path | None:
        """The newest whole checkpoint."""
        sealed = [path.parent for path in self.folder.glob(f"checkpoint-*/{_WHOLE}")]
        return max(filter(self._whole, sealed), key=_step, default=None)

    def facts(self, checkpoint: Path) -> dict[str, Any]:
        """What was kept with a checkpoint."""
        found: dict[str, Any] = _read(checkpoint)["facts"]
        return found

    def _whole(self, checkpoint: Path) -> bool:
        """Whether a checkpoint is what was sealed."""
        try:
            files, _ = _read(checkpoint)["files"], dict(self.facts(checkpoint))
            whole = all(file_hash(checkpoint / name) == files[name] for name in files)
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            self.damaged.add(checkpoint.name)
        return whole

    @property
    def wanted(self) -> bool:
        """Whether there are to be any."""
        return self._every is not None

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self._every is not None and self._clock() - self._saved >= self._every

    def seal(self, step: int, facts: Mapping[str, Any]) -> None:
        """Make the checkpoint of a step count, and remove those before it."""
        _ranks.wait()  # each process puts the state of its random numbers beside
        if not _ranks.first():
            return
        folder = self.folder / f"checkpoint-{step}"
        files = {path.name: file_hash(path) for path in folder.iterdir()}
        for name in files:
            _flush(folder / name)
        reach("train.checkpoint")
        beside = folder / f".{_WHOLE}"
        beside.write_text(json.dumps({"facts": dict(facts), "files": files}), encoding="utf-8")
        _flush(beside)
        beside.rename(folder / _WHOLE)
        self._saved = self._clock()
        self._only(folder)

    @contextmanager
    def kept_if_left(self) -> Iterator[None]:
        """Remove them when the training comes to its end; if it does not, what is half-written."""
        self._forget_stale()
        self._only(self.latest())
        try:
            yield
        except BaseException:
            self._only(self.latest())
            raise
        self._only(None)

    def _only(self, kept: Path | None) -> None:
        if not _ranks.first():
            return
        for path in self.folder.glob("checkpoint-*"):
            if path != kept:
                shutil.rmtree(path)
        if kept is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
                self.folder.parent.rmdir()

    def _forget_stale(self) -> None:
        """Remove trainings that nobody went on with for a week."""
        if not _ranks.first():
            return
        for path in self.folder.parent.glob("*"):
            if path != self.folder and time.time() - path.stat().st_mtime > _STALE:
                shutil.rmtree(path, ignore_errors=True)


def _read(checkpoint: Path) -> Any:
    return json.loads((checkpoint / _WHOLE).read_text(encoding="utf-8"))


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
