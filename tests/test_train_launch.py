"""A training by `accelerate launch`: what is refused, and how its processes end. Real processes, on the CPU."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from contract_base import make_base
from rich.console import Console
from train_ranks import NUMBERS, QUICK, ROWS, Own, row

from finetune.launching import Launched
from finetune.train.grpo import GroupRelative
from finetune.train.sft import SupervisedFineTuning
from instar import _methods
from instar._loop import Loop
from instar._stages import start
from instar._training import train
from instar.compose import Workspace
from instar.config import load_config
from instar.errors import ConfigError, InstarError, Stopped, UserError
from instar.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
LONG = {"max_steps": 5_000, "epochs": 2_000}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("launch") / "base")


def launched(processes=2, name="train_ranks.Own", kind=Own, progress=None, **changes):
    given = {**QUICK, "save_seconds": 0, **changes}
    made = Launched(name, kind(kind.Config(**given)), processes)
    made.progress = progress
    return made


def mentioning(text):
    """Command lines of processes that are there."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        found += [line] if text in line else []
    return found


def gone(text, seconds=20.0):
    """Whether processes that mention a text end within some seconds."""
    until = time.monotonic() + seconds
    while mentioning(text) and time.monotonic() < until:
        time.sleep(0.1)
    return not mentioning(text)


def test_rows_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ConfigError, match=r"3 processes with 1 rows at a time .* the 4 rows"):
        launched(3)
    with pytest.raises(ConfigError, match=r"methods\.own\.micro|methods\.Own\.micro"):
        launched(2, micro=4)
    assert launched(2)._settings["micro"] == 2


def test_trainers_for_one_process_say_so():
    class Foreign:
        def train(self, *given):
            raise AssertionError

    for name, trainer in (("grpo", GroupRelative()), ("mine.Foreign", Foreign())):
        with pytest.raises(ConfigError, match=f"{name} runs in one process only: leave out train"):
            Launched(name, trainer, 2)


def test_a_turn_that_could_not_be_trained_is_refused_before_it_begins():
    options = ["train.processes=3", "methods.sft.batch=16"]
    with pytest.raises(ConfigError, match="3 processes"):
        _methods.require(load_config(None, options))
    _methods.require(load_config(None, [*options, "train.trainer=off"]))
    assert isinstance(_methods.trainer(load_config(None, ["train.processes=2"])), Launched)
    assert isinstance(_methods.trainer(load_config(None)), SupervisedFineTuning)


def test_each_process_needs_a_device(base, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ConfigError, match="2 processes need a CUDA device each, and there are 1"):
        launched(device="auto").train(ROWS, base, None, tmp_path / "adapters", 3)


def test_a_dry_run_tries_the_rows_of_one_process(base):
    found = launched().dry_run(ROWS, base, None, 3)
    assert found["processes"] == 2 and found["summary"].endswith("2 would share the steps")


def test_nothing_to_train_on_is_said_before_anything_is_launched(base, tmp_path):
    empty = ROWS.of([], {"t1": "failed"})
    with pytest.raises(UserError, match="Nothing to train on: 1 x failed"):
        launched().train(empty, base, None, tmp_path, 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_training_that_was_killed_and_then_asked_to_leave_goes_on(base, tmp_path, monkeypatch):
    out, steps = tmp_path / "adapters", []

    def kept():
        whole = tmp_path.glob("training/*/*/whole.json")
        return sorted(path.parent.name for path in whole), list(out.glob("*"))

    monkeypatch.setenv("INSTAR_FAILPOINT", "train.checkpoint:2")
    with pytest.raises(InstarError, match="process"):
        launched().train(ROWS, base, None, out, 3)
    assert kept() == (["checkpoint-1"], [])
    monkeypatch.delenv("INSTAR_FAILPOINT")

    def leave(progress):
        steps.append(progress.step)
        raise Stopped("a limit was reached")

    with pytest.raises(Stopped, match="a limit was reached"):
        launched(progress=leave, **LONG).train(ROWS, base, None, tmp_path / "more", 3)
    assert steps == [1] and not list((tmp_path / "more").glob("*"))
    assert len(kept()[0]) == 2, "that of the other training too"

    made = launched(progress=lambda p: steps.append(p.step)).train(ROWS, base, None, out, 3)
    assert steps[1:] == [2, 3, 4] and made.metrics["steps_before"] == 1
    assert made.metrics["processes"] == 2 and made.recipe["trainer"] == "own"
    assert [path.name for path in out.iterdir()] == [made.name]
    assert len(kept()[0]) == 1, "only that of the other training"
    alone = Own(Own.Config(**QUICK, micro=2)).train(ROWS, base, None, tmp_path / "alone", 3)
    for before, after in zip(alone.metrics["losses"], made.metrics["losses"], strict=True):
        assert before == pytest.approx(after, abs=2e-5)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_a_process_finds_is_said_in_its_one_sentence(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"^No model that can be trained in .*base: ") as caught:
        launched().train(ROWS, tmp_path / "base", None, tmp_path / "adapters", 3)
    assert "\n" not in str(caught.value)


ALONE = """
import sys
from pathlib import Path
from test_train_launch import LONG, ROWS, launched
base, out = Path(sys.argv[1]), Path(sys.argv[2])
told = lambda p: print(p.step, flush=True)
launched(progress=told, save_seconds=None, **LONG).train(ROWS, base, None, out, 3)
"""


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_no_process_is_left_where_the_parent_is_killed(base, tmp_path):
    own = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", ALONE, base, tmp_path / "adapters"]
    parent = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "1\n"
    job = f"{tmp_path}/"
    assert len([line for line in mentioning(job) if "finetune.launched" in line]) >= 3
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(job)
    assert not list((tmp_path / "adapters").glob("*"))


class Asked:
    """Limits that are never reached, and how often they were looked at."""

    times = 0

    def check(self):
        self.times += 1


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_cancelled_stage_waits_for_the_checkpoint(base, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    options = [f"model.name=local/{base}", f"workspace={json.dumps(str(tmp_path / 'w'))}"]
    options += ["train.processes=2", "model.device=cpu", "methods.sft.batch=4"]
    options += ["methods.sft.epochs=2000", "train.steps=5000", "train.minutes=60"]
    async with Workspace.open(load_config(None, options)) as workspace:
        quiet, limits = Progress(console=Console(file=io.StringIO(), width=400)), Asked()
        loop = Loop(workspace, quiet, limits)
        began = await start(loop, "start", {"turn": 1})
        rows = ROWS.of([{**row(n), "completion": ROWS.rows[0]["completion"]} for n in NUMBERS], {})
        rows.save(workspace.path / "datasets" / rows.hash)
        loop.store.finish_stage("g1/curate", {"dataset": rows.hash, "rows": len(rows.rows)})
        stage = asyncio.create_task(train(loop, "g1/train", {"turn": 1, **began.state}))
        folder = tmp_path / "w" / "training"
        while limits.times < 2 and not stage.done():
            await asyncio.sleep(0.1)
        assert not folder.exists()
        stage.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage
        assert not [line for line in mentioning(f"{tmp_path}/") if "finetune.launched" in line]
        assert len(list(folder.glob("*/checkpoint-*/whole.json"))) == 1
        assert not list((tmp_path / "w" / "adapters").glob("*"))
