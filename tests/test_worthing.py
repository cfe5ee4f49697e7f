"""What a workspace knows of the worth of its memories, and the commands that tell it."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from episodes import task, trajectory
from stores import generation
from typer.testing import CliRunner

from benchmarks.studies import distillers
from instar._worthing import valued, withheld_from
from instar.cli import app
from instar.store import Store
from instar.types import (
    BankDraw,
    MemoryItem,
    MemoryOp,
    OpKind,
    Recalled,
    Score,
    ScoreSource,
    Split,
    Status,
)
from memory.worth import Level, known, observations, worth

HELPS, HURTS = "helps", "hurts"
ODDS = {(True, True): 0.5, (True, False): 0.9, (False, True): 0.1, (False, False): 0.5}


def item(id: str) -> MemoryItem:
    said = {"title": id, "when": f"when {id}", "content": f"do {id}", "kind": "lesson"}
    return MemoryItem(id=id, namespace="toy/0", **said)


def recalled(id: str, label: str, shown: bool, p: float) -> Recalled:
    said = {"version": 1, "title": id, "when": id, "content": id, "kind": "lesson"}
    return Recalled(label=label, item=id, shown=shown, propensity=p, relevance=0.9, **said)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A store with 600 practise episodes in which one memory helps by 40 points and one hurts."""
    rng = random.Random(0)
    with Store.open(tmp_path) as store:
        store.add_generation(generation("g0", status="active"))
        add = [MemoryOp(kind=OpKind.ADD, item=item(i)) for i in (HELPS, HURTS, "unseen")]
        store.apply(add[:1], "g0", {}, "g1/reflect_1/workflow")
        store.apply(add[1:], "g0", {}, "import")
        for n in range(600):
            bank = rng.random() < 0.85
            good, bad = (bank and rng.random() < 0.5 for _ in range(2))
            status = Status.PASS if rng.random() < ODDS[good, bad] else Status.FAIL
            lived = trajectory(
                task(f"t{n // 2}", Split.PRACTISE),
                seed=n,
                purpose="practise",
                bank=BankDraw(shown=bank, propensity=0.85),
                memories=(recalled(HELPS, "m1", good, 0.5), recalled(HURTS, "m2", bad, 0.5)),
                score=Score(status=status, source=ScoreSource.PROGRAM),
            )
            store.save_trajectory(lived, stage=f"g{1 + n // 300}/practise_1")
        for turn in (1, 2):
            store.finish_stage(f"g{turn}/practise_1", {"episodes": 300})
    return tmp_path


def run(*args: str) -> str:
    result = CliRunner().invoke(app, ["memory", *args])
    assert result.exit_code == 0, result.output
    return result.stdout


def value_of(line: str, pattern: str) -> str | None:
    found = re.search(pattern, line)
    return found.group() if found else None


def test_practice_is_read_round_after_round(workspace: Path) -> None:
    with Store.open(workspace) as store:
        for turn in (2, 10):
            store.finish_stage(f"g{turn}/practise_2", {"episodes": 1})
            one = trajectory(task(f"late{turn}", Split.PRACTISE), purpose="practise")
            store.save_trajectory(one, stage=f"g{turn}/practise_2")
        lived = withheld_from(store, "toy")
        assert [t.task.id for t in lived[-2:]] == ["late2", "late10"]
        assert {t.seed // 300 for t in lived[:300]} == {0}
        assert withheld_from(store, "another") == []


def test_what_chance_could_show_is_not_known(workspace: Path) -> None:
    with Store.open(workspace) as store:
        observed = observations(withheld_from(store, "toy"))
        found = known(worth(observed, Level.CLUSTER))
        assert 0.2 < found[HELPS] < 0.6 and -0.6 < found[HURTS] < -0.2
        assert known(worth(observed[:2], Level.CLUSTER)) == {}
        told = valued(store, store.items("g0"), "toy")
    assert [of[0].id for of, _ in told.units] == [HELPS, HURTS, "unseen"]
    assert told.units[-1][1] is None


def test_memories_are_listed_by_what_they_are_worth(workspace: Path) -> None:
    where = ["--workspace", str(workspace), "--model", "toy"]
    picture = workspace / "worth.png"
    text = run("list", "--by", "uplift", "--plot", str(picture), *where)
    first, _, _, *rows = text.splitlines()
    assert first.startswith("Experience: ") and "(toy, 600 episodes)" in first
    assert [r.split()[0] for r in rows[:3]] == [HELPS, HURTS, "unseen"]
    assert "helps" in rows[0].split("when")[0][8:] and "hurts" in rows[1].split("when")[0][8:]
    assert picture.read_bytes().startswith(b"\x89PNG")
    steps = value_of(rows[0], r"[+-][0-9.]+ \[[+-][0-9.]+, [+-][0-9.]+\]")
    assert steps, "how much longer episodes were, with an interval"
    value = json.loads(run("list", "--by", "uplift", "--json", *where))
    assert [u["items"] for u in value["units"]] == [[HELPS], [HURTS], ["unseen"]]
    assert value["units"][0]["worth"]["success"]["interval"][0] > 0
    head, good, bad, *_ = rows[4:]
    assert head.startswith("written by") and good.split()[0] == "workflow" and "helps" in good
    assert bad.split()[0] == "import" and "hurts" in bad
    assert [a["name"] for a in value["authors"]] == ["workflow", "import"]


def test_experience_is_told_where_what_serves_knows_nothing(workspace: Path) -> None:
    with Store.open(workspace) as store:
        store.add_generation(generation("g1").model_copy(update={"parent": None}))
        store.activate("g1")
    where = ["--workspace", str(workspace), "--model", "toy"]
    text = run("list", "--by", "uplift", *where)
    assert text.startswith("Experience: ") and "(toy, 600 episodes)" in text.splitlines()[0]
    assert "g0 holds 3: instar memory list --generation g0" in text


def test_distillers_are_compared_over_workspaces(workspace: Path, capsys) -> None:
    assert distillers.main([str(workspace), "--model", "toy"]) == 0
    assert distillers.main([str(workspace), str(workspace), "--model", "toy"]) == 0
    rows = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if "shown" not in line
    ]
    (_, first, second), (_, _, both) = rows[:3], rows[3:]
    assert first[0] == "| import" and second[0] == "| workflow" and "[" not in second[2]
    assert both[2] == f"{second[2]} [{second[2][1:]}, {second[2][1:]}]"
    assert distillers.main([str(workspace / "nowhere")]) == 2
    assert "instar.db" in capsys.readouterr().err


def test_why_tells_what_was_shown_withheld_and_what_that_changed(workspace: Path) -> None:
    with Store.open(workspace) as store:
        lived = store.trajectory("t7-14")
        store.save_trajectory(lived.model_copy(update={"id": "elsewhere", "model": "another"}))
    text = run("why", "t7-14", "--workspace", str(workspace))
    assert "probability of being shown 0.85" in text
    assert [line.split()[0] for line in text.splitlines()[-4:-2]] == ["m1", "m2"]
    value = json.loads(run("why", "t7-14", "--json", "--workspace", str(workspace)))
    for told in value["memories"]:
        assert told["episodes_shown"] + told["episodes_withheld"] == 2
        assert told["cited"] == []
        assert told["worth"]["n"] > 200, "over all episodes, not those of this task"
    good, bad = text.splitlines()[-4:-2]
    assert value_of(good, r"\+[34][0-9] \[\+[0-9]+, \+[0-9]+\], helps")
    assert value_of(bad, r"-[34][0-9] \[-[0-9]+, -[0-9]+\], hurts")


def test_memories_that_say_the_same_are_told_together_and_each(workspace: Path) -> None:
    with Store.open(workspace) as store:
        twin = item("twin").model_copy(update={"cluster": HELPS})
        store.apply([MemoryOp(kind=OpKind.ADD, item=twin)], "g0", {}, "import")
    where = ["--workspace", str(workspace), "--model", "toy"]
    unit, first, second, *_ = run("list", "--by", "uplift", *where).splitlines()[3:]
    assert unit.startswith(f"{HELPS} +1 ") and "helps" in unit[10:]
    assert first.startswith(f"- {HELPS} ") and "helps" in first[10:]
    assert second.startswith("- twin ") and "helps" not in second, "it was never chosen"
    value = json.loads(run("list", "--by", "uplift", "--json", *where))
    assert value["units"][0]["members"]["twin"] is None
    assert value["units"][0]["members"][HELPS]["level"] == "item"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["why", "nobody"], "nobody"),
        (["list", "--plot", "x.png"], "--by uplift"),
        (["list", "--by", "uplift", "--model", "toy", "--plot", "x.docx"], "x.docx"),
    ],
)
def test_nonsense_gets_a_sentence(workspace: Path, args: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["memory", *args, "--workspace", str(workspace)])
    told = str(result.exception) if result.exception else result.output
    assert result.exit_code != 0 and said in told and "Traceback" not in result.output


def test_a_person_quarantines_and_pins_at_once(workspace: Path) -> None:
    where = ["--workspace", str(workspace), "-o", "memory.embedder=hash"][:2]
    with Store.open(workspace) as store:
        twin = item("twin").model_copy(update={"cluster": HURTS})
        store.apply([MemoryOp(kind=OpKind.ADD, item=twin)], "g0", {})
    told = json.loads(run("quarantine", HURTS[:3], "--reason", "it lied", "--json", *where))
    assert told["items"] == [HURTS, "twin"] and told["changed"] == 2
    run("pin", HELPS, *where)
    with Store.open(workspace) as store:
        found = {i.id: i for i in store.items("g0")}
        assert [found[i].status.value for i in (HURTS, "twin")] == ["quarantined"] * 2
        assert found[HELPS].pinned and not found[HURTS].pinned
        assert store.memory_log(3)[-1]["reason"] == "it lied"
    assert json.loads(run("quarantine", HURTS, "--json", *where))["changed"] == 0
    assert json.loads(run("pin", HELPS, "--off", "--json", *where))["changed"] == 1
