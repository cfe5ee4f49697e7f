"""A training in several processes, one a device, by ``accelerate launch``.

They share the rows of every step and take the same steps as one process would, to rounding. Everything
goes by files and pipes (`finetune.launched` is the other end), so that a training that dies takes
nothing with it. The processes end when this one does, and where it is asked to leave they are too:
they save a checkpoint, from which the same training goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from finetune.curate.base import RowSet
from finetune.train._model import placement
from finetune.train._run import AdapterTraining
from finetune.train.base import OnProgress, Progress
from instar import errors
from instar.contracts import Dataset
from instar.errors import ConfigError, InstarError
from instar.types import Adapter

__all__ = ["Launched"]

_LAUNCH = "--multi_gpu --num_machines 1 --mixed_precision no --dynamo_backend no"
_PATIENCE = 120.0
"""Seconds that the processes have for their step and the checkpoint once they are asked to leave."""
_TAIL = 2_000


class Launched:
    """A trainer whose work is shared by several processes on this machine.

    Args:
        name: Id or dotted path of the trainer.
        trainer: The trainer, as it would run in one process.
        processes: How many, at least two.

    Raises:
        ConfigError: The trainer cannot be shared out, or the rows of a step cannot.
    """

    def __init__(self, name: str, trainer: Any, processes: int) -> None:
        self.progress: OnProgress | None = None
        self._name, self._trainer, self._processes = name, trainer, processes
        self._child: subprocess.Popen[bytes] | None = None
        if not isinstance(trainer, AdapterTraining) or not trainer.shared:
            raise ConfigError(
                f"The trainer {name} runs in one process only: leave out train.processes."
            )
        config = trainer.config
        micro = config.micro or max(1, config.batch // processes)
        if config.batch % (micro * processes):
            whose = f"methods.{name.rpartition('.')[2]}"
            raise ConfigError(
                f"{processes} processes with {micro} rows at a time cannot share the {config.batch} "
                f"rows of a step: change train.processes, {whose}.batch or {whose}.micro."
            )
        self.config = config
        self._settings = config.model_dump(mode="json") | {"micro": micro}

    def train(
        self, dataset: Dataset, base: Path, parent: Path | None, out: Path, seed: int
    ) -> Adapter:
        """Train an adapter over ``base``, as `AdapterTraining.train` does.

        Raises:
            UserError: As it does.
            InstarError: A process failed or was killed.
        """
        self._trainer.require(dataset)
        environment = self._environment()
        rows = RowSet.of([dict(row) for row in dataset.rows], {})
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
            job = Path(folder) / "job.json"
            told = {
                "trainer": self._name,
                "settings": self._settings,
                "rows": str(rows.save(Path(folder) / "rows")),
                "base": str(base.absolute()),
                "parent": str(parent.absolute()) if parent else None,
                "out": str(out.absolute()),
                "seed": seed,
            }
            job.write_text(json.dumps(told), encoding="utf-8")
            with self._running(job, environment, log) as child:
                return self._heard(child, log)

    def dry_run(
        self, dataset: Dataset, base: Path, parent: Path | None, seed: int
    ) -> dict[str, Any]:
        """What `AdapterTraining.dry_run` finds with the rows that one of the processes takes."""
        kind = type(self._trainer)
        alone = kind(kind.Config(**self._settings))
        found: dict[str, Any] = alone.dry_run(dataset, base, parent, seed)
        told = f"{found['summary']}, in one process; {self._processes} would share the steps"
        return found | {"processes": self._processes, "summary": told}

    def leave(self) -> None:
        """Have the processes save a checkpoint and end, and wait until they have; else kill them."""
        child = self._child
        if child is None:
            return
        self._ask(child)
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill(child)

    @contextlib.contextmanager
    def _running(
        self, job: Path, environment: dict[str, str], log: IO[bytes]
    ) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "accelerate.commands.launch", *_LAUNCH.split()]
        command += ["--num_processes", str(self._processes), "--main_process_port", "0"]
        command += ["-m", "finetune.launched", str(job)]
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, and we end it in order.
        )
        self._child = child
        try:
            yield child
        finally:
            self._kill(child)
            self._child = None
            assert child.stdout is not None
            child.stdout.close()

    def _environment(self) -> dict[str, str]:
        cpu = placement(self._trainer.config.device, "fp32")[0] == "cpu"
        if not cpu:
            self._require_devices()
        own = dict(os.environ)
        # A class by dotted path is found there as it is here.
        own["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        cores = max(1, (os.cpu_count() or 1) // self._processes)
        own.setdefault("OMP_NUM_THREADS", str(cores))
        return own | {"ACCELERATE_USE_CPU": str(cpu).lower()}

    def _require_devices(self) -> None:
        import torch

        there = torch.cuda.device_count()
        if there < self._processes:
            raise ConfigError(
                f"{self._processes} processes need a CUDA device each, and there are {there}: change "
                "train.processes."
            )

    def _heard(self, child: subprocess.Popen[bytes], log: IO[bytes]) -> Adapter:
        """Read what is told until all processes have ended."""
        assert child.stdout is not None
        left: Exception | None = None
        made: Adapter | None = None
        told: list[list[str]] = []
        for line in child.stdout:
            said = _read(line)
            if "adapter" in said:
                made = Adapter.model_validate(said["adapter"])
            if "error" in said:
                told.append(said["error"])
            if "progress" in said and self.progress and left is None:
                try:
                    self.progress(Progress.model_validate(said["progress"]))
                except Exception as error:  # noqa: BLE001 - raised again once they have left
                    left = error
                    threading.Thread(target=self.leave, name="leave", daemon=True).start()
        child.wait()
        if made is not None:
            return made  # also where it was done before it heard that it should leave
        raise left or self._failure(told, child.returncode, log)

    def _failure(self, told: list[list[str]], code: int, log: IO[bytes]) -> InstarError:
        if told:
            kind: type[InstarError] = getattr(errors, told[0][0])
            failure = kind(told[0][1])
        else:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            failure = InstarError(
                f"The {self._processes} processes of the training ended before it did ({how}); the "
                "same command goes on from the last checkpoint."
            )
        log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
        failure.add_note(log.read().decode(errors="replace"))
        return failure

    def _ask(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            child.stdin.write(b"leave\n")
            child.stdin.flush()

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        """End whatever is left of it; the processes of the training end with our side of stdin."""
        assert child.stdin is not None
        with contextlib.suppress(OSError):
            child.stdin.close()
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _read(line: bytes) -> dict[str, Any]:
    """What a line says; nothing, where it is not ours or was cut off."""
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict):
            return said
    return {}
