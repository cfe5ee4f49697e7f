"""``instar pocket``: a training is watched, stopped, gone on with and started again; what is broken is said in a line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from finetune.pocket import MODEL_DIR
from instar import cli

TINY = ["--width", "32", "--layers", "2", "--n", "1"]


def run(capsys, *words: str, code: int = 0) -> str:
    """What a command of pocket says in all."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["pocket", *words])
    told = capsys.readouterr()
    assert (ended.value.code or 0) == code, told.err
    return told.out + told.err


def test_a_training_that_is_stopped_keeps_what_is_done(tmp_path):
    out = tmp_path / "made"
    command = [sys.executable, "-m", "instar", "pocket", "pretrain", "--tokens", "50000000", *TINY]
    running = subprocess.Popen(
        [*command, "--out", str(out)],
        env={**os.environ, "TORCHDYNAMO_DISABLE": "1"},  # to compile takes longer than all else
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    assert "50,000,000 tokens, then an exam of 1 questions" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=240)
    assert running.returncode == 130 and "Stopping after this step" in said
    assert "goes on from the last checkpoint" in said
    assert (out / "checkpoint.pt").exists() and not (out / "training.json").exists()


def test_a_finished_model_is_told_and_another_is_not_written_over_it(tmp_path, capsys):
    shutil.copy(MODEL_DIR / "training.json", tmp_path)
    told = run(capsys, "pretrain", "--out", str(tmp_path))
    assert "is complete already" in told and re.search(r"pick +82\.8%", told)
    assert "is complete already" in run(
        capsys, "pretrain", "--minutes", "1", "--out", str(tmp_path)
    )
    refused = run(capsys, "pretrain", "--tokens", "5", "--out", str(tmp_path), code=2)
    assert "tokens 45000000, not 5" in refused and "--out DIR" in refused
    assert [p.name for p in tmp_path.iterdir()] == ["training.json"]


def test_a_damaged_checkpoint_is_named(tmp_path, capsys):
    (tmp_path / "checkpoint.pt").write_text("garbage")
    told = run(capsys, "pretrain", "--tokens", "5", *TINY, "--out", str(tmp_path), code=2)
    assert "checkpoint.pt is damaged" in told


@pytest.mark.parametrize("command", [["pretrain", "--minutes", "1"], ["compare"]])
def test_a_place_that_is_no_folder_is_refused_at_once(tmp_path, capsys, command):
    (tmp_path / "file").write_text("")
    assert (
        "choose another"
        in run(capsys, *command, "--out", str(tmp_path / "file" / "deeper"), code=2).lower()
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.safetensors", "short"), ("config.json", "{"), ("tokenizer.json", "{}")],
)
def test_a_damaged_model_is_named(tmp_path, capsys, name, content):
    folder = tmp_path / "model"
    shutil.copytree(MODEL_DIR, folder)
    (folder / name).write_text(content)
    told = run(capsys, "exam", "--model", str(folder), "--n", "1", code=2)
    assert "Cannot load the model" in told and not told.rstrip().endswith(":")


def test_an_odd_number_of_layers_is_refused_by_itself(tmp_path, capsys):
    told = run(capsys, "pretrain", "--layers", "3", "--out", str(tmp_path), code=2)
    assert "--layers 3" in told and "width" not in told


def test_curves_tell_skills_apart(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    from finetune.pocket.curves import draw_curves

    drawn: dict[str, tuple] = {}
    plot = Axes.plot

    def noted(self, *given, **how):
        if "label" in how:
            drawn[how["label"]] = (how["color"], how["linestyle"], how["marker"])
        return plot(self, *given, **how)

    monkeypatch.setattr(Axes, "plot", noted)
    last = json.loads((MODEL_DIR / "training.json").read_text())["history"][-1]
    draw_curves([last], tmp_path / "one.png")
    assert len(set(drawn.values())) == len(drawn) == len(last["exam"])
    assert {marker for _, _, marker in drawn.values()} == {"o"}
