"""The study of rewards: its test, and what it reads of a training that is done."""

import json

import pytest

from benchmarks.studies.rewards import Ends, main, together
from instar.store import Store
from instar.types import Adapter


def test_a_rise_is_told_from_none():
    flat = [0.1, 0.3, 0.2, 0.4] * 5
    risen = Ends(flat, [r + 0.3 for r in flat])
    assert risen.p < 0.001 < 0.4 < Ends(flat, flat).p
    assert Ends(risen.last, risen.first).p > 0.99
    weak = Ends(flat, [r + 0.06 for r in flat])
    assert together([weak] * 5) < weak.p < 0.3


def trained(folder, seed, rewards):
    (folder / str(seed)).mkdir(parents=True)
    with Store.open(folder / str(seed) / "instar.db") as store:
        metrics = {"reward": rewards}
        store.add_adapter(Adapter(name="a", path="a", base="b", dataset="d", metrics=metrics))
        store.finish_stage("g1/train", {"adapter": "a"})


def test_trainings_that_are_done_are_read(tmp_path, capsys):
    few = ["--seeds", "2", "--seed", "4", "--out", str(tmp_path), "--steps", "50"]
    (tmp_path / "study.json").write_text(json.dumps({"steps": 50, "settings": []}))
    for seed in (4, 5):
        trained(tmp_path, seed, [0.1, 0.2] * 15 + [0.5, 0.6] * 10)
    assert main(few) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| seed | first 20 steps | last 20 | p |"
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| 4", "0.150", "0.550"],
        ["| 5", "0.150", "0.550"],
        ["| all", "0.150", "0.550"],
    ]
    assert main([*few[:-1], "60"]) == 2 and "--out DIR" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--steps", "39"])


def test_a_training_that_came_to_nothing_says_why(tmp_path, capsys):
    trained(tmp_path, 7, [0.1] * 30)
    with Store.open(tmp_path / "7" / "instar.db") as store:
        store.finish_stage("g1/train", {"adapter": None, "reason": "no verified success"})
    assert main(["--seeds", "1", "--seed", "7", "--out", str(tmp_path)]) == 2
    assert "Seed 7 trained nothing: no verified success" in capsys.readouterr().err
