"""One of the processes that `finetune.launching` starts: ``python -m finetune.launched JOB.json``.

The first one tells on stdout what happens, in lines of JSON: how far it is, and at the end the adapter;
each may tell of an error. On stdin is whoever started them: a line asks to leave with a checkpoint, as
SIGTERM does, and the end of it means that nobody is there any more. Then the process is killed, for
whoever comes next may train the same.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from finetune.curate.base import RowSet
from finetune.train import _ranks
from finetune.train._model import placement
from finetune.train.base import Progress
from instar import plugins
from instar.errors import InstarError, Stopped, UserError

__all__: list[str] = []


def main(job: Path) -> int:
    """Take part in a training; returns the exit code."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    leash = _leash if os.environ.get("RANK") == "0" else _watch
    threading.Thread(target=leash, args=[asked], daemon=True).start()
    told = _only_ours()
    try:
        made = _train(json.loads(job.read_text(encoding="utf-8")), told, asked)
    except Exception as error:
        _tell(told, {"error": _describe(error)})
        if isinstance(error, InstarError):
            return 1
        raise
    if _ranks.first():
        _tell(told, {"adapter": made})
    return 0


def _train(job: Mapping[str, Any], told: TextIO, asked: threading.Event) -> dict[str, Any]:
    from accelerate import PartialState

    trainer = _trainer(job)
    PartialState(cpu=placement(trainer.config.device, "fp32")[0] == "cpu")

    def note(progress: Progress) -> None:
        _tell(told, {"progress": progress.model_dump(mode="json")})
        if asked.is_set():
            raise Stopped(
                "Stopped: the training was asked to leave. The same command goes on from there."
            )

    if _ranks.first():
        trainer.progress = note
    parent = Path(job["parent"]) if job["parent"] else None
    rows = RowSet.load(Path(job["rows"]))
    made = trainer.train(rows, Path(job["base"]), parent, Path(job["out"]), job["seed"])
    found: dict[str, Any] = made.model_dump(mode="json")
    return found


def _trainer(job: Mapping[str, Any]) -> Any:
    kind = plugins.load("finetune.train", job["trainer"])
    return kind(kind.Config(**job["settings"]))


def _leash(asked: threading.Event) -> None:
    """Hear whether to leave, and end with whoever started us."""
    while os.read(0, 64):
        asked.set()
    os.kill(os.getpid(), signal.SIGKILL)


def _watch(asked: threading.Event) -> None:
    """End with whoever started us; what is said is for the first process."""
    poll = select.poll()
    poll.register(0, 0)  # no event but the end
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def _only_ours() -> TextIO:
    """Stdout for us alone; what libraries print goes to stderr."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def _tell(told: TextIO, what: Mapping[str, Any]) -> None:
    told.write(json.dumps(what) + "\n")
    told.flush()


def _describe(error: Exception) -> list[str]:
    """What kind of error it is, as `finetune.launching` raises it again, and a sentence."""
    for kind in (UserError, Stopped, InstarError):
        if isinstance(error, kind):
            return [kind.__name__, str(error)]
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    return ["InstarError", f"A process of the training failed: {what}"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
