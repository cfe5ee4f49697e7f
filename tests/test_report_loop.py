"""The report of what the loop decided: each figure on the page is one that a stage has left."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from benchmarks.report import ReportData, write
from instar._report_loop import curriculum, moults, trainings, verdicts
from instar.compose import Workspace
from instar.config import load_config
from instar.evolve import evolve
from instar.progress import Progress
from instar.types import Status

SMALL = [
    "model.name=oracle_policy.Obedient",
    "train.trainer=off",
    "practise.web_share=0",
    "practise.foreign_share=0",
    "practise.tasks=20",
    "gate.tasks=40",
    "gate.probe_tasks=4",
    "curriculum.select=sec",
    "report.tasks=2",
    "seed=3",
]


def config(folder: Path):
    return load_config(None, [*SMALL, f"workspace={json.dumps(str(folder))}"])


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")

    async def run():
        async with Workspace.open(config(folder)) as workspace:
            return await evolve(workspace, 1, Progress(quiet=True))

    asyncio.run(run())
    return folder


@pytest.fixture
async def workspace(evolved):
    async with Workspace.open(config(evolved)) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(evolved):
    (found,) = (evolved / "runs").glob("*/report.html")
    return found.read_text()


async def test_each_verdict_is_told_with_what_was_looked_at(workspace, page):
    stages = workspace.store.stages("g")
    found = {v["kind"]: v for v in verdicts(stages)}
    kept = stages["g1/gate_memory"]["verdict"]
    memory = found["memory"]
    assert (memory["turn"], memory["decision"], memory["n"]) == ("1", "promote", kept["n"])
    assert memory["groups"] == kept["groups"] and len(memory["probes"]) == 2
    looks = memory["looks"]
    assert 1 <= looks["taken"] <= looks["planned"] == 4
    assert memory["n"] == 10 * looks["taken"], "forty pairs in four looks"
    assert memory["forecast"]["episodes"] >= memory["cost"]["episodes"] > 0
    for text in (
        f"{kept['n']} of 40",
        f"{looks['taken']} of 4",
        "injection",
        "at most <b>10 %</b>",
    ):
        assert text in page
    assert f"{memory['cost']['tokens']:,}" in page
    assert f"{memory['forecast']['tokens']:,}" in page


async def test_a_round_is_told_with_who_proposed_and_how_each_group_went(workspace, page):
    store = workspace.store
    first, second = curriculum(store, store.stages("g"))
    assert (first["turn"], first["round"], second["round"]) == ("1", "1", "2")
    assert first["proposed"] == 0 and first["proposers"] == {}
    assert sum(second["proposers"].values()) == second["proposed"] > 0
    assert sum(second["refusals"].values()) == second["refused"]
    lived = store.trajectories(stage="g1/practise_1", purpose="practise")
    known = [t for t in lived if t.score.status is not Status.UNKNOWN]
    assert sum(g["known"] for g in first["groups"].values()) == len(known)
    passed = sum(t.score.status is Status.PASS for t in known)
    assert sum(g["clean"] for g in first["groups"].values()) == passed > 0
    assert second["selector"] and all(second["selector"].values())
    for name in second["proposers"]:
        assert f"{name.replace('_', ' ')}" in page
    assert "What the selector has learnt of each group" in page


STAGES = {
    "g2/curate": {
        "rows": 40,
        "counts": {"bare": 30, "with memory": 10},
        "dropped": {"score fail": 7, "duplicate": 2},
        "trajectories": ["t1", "t2", "t3"],
    },
    "g2/train": {
        "adapter": "abc123",
        "rows": 40,
        "seconds": 61.0,
        "metrics": {
            "losses": [[1, 2.0], [2, 1.5], [3, 0.25]],
            "rows_used": 38,
            "rows_cut": 2,
            "rows_masked": 0,
            "steps": 3,
            "steps_planned": 5,
            "tokens_per_second": 4321,
            "anchors_followed": {"rows": 8, "before": 0.04, "after": 0.061},
            "anchors_other": {"rows": 8, "before": 0.1, "after": 0.09},
        },
    },
    "g3/curate": {"rows": 0, "counts": {}, "dropped": {"score fail": 9}},
    "g3/train": {"adapter": None, "reason": "no verified success to train on", "rows": 0},
}


def test_a_training_is_told_with_rows_speed_and_what_it_forgot(tmp_path):
    first, second = trainings(STAGES)
    assert first["used"] == 3 and first["dropped"] == {"score fail": 7, "duplicate": 2}
    assert first["course"]["rows_cut"] == 2 and "losses" not in first["course"]
    assert second["course"] == second["anchors"] == {} and second["used"] == 0
    data = ReportData(title="Two turns", training=trainings(STAGES))
    text = write(tmp_path, data).html.read_text()
    for told in ("3 of 5", "4,321", "38 used", "2 too long", "3 gave rows", "7 score fail"):
        assert told in text
    for told in ("0.040 to 0.061", "0.100 to 0.090", "30 bare", "none: no verified success"):
        assert told in text
    assert "nothing to learn" not in text, "no rows were without"


def test_a_group_that_blocks_is_seen_without_opening_anything(tmp_path):
    figure = {"difference": -0.6, "interval": [-0.9, -0.3], "n": 12}
    groups = [{"name": "refund", "figure": figure, "level": 0.97, "blocks": True}]
    verdict = {
        "generation": "g1-b",
        "kind": "memory",
        "decision": "reject",
        "difference": 0.2,
        "interval": [0.1, 0.3],
        "n": 60,
        "reasons": ["refund is more than 10 points worse"],
        "groups": groups,
    }
    text = write(tmp_path, ReportData(title="Lost", verdicts=[verdict])).html.read_text()
    summary = re.search(r"<summary>(.*?)</summary>", text)
    assert summary and "1 blocked" in summary.group(1)
    assert 'class="span blocks"' in text and "-60.0" in text


def test_a_stage_from_before_all_this_was_kept_is_told_as_far_as_it_goes(tmp_path):
    old = {
        "g1/gate_memory": {
            "candidate": "g1-a",
            "verdict": {"decision": "promote", "n": 9, "reasons": ["better"], "sentence": "s"},
        },
        "g1/moult": {"reason": "no adapter is in use", "clusters": []},
        "g1/train": {"adapter": "abc", "rows": 3},
    }
    data = ReportData(
        title="Old", verdicts=verdicts(old), moults=moults(old), training=trainings(old)
    )
    text = write(tmp_path, data).html.read_text()
    assert "no adapter is in use" in text and "expected to be false" not in text
    assert "foreseen" not in text
