"""The moult: which memories an adapter has made needless, what serves then, and what comes back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from stores import generation

from finetune.moult import weigh
from instar._gating import _jobs
from instar._loop import Loop
from instar._moulting import _tasks
from instar._reflecting import distil
from instar._report_loop import ledger, moults
from instar._returning import came_back, still_shed
from instar.benching import Request, measure
from instar.compose import Workspace
from instar.config import load_config
from instar.evolve import evolve
from instar.progress import Progress
from instar.store import Store
from instar.types import (
    GenerationStatus,
    MemoryItem,
    MemoryOp,
    MemoryStatus,
    OpKind,
    Score,
    Split,
    Status,
)

QUIET = Progress(quiet=True)
BOTH, LOST, WON, NEITHER = (True, True), (True, False), (False, True), (False, False)


@pytest.mark.parametrize(
    ("pairs", "decision", "says"),
    [
        ([BOTH] * 12, "internalised", "less than 10 points worse"),
        ([BOTH] * 10 + [WON] * 2, "internalised", "less than 10 points worse"),
        ([BOTH] * 10 + [LOST] * 2, "kept", "not shown"),
        ([LOST] * 12, "kept", "no task went clean"),
        ([NEITHER] * 12, "internalised", "with them or without"),
        ([NEITHER] * 11 + [LOST], "kept", "no task went clean"),
        ([BOTH] * 5, "kept", "only 5 of 6"),
        ([BOTH] * 5 + [(None, True)] * 9, "kept", "only 5 of 6"),
    ],
)
def test_a_group_is_shed_where_success_is_surely_no_worse(pairs, decision, says):
    found = weigh("refund", ["m1"], pairs)
    assert (found.decision, found.items) == (decision, ("m1",))
    assert says in found.reason


def test_a_group_that_is_ten_points_worse_is_seldom_shed():
    import random

    rng = random.Random(0)
    shed = 0
    for _ in range(300):
        pairs = [(a, a and rng.random() >= 0.15) for a in (rng.random() < 0.7 for _ in range(12))]
        shed += weigh("refund", ["m1"], pairs).decision == "internalised"
    assert shed / 300 < 0.35


@pytest.mark.parametrize(("tasks", "groups", "each"), [(104, 13, 8), (72, 12, 6), (4, 1, 6)])
async def test_a_group_has_enough_tasks_or_waits(tmp_path, tasks, groups, each):
    async with Workspace.open(config(tmp_path / "w", f"moult.tasks={tasks}")) as workspace:
        names = {t.group for t in workspace.home.tasks(Split.PRACTISE, 400, 0)}
        assert len(names) == 13
        loop = Loop(workspace, QUIET)
        tried = [_tasks(loop, f"g{turn}/moult", dict.fromkeys(sorted(names))) for turn in range(4)]
        for found in tried:
            assert [len(of) for of in found.values()] == [each] * groups
        if groups < 13:
            assert len({tuple(found) for found in tried}) > 1, "others wait in another turn"


def config(folder: Path, *more: str):
    small = [
        "model.name=rote_policy.Rote",
        "train.trainer=rote_policy.RoteTrainer",
        "practise.web_share=0",
        "practise.foreign_share=0",
        "practise.tasks=40",
        "gate.tasks=72",
        "moult.tasks=90",
        "curriculum.select=sec",
        "report.tasks=12",
        "seed=3",
    ]
    return load_config(None, [*small, f"workspace={json.dumps(str(folder))}", *more])


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moult")
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").write_text("weights")
    with pytest.MonkeyPatch.context() as patch:
        import rote_policy

        patch.setattr(rote_policy.Rote, "folder", model)

        async def run():
            async with Workspace.open(config(folder / "w")) as workspace:
                return await evolve(workspace, 1, QUIET)

        yield folder / "w", asyncio.run(run())


@pytest.fixture
async def workspace(evolved):
    async with Workspace.open(config(evolved[0])) as opened:
        yield opened


async def test_what_the_adapter_knows_is_shed_and_the_rest_is_kept(workspace):
    store = workspace.store
    told, gate = store.stage("g1/moult"), store.stage("g1/gate_moult")
    assert store.stage("g1/gate_adapter")["verdict"]["decision"] == "undecided", "it adds nothing"
    clusters = {c["name"]: c for c in told["clusters"]}
    shed = {n for n, c in clusters.items() if c["decision"] == "internalised"}
    assert shed and shed < clusters.keys()
    assert all(clusters[n]["shed_clean"] >= clusters[n]["kept_clean"] for n in shed)
    assert any(c["kept_clean"] - c["shed_clean"] > 0.5 for c in clusters.values()), "one it needs"
    assert gate["verdict"]["decision"] == "promote", "what the adapter does pays by what is shed"
    assert "fewer tokens" in gate["verdict"]["sentence"]
    active = store.active()
    assert active.id == told["candidate"] and active.adapter
    assert {i.group for i in store.internalised(active.id)} == shed
    assert not shed & {i.group for i in store.items(active.id)}
    statuses = {g.id: g.status for g in store.generations()}
    assert statuses[active.parent] is GenerationStatus.RETIRED


async def test_at_the_gate_it_gets_more_tasks_after_those_of_the_other_candidates(workspace):
    jobs = {
        n: [job.task.id for job in _jobs(Loop(workspace, QUIET), "g1/gate_moult", n)]
        for n in (1, 3)
    }
    assert len(jobs[1]) == 72 and len(set(jobs[3])) == 3 * 72
    assert jobs[3][:72] == jobs[1], "what serves has done those already"
    verdicts = {
        name: workspace.store.stage(f"g1/gate_{name}")["verdict"] for name in ("memory", "moult")
    }
    assert (verdicts["memory"]["planned"], verdicts["moult"]["planned"]) == (72, 3 * 72)
    assert workspace.store.stage("g1/gate_moult")["tasks"] == jobs[3][: verdicts["moult"]["n"]]


async def test_the_report_tells_what_became_of_each_group(workspace, evolved):
    store = workspace.store
    (told,), stage = moults(store.stages("g")), store.stage("g1/moult")
    sizes = {True: 0, False: 0}
    for cluster in stage["clusters"]:
        sizes[cluster["decision"] == "internalised"] += len(cluster["items"])
    assert told["internalised"] == sizes[True] > 0
    assert told["kept"] == sizes[False] > 0
    assert told["decision"] == store.stage("g1/gate_moult")["verdict"]["decision"]
    counts = ledger(store, stage["candidate"])
    assert counts["internalised"] == told["internalised"]
    assert counts["shown"] == len(store.items(stage["candidate"]))
    first = store.ancestry(stage["candidate"])[-1]
    assert ledger(store, first) == {"shown": 0, "internalised": 0, "retired": 0}
    (page,) = (evolved[0] / "runs").glob("*-report/report.html")
    text = page.read_text()
    before, after = told["lighter"]
    assert before > after > 0
    for one, other in ((before, after), tuple(told["tokens"].values())):
        assert f"{one:,.0f} to {other:,.0f}" in text
    drawn = [c for c in stage["clusters"] if c["n"]]
    assert text.count('class="hollow"') == len(drawn)
    assert f"<b>{counts['internalised']}</b> are shed" in text


async def test_moulted_is_measured_beside_both(workspace):
    wanted = Request(arms=("memory", "both", "moulted"), n=24, web_share=0.0)
    arms = (await measure(workspace, wanted, QUIET))["arms"]
    assert arms["moulted"]["success"] >= arms["both"]["success"] - 0.05
    assert arms["moulted"]["tokens"] < arms["both"]["tokens"]
    assert arms["memory"]["success"] == arms["both"]["success"], "memory shows what was shed too"


async def test_what_was_shed_comes_back_where_practice_falls_off(workspace):
    store, active = workspace.store, workspace.store.active()
    shed = store.internalised(active.id)
    lived = [t for t in store.trajectories(stage="g1/practise_2") if t.purpose == "practise"]
    groups = sorted({i.group for i in shed} & {t.task.group for t in lived})
    store.add_generation(generation("g2", active.id))
    loop = Loop(workspace, QUIET)
    assert came_back(loop, "g2/as_before", lived, "g2") == 0
    lost = Score(status=Status.FAIL, value=0.0)
    fell = [t.model_copy(update={"score": lost}) for t in lived for _ in range(3)]
    assert came_back(loop, "g2/fell", fell, "g2") > 0
    back = [i for i in store.items("g2") if i.generation == "g2"]
    assert {i.group for i in back} <= set(groups)
    assert {i.status for i in back} == {MemoryStatus.CANDIDATE}
    assert came_back(loop, "g2/fell", fell, "g2") == 0, "done once"
    assert store.internalised(active.id) == shed, "what serves now is as it was"


async def test_what_was_shed_is_not_learnt_again_from_the_next_success(workspace):
    store, active = workspace.store, workspace.store.active()
    known = [c for c in store.stage("g1/moult")["clusters"] if c["shed_clean"]]
    shed = {i for c in known if c["decision"] == "internalised" for i in c["items"]}
    lived = store.trajectories(purpose="practise")
    store.add_generation(generation("g3", active.id))
    await distil(Loop(workspace, QUIET), "g3/reflect_1/workflow", "workflow", lived, "g3", "none")
    assert not shed & {i.id for i in store.items("g3")}
    assert shed <= {i.id for i in store.internalised("g3")}
    store.add_generation(generation("g0", None))
    again = await distil(Loop(workspace, QUIET), "g0/r/workflow", "workflow", lived, "g0", "none")
    assert shed & {op["item"]["id"] for op in again["ops"]}, "which it would have been"


def test_what_helped_nobody_may_be_learnt_again(tmp_path):
    with Store.open(tmp_path / "instar.db") as store:
        store.add_generation(generation("g1", status="active"))
        items = [
            MemoryItem(id=i, title="", when=i, content=i, kind="lesson", namespace="n")
            for i in ("idle", "learnt", "other")
        ]
        ops = [MemoryOp(kind=OpKind.ADD, item=i) for i in items]
        store.apply(ops, "g1", {})
        clusters = [
            {"items": ["idle"], "shed_clean": 0.0},
            {"items": ["learnt"], "shed_clean": 0.5},
        ]
        store.finish_stage("g1/moult", {"clusters": clusters})
        status = {"status": MemoryStatus.INTERNALISED}
        store.apply(
            [
                MemoryOp(kind=OpKind.EDIT, target=i.id, item=i.model_copy(update=status))
                for i in items[:2]
            ],
            "g1",
            {},
        )
        assert [op.item.id for op in still_shed(store, "g1", ops)] == ["idle", "other"]
