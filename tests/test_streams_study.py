"""Arms over the course of streams: parts in the order of the arm that learns, means over runs."""

from pathlib import Path

import pytest
from episodes import task, trajectory

from benchmarks.runner import Line, Settings, begin
from benchmarks.studies import streams
from instar.types import Score, Status

PASS, FAIL, UNKNOWN = Status.PASS, Status.FAIL, Status.UNKNOWN
SETTINGS = Settings(
    run="bench1",
    benchmark="shed",
    namespace="shed/1",
    generation="g0",
    model="pocket",
    n=2,
    seed=0,
    arms=("base", "memory"),
    protocol="stream",
)


def lines(arm: str, ends: dict[str, Status]) -> list[Line]:
    return [
        Line(arm=arm, trajectory=trajectory(task(name), score=Score(status=end)))
        for name, end in ends.items()
    ]


def test_parts_are_in_the_order_in_which_the_arm_that_learns_met_the_tasks() -> None:
    lived = lines("memory", {"a": FAIL, "b": UNKNOWN, "c": PASS, "d": FAIL})
    # Base does not wait for what was learnt, so its episodes end in another order.
    asked = lines("base", {"d": PASS, "c": FAIL, "b": PASS, "a": PASS})
    assert streams.in_parts(asked + lived, 2) == {"base": [1.0, 0.5], "memory": [0.0, 0.5]}
    with pytest.raises(ValueError, match="no arm"):
        streams.in_parts(asked, 2)
    with pytest.raises(ValueError, match="fewer parts"):
        streams.in_parts(lived, 4)


def test_the_table_has_means_over_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, first in (("one", PASS), ("two", FAIL)):
        found = lines("base", {"a": FAIL, "b": FAIL}) + lines("memory", {"a": first, "b": PASS})
        begin(tmp_path / name, SETTINGS)
        (tmp_path / name / "episodes.jsonl").write_text(
            "".join(f"{line.model_dump_json()}\n" for line in found)
        )
    assert streams.main([str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    row = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split("|")][1:-1]
    assert row[0] == "memory"
    assert [cell.split(" ")[0] for cell in row[1:]] == ["75", "75", "50", "100"]
    assert streams.main([str(tmp_path / "nowhere")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    begin(tmp_path / "frozen", SETTINGS.model_copy(update={"protocol": "frozen"}))
    assert streams.main([str(tmp_path / "frozen")]) == 2
    assert "no stream" in capsys.readouterr().err
