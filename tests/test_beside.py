"""The study of an agent beside: what it prints, and in the soak that it runs."""

from __future__ import annotations

import pytest

from benchmarks.studies.beside import House, main, table


def house(seed: int, base: list[float], memory: list[float]) -> House:
    def arm(values: list[float]) -> dict[str, float | None]:
        return {f"family{i}/{seed}-{i}": value for i, value in enumerate(values)}

    return House(seed, {"base": arm(base), "memory": arm(memory)}, True, "helps here", 0)


def test_the_table_pairs_tasks_and_leaves_out_what_was_not_measured():
    houses = [house(1, [0, 0, 0, 1], [1, 1, 0, 1]), house(2, [0, 0, 0, 0], [1, 1, 1, 0])]
    bare = houses[0]._replace(seed=3, success={"base": {"a/b": 0.0}}, promoted=False)
    told = table([*houses, bare])
    assert told.startswith("3 houses, 2 promoted\nbase: 11 %")
    assert "memory: 75 %" in told and "memory over base: +62 points" in told
    assert "n=8, 8 clusters" in told and told.endswith("house 3: helps here\nleaks: 0")


def test_what_is_not_there_is_said(tmp_path, capsys):
    common = ["--seeds", "1", "--out", str(tmp_path)]
    assert main([*common, "-o", "agent.steps=1"]) == 2
    assert "agent.steps" in capsys.readouterr().err
    assert main([*common, "--n", "3"]) == 2 and "other settings" in capsys.readouterr().err


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("agent", ["clerk", "desk"])
@pytest.mark.parametrize("late", [[], ["--late"]])
def test_an_agent_beside_gets_better(tmp_path, capsys, agent, late):
    sizes = ["-o", "practise.tasks=48", "-o", "gate.tasks=40"]
    given = ["--agent", agent, "--seeds", "1", "--n", "12", "--out", str(tmp_path), *sizes, *late]
    assert main(given) == 0
    told = capsys.readouterr().out
    assert "1 houses, 1 promoted" in told and "leaks: 0" in told
    assert ("no practise episode" in told) is bool(late)
