"""``kill -9`` in the middle of a run, for real: started again, the run ends where it would have ended.

Most kills are inside a write or a training step, at fail-points; the rest come from outside at
some moment.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from instar.store import Store

TESTS = Path(__file__).parent
_PATIENCE = 500
pytestmark = pytest.mark.timeout(3 * _PATIENCE)
SETTINGS = [
    "model.name=trained_policy.Trained",
    "practise.web_share=0",
    "practise.tasks=16",
    "practise.concurrency=4",
    "gate.tasks=16",
    "report.tasks=8",
    "train.steps=6",
    "train.minutes=5",
    "train.rank=4",
]
POINTS = [
    "store.trajectory:9",
    "store.apply",
    "memory.index",
    "train.step:2",
    "train.rename",
    "store.activate",
    "stage.reflect_2",
    "stage.gate_memory",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from finetune.pocket.start import build_model
    from finetune.pocket.tokenizer import build_tokenizer

    path = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer()
    build_model(len(tokenizer), width=32, layers=2, seed=1).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def begin(workspace: Path, tiny: Path, point: str = "", seed: int = 3) -> subprocess.Popen:
    more = [x for setting in SETTINGS for x in ("-o", setting)]
    command = [sys.executable, "-m", "instar.cli", "evolve", "--generations", "1", *more]
    command += ["--workspace", str(workspace), "--seed", str(seed), "--json"]
    path = os.pathsep.join([str(TESTS), os.environ["PYTHONPATH"]])
    environment = {**os.environ, "PYTHONPATH": path, "TINY_MODEL": str(tiny)}
    if point:
        environment["INSTAR_FAILPOINT"] = point
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(workspace: Path, tiny: Path, seed: int = 3) -> None:
    process = begin(workspace, tiny, seed=seed)
    _, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, err


def kill_at(workspace: Path, tiny: Path, point: str, seed: int = 3) -> None:
    process = begin(workspace, tiny, point, seed)
    _, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == -signal.SIGKILL, (point, err)


def state(workspace: Path) -> dict:
    """Everything that must not depend on kills; times do."""
    with Store.open(workspace / "instar.db", create=False) as store:
        assert store.check() is None
        stages = {k: v for k, v in store.stages("").items() if not k.startswith("run")}
        return {
            "generations": [
                (g.id, g.parent, g.status, (g.verdict or {}).get("sentence"))
                for g in store.generations()
            ],
            "items": [(i.id, i.version, i.when, i.content, i.sources) for i in store.items(None)],
            "log": [(e["kind"], e["item"], e["generation"]) for e in store.memory_log(10_000)],
            "episodes": sorted((t.id, t.score.status) for t in store.trajectories()),
            "adapters": [(a.name, a.dataset) for a in store.adapters()],
            "rows": stages["g1/curate"]["dataset"],
            "stages": sorted(stages),
            "report": len(list(workspace.glob("runs/*/report.html"))),
        }


@pytest.fixture(scope="module")
def reference(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    finish(folder, tiny)
    return state(folder)


def test_a_run_killed_inside_writes_and_a_training_step_ends_the_same(tiny, reference, tmp_path):
    for point in ("store.trajectory:9", "store.apply", "train.step:2"):
        kill_at(tmp_path, tiny, point)
    finish(tmp_path, tiny)
    assert state(tmp_path) == reference


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS)
def test_each_fail_point(tiny, reference, tmp_path, point):
    kill_at(tmp_path, tiny, point)
    finish(tmp_path, tiny)
    assert state(tmp_path) == reference


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [3.0, 4.5, 6.0, 8.0, 10.0, 13.0])
def test_some_moment(tiny, reference, tmp_path, seconds):
    process = begin(tmp_path, tiny)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    finish(tmp_path, tiny)
    assert state(tmp_path) == reference


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12])
def test_many_kills_in_one_run(tiny, tmp_path, seed):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(whole, tiny, seed)
    for point in ("store.trajectory:40", "stage.practise_2", "store.apply", "train.rename"):
        process = begin(broken, tiny, point, seed)
        process.communicate(timeout=_PATIENCE)
    finish(broken, tiny, seed)
    assert state(broken) == state(whole)


def test_ctrl_c_says_how_to_go_on(tiny, tmp_path):
    process = begin(tmp_path, tiny)
    for line in process.stderr:
        if line.startswith("g1/practise_1"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].startswith("Interrupted; what was finished is saved.")
    assert "instar evolve --generations 1" in err
