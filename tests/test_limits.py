"""What limits pocket in the houses: the table by kinds of rules."""

from pathlib import Path

from episodes import task, trajectory

from benchmarks.runner import Line
from benchmarks.studies import limits
from instar.types import Score, Status


def line(arm: str, status: Status, **metrics: float) -> Line:
    score = Score(status=status, metrics=metrics)
    return Line(arm=arm, trajectory=trajectory(task(f"{arm}{status}{metrics}"), score=score))


def test_successes_are_told_apart_by_the_rules_in_play(tmp_path: Path, capsys) -> None:
    lines = [
        line("base", Status.PASS, ruled=0.0),
        line("base", Status.FAIL, ruled=1.0, novel=0.0),
        line("base", Status.FAIL, ruled=1.0, novel=1.0),
        line("base", Status.UNKNOWN, ruled=1.0, novel=1.0),
        line("both", Status.PASS, ruled=1.0, novel=0.0),
    ]
    found = limits.of_kinds(lines)
    assert found["base"] == {
        limits.KINDS[0]: [True],
        limits.KINDS[1]: [False],
        limits.KINDS[2]: [False],
    }
    (tmp_path / "episodes.jsonl").write_text("".join(f"{x.model_dump_json()}\n" for x in lines))
    assert limits.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2].startswith("| base | 100% [21, 100] of 1 |") and out[3].endswith("| - |")
    assert limits.main([str(tmp_path / "nowhere")]) == 2
