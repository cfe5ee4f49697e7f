"""The study of memories planted in a house: what is planted, that it goes on, and its table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.studies import house_worth
from benchmarks.studies.house_worth import KINDS, Planted, area, table
from instar.store import Store
from instar.types import MemoryStatus
from memory.worth import Effect, Level, Verdict, Worth

RUN = ["--rounds", "2", "--n", "8", "--seed", "5"]


def test_each_family_has_one_of_each_kind_and_rounds_are_done_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "w")]
    assert house_worth.main([*RUN, *out]) == 0
    told = capsys.readouterr().out
    with Store.open(tmp_path / "w" / "instar.db", create=False) as store:
        active = store.active()
        assert active is not None
        items = store.items(active.id)
        authors = store.memory_authors()
        lived = {t.id for t in store.trajectories(purpose="practise")}
    assert {i.status for i in items} <= {MemoryStatus.CANDIDATE, MemoryStatus.QUARANTINED}
    kinds: dict[str, set[str]] = {}
    for item in items:
        kinds.setdefault(item.when, set()).add(authors[item.id])
    assert len(kinds) == 13 and all(found == set(KINDS) for found in kinds.values())
    assert len(lived) == 16
    assert house_worth.main([*RUN, *out]) == 0
    assert told in capsys.readouterr().out
    with Store.open(tmp_path / "w" / "instar.db", create=False) as store:
        assert {t.id for t in store.trajectories(purpose="practise")} == lived
    assert house_worth.main([*RUN, *out, "--n", "9"]) == 2
    assert "another" in capsys.readouterr().err


def planted(kind: str, effect: float, ended: str = "") -> Planted:
    moved = Effect(estimate=effect, interval=(effect - 0.1, effect + 0.1), variance=0.01)
    known = Worth(
        level=Level.CLUSTER,
        name=json.dumps([kind, effect]),
        namespace="house/0",
        n=200,
        shown=100,
        success=moved,
        steps=moved,
        shrunk=effect,
        deviation=0.1,
        verdict=Verdict.UNDECIDED,
        needed=0,
    )
    return Planted(kind, MemoryStatus.RETIRED if ended else MemoryStatus.ACTIVE, ended, known)


def test_the_table_tells_kinds_apart() -> None:
    found = [
        planted("helpful", 0.4),
        planted("helpful", 0.0),
        planted("harmful", -0.3, "harms: -30 points over 200 recalls"),
        planted("useless", 0.1),
    ]
    assert area(found) == 0.75
    _, helpful, harmful, useless, last = table(found).splitlines()
    assert helpful.split()[:4] == ["helpful", "2", "200", "+20"] and "2 active" in helpful
    assert "1 retired, harms" in harmful and "1 active" in useless
    assert last.endswith("0.750")
