"""Episodes to the same held-out success: read off curves, paired over seeds."""

import json

import pytest

from benchmarks.studies.sooner import Run, compare, main, until


def test_episodes_are_read_off_the_line_between_generations():
    run = Run((0.1, 0.3, 0.2, 0.6), 200)
    assert [until(run, t) for t in (0.05, 0.1, 0.2, 0.3)] == [0, 0, pytest.approx(100), 200]
    assert until(run, 0.4) == pytest.approx(200 * 2.5), "what fell again is not counted as reached"
    with pytest.raises(ValueError, match="never"):
        until(run, 0.7)


def test_the_target_is_what_both_come_to():
    slow, fast = Run((0.0, 0.2, 0.4), 100), Run((0.0, 0.8, 0.8), 100)
    ours, theirs, by = compare({1: slow, 2: slow, 3: slow}, {1: fast, 2: fast, 4: fast})
    assert (ours, theirs) == (200, pytest.approx(50)) and by.n == 2
    assert by.difference == pytest.approx(-150)


def cell(folder, name, seed, curve):
    outcomes = {
        f"g{i}": [[str(k), 0, "f", float(k < c)] for k in range(10)] for i, c in enumerate(curve)
    }
    asked = {"preset": "pocket", "settings": {"practise.tasks": 25}, "seed": seed, "generations": 2}
    place = folder / name / str(seed)
    place.mkdir(parents=True)
    kept = {"asked": asked, "measures": {"generations": {"outcomes": outcomes}}}
    (place / "cell.json").write_text(json.dumps(kept))


def test_a_folder_of_a_grid_gives_a_row_a_configuration(tmp_path, capsys):
    for seed in (1, 2, 3):
        cell(tmp_path, "uniform", seed, (1, 3, 5))
        cell(tmp_path, "sec", seed, (1, 5, 5))
        cell(tmp_path, "band", seed, (1, 1, 3))
    assert main([str(tmp_path)]) == 0
    *_, band, sec = capsys.readouterr().out.splitlines()
    assert band.startswith("| band | 200 | 100 | +100 [") and sec.startswith(
        "| sec | 100 | 200 | -100 ["
    )
    assert sec.endswith("| 3 |")
    assert main([str(tmp_path), "--measure", "none"]) == 2
    assert "no cell with a measure 'none'" in capsys.readouterr().err
    assert main([str(tmp_path), "--against", "nobody"]) == 2
    assert "'band', 'sec', 'uniform'" in capsys.readouterr().err
    (tmp_path / "sec" / "1" / "cell.json").write_text("{")
    assert main([str(tmp_path)]) == 2 and "cannot be read" in capsys.readouterr().err
