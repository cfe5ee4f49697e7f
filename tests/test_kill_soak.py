"""``kill -9`` at random instants of ``evolve --once``, half of them inside writes and training steps.

After each kill the workspace is looked at as somebody would find it in the morning; then the same
command goes on, and ends where a run ends that nobody disturbed. `make soak` kills fifty times: each
case begins a turn, kills it at an instant drawn over the length of an undisturbed run, and kills
what goes on from there at a fail-point inside a write or a training step; `.soak/kills.txt` says
where. The quick cases learn by heart instead of training weights.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from kill_checks import LEFT, ahead, broken, check_killed, over
from test_kill import TESTS, state, tiny  # noqa: F401 - a fixture

from instar.config import Config, load_config
from instar.store import Store

_PATIENCE = 1200
_KILLS = TESTS.parent / ".soak" / "kills.txt"
_ROTE, _TRAINED, _POCKET = range(6), range(6, 20), range(20, 25)
"""Cases by policy. The last run pocket itself, whose batched floating point may answer otherwise after a kill."""
_STEPS = 6
pytestmark = pytest.mark.timeout(4 * _PATIENCE)

SMALL = [
    "practise.web_share=0",
    "practise.tasks=12",
    "practise.concurrency=4",
    "gate.tasks=16",
    "moult.tasks=24",
    "report.tasks=4",
    "train.minutes=5",
]
TRAINED = ["model.name=trained_policy.Trained", f"train.steps={_STEPS}", "train.rank=4"]
TRAINED += ["methods.sft.save_seconds=0.001"]
ROTE = ["model.name=rote_policy.Rote", "train.trainer=rote_policy.RoteTrainer"]
POCKET = [f"train.steps={_STEPS}", "methods.sft.save_seconds=0.001", "gate.probe_tasks=4"]


class Setting(NamedTuple):
    """How a workspace is run."""

    base: Path
    options: Sequence[str]
    seed: int = 3

    def config(self, workspace: Path) -> Config:
        more = [f"workspace={workspace}", f"seed={self.seed}"]
        return load_config(None, [*SMALL, *self.options, *more])


class Whole(NamedTuple):
    """A run that nobody disturbed: how long it took, and where it ended."""

    seconds: float
    state: dict


def begin(workspace: Path, setting: Setting, point: str = "") -> subprocess.Popen:
    Store.open(workspace).close()  # a clock turns only what there is
    more = [x for option in (*SMALL, *setting.options) for x in ("-o", option)]
    command = [sys.executable, "-m", "instar.cli", "evolve", "--once", "--practise", *more]
    command += ["--workspace", str(workspace), "--seed", str(setting.seed), "--json"]
    path = os.pathsep.join([str(TESTS), os.environ["PYTHONPATH"]])
    environment = {**os.environ, "PYTHONPATH": path, "TINY_MODEL": str(setting.base)}
    environment |= {"INSTAR_FAILPOINT": point} if point else {}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(workspace: Path, setting: Setting) -> None:
    process = begin(workspace, setting)
    _, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, err


def kill_at(workspace: Path, setting: Setting, point: str) -> None:
    process = begin(workspace, setting, point)
    _, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == -signal.SIGKILL, (point, err)


def kill_after(workspace: Path, setting: Setting, seconds: float) -> bool:
    """Whether it was still at work."""
    process = begin(workspace, setting)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL and not over(workspace)


def whole(workspace: Path, setting: Setting) -> Whole:
    began = time.monotonic()
    finish(workspace, setting)
    return Whole(time.monotonic() - began, state(workspace))


def killed_twice(workspace: Path, setting: Setting, undisturbed: Whole, case: int) -> None:
    """Kill at an instant, then at a fail-point; each time it must be fit to be used."""
    draw = random.Random(case)
    seconds = draw.uniform(0, undisturbed.seconds)
    while not kill_after(workspace, setting, seconds):  # a faster run than the undisturbed one
        shutil.rmtree(workspace)
        seconds *= 0.9
    asyncio.run(check_killed(setting.config(workspace)))
    steps = 0 if setting.options is ROTE else _STEPS
    promotes = any(
        status == "active" and parent for _, parent, status, _ in undisturbed.state["generations"]
    )
    point = ahead(workspace, draw, steps, promotes)
    kill_at(workspace, setting, point)
    _KILLS.parent.mkdir(exist_ok=True)
    with _KILLS.open("a", encoding="utf-8") as file:
        file.write(
            f"case {case}: after {seconds:.1f} of {undisturbed.seconds:.1f} s, then {point}\n"
        )
    asyncio.run(check_killed(setting.config(workspace)))
    finish(workspace, setting)
    asyncio.run(check_killed(setting.config(workspace)))
    assert all(w.endswith(LEFT) for w in broken(workspace))


# Quick: no weights are trained


@pytest.fixture(scope="module")
def rote(tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    (base / "model.safetensors").write_bytes(b"weights")
    os.environ["TINY_MODEL"] = str(base)
    return Setting(base, ROTE)


@pytest.fixture(scope="module")
def rote_whole(rote, tmp_path_factory):
    return whole(tmp_path_factory.mktemp("whole"), rote)


def test_a_turn_by_a_clock_that_was_killed_inside_the_writing_of_an_adapter(
    rote, rote_whole, tmp_path
):
    for point in ("memory.index", "train.rename"):
        kill_at(tmp_path, rote, point)
        asyncio.run(check_killed(rote.config(tmp_path)))
    assert [w for w in broken(tmp_path) if w.endswith(LEFT)]
    finish(tmp_path, rote)
    assert state(tmp_path) == rote_whole.state
    assert broken(tmp_path) == [], "what a kill left is cleared away by the next training"


# The soak


@pytest.mark.soak
@pytest.mark.parametrize("case", _ROTE)
def test_two_kills_of_fifty_without_weights(rote, rote_whole, tmp_path, case):
    killed_twice(tmp_path / "one", rote, rote_whole, case)
    assert state(tmp_path / "one") == rote_whole.state


@pytest.fixture(scope="module")
def trained(tiny):  # noqa: F811
    os.environ["TINY_MODEL"] = str(tiny)
    return Setting(tiny, TRAINED)


@pytest.fixture(scope="module")
def trained_whole(trained, tmp_path_factory):
    return whole(tmp_path_factory.mktemp("trained"), trained)


@pytest.mark.soak
@pytest.mark.parametrize("case", _TRAINED)
def test_two_kills_of_fifty(trained, trained_whole, tmp_path, case):
    killed_twice(tmp_path / "one", trained, trained_whole, case)
    assert state(tmp_path / "one") == trained_whole.state


@pytest.fixture(scope="module")
def pocket_whole(tmp_path_factory):
    return whole(tmp_path_factory.mktemp("pocket"), Setting(Path(), POCKET))


@pytest.mark.soak
@pytest.mark.parametrize("case", _POCKET)
def test_two_kills_of_fifty_on_pocket(pocket_whole, tmp_path, case):
    setting = Setting(Path(), POCKET)
    killed_twice(tmp_path / "one", setting, pocket_whole, case)
    for same in ("stages", "report"):
        assert state(tmp_path / "one")[same] == pocket_whole.state[same]
