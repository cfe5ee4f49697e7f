"""The gate in the loop: looks, reuse, cost before and after, the life of a workspace, probes."""

from __future__ import annotations

import asyncio
import io
import json
import shutil

import pytest
from rich.console import Console

from instar._gate_cost import Cost, forecast
from instar._gate_reuse import conditions, decisions, known, reuse, shared
from instar._gating import measured
from instar._loop import Loop
from instar.compose import Workspace
from instar.config import load_config
from instar.evolve import evolve
from instar.progress import Progress

SMALL = [
    "train.trainer=off",
    "practise.web_share=0",
    "practise.foreign_share=0",
    "practise.tasks=24",
    "gate.tasks=40",
    "gate.probe_tasks=12",
    "report.tasks=4",
    "seed=3",
]


def config(folder, model, *more):
    place = f"workspace={json.dumps(str(folder))}"
    return load_config(None, [*SMALL, f"model.name={model}", place, *more])


async def _run(folder, model, progress):
    async with Workspace.open(config(folder, model)) as workspace:
        return await evolve(workspace, 1, progress)


def evolved(folder, model):
    told = io.StringIO()
    console = Console(file=told, width=400, soft_wrap=True)
    return asyncio.run(_run(folder, model, Progress(quiet=True, console=console))), told.getvalue()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return folder, *evolved(folder, "oracle_policy.Obedient")


@pytest.fixture
async def loop(good):
    async with Workspace.open(config(good[0], "oracle_policy.Obedient")) as workspace:
        yield Loop(workspace, Progress(quiet=True))


async def test_a_clear_gain_is_decided_before_all_pairs_are_measured(loop):
    kept = loop.store.stage("g1/gate_memory")
    verdict = kept["verdict"]
    assert (verdict["decision"], verdict["test"]) == ("promote", "spending")
    assert verdict["n"] < verdict["planned"] == 40
    assert len(kept["tasks"]) == verdict["n"]
    assert verdict["alpha"] < verdict["life"]["alpha"] == pytest.approx(0.025)


async def test_the_cost_is_that_of_the_episodes_that_were_run(loop):
    kept = loop.store.stage("g1/gate_memory")
    lived = [t for p in ("gate", "probe") for t in loop.store.trajectories(purpose=p)]
    cost = Cost.model_validate(kept["verdict"]["cost"])
    assert cost.episodes == kept["episodes"] == len(lived)
    assert cost.calls == kept["calls"] == sum(t.usage.calls for t in lived)
    assert cost.tokens == kept["tokens"] == sum(t.usage.tokens for t in lived)
    assert len(lived) == 2 * kept["verdict"]["n"] + 2 * 2 * 12


async def test_both_costs_and_the_bound_are_told(good):
    told = good[2]
    assert "g1/gate_memory: at most 128 episodes, " in told
    assert "if they are like those of g1/practise_2; 48 of them probes" in told
    assert "tokens, no price known" in told
    assert "gate 1 of this workspace, 1 promoted, of which at most 10% are expected" in told
    assert told.index("at most 128 episodes") < told.index("it took")


async def test_the_probes_are_on_record_and_nobody_learns_from_them(loop):
    found = loop.store.stage("g1/gate_memory")["verdict"]["probes"]
    assert [(p["name"], p["n"], p["candidate"]) for p in found] == [
        ("injection", 12, 0),
        ("shortcut", 12, 0),
    ]
    tempted = {t.id for t in loop.store.trajectories(purpose="probe")}
    assert tempted
    sources = {s for item in loop.store.items(None) for s in item.sources}
    assert not tempted & sources


async def test_what_is_there_already_counts_again_only_under_the_same_settings(loop, good):
    kept = loop.store.stage("g1/gate_memory")
    here = "g1/gate_adapter"
    assert shared(loop, here, kept["candidate"]) == shared(loop, here, kept["active"])
    assert shared(loop, here, kept["active"]) == kept["verdict"]["n"]
    assert reuse(loop, here, kept["tasks"])["tasks_of_this_turn"] == len(kept["tasks"])
    later = "g2/gate_memory"
    assert shared(loop, later, kept["candidate"]) == 0
    assert reuse(loop, later, [*kept["tasks"], "new"]) == {
        "tasks_of_this_turn": 0,
        "tasks_of_earlier_turns": len(kept["tasks"]),
    }
    assert {task for task, _ in known(loop, later, kept["candidate"])} == set(kept["tasks"])
    assert known(loop, later, "somebody else") == {}
    assert decisions(loop, later) == [True] and decisions(loop, "g1/gate_memory") == []
    other = config(good[0], "oracle_policy.Obedient", "agent.max_steps=3")
    async with Workspace.open(other) as workspace:
        changed = Loop(workspace, Progress(quiet=True))
        assert conditions(changed) != conditions(loop)
        assert known(changed, later, kept["candidate"]) == {}
        assert shared(changed, here, kept["candidate"]) == 0


async def test_a_gate_that_goes_on_under_other_settings_measures_anew(good, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(good[0], folder)
    other = config(folder, "oracle_policy.Obedient", "agent.max_steps=1")
    async with Workspace.open(other) as workspace:
        loop = Loop(workspace, Progress(quiet=True))
        kept = loop.store.stage("g1/gate_memory")
        await measured(loop, "g1/gate_adapter", kept["candidate"], kept["active"])
        for id in (kept["candidate"], kept["active"]):
            stages = [f"g1/gate/{id}/{c}" for c in (kept["conditions"], conditions(loop))]
            before, now = (loop.store.trajectories(stage=s) for s in stages)
            assert max(len(t.steps) for t in before) > 1 >= max(len(t.steps) for t in now)


async def test_a_generation_that_gives_in_more_often_is_rejected(tmp_path):
    found, _ = await asyncio.to_thread(evolved, tmp_path, "tempted_policy.Spoilt")
    (candidate,) = (g for g in found["generations"] if g["seq"] == 1)
    assert candidate["status"] == "rejected" and found["active"].startswith("g0-")
    verdict = candidate["verdict"]
    assert verdict["decision"] == "reject" and verdict["life"]["promotions"] == 0
    assert verdict["sentence"].startswith("Rejected: shortcut: gave in ")
    assert {p["name"]: p["blocks"] for p in verdict["probes"]} == {
        "injection": False,
        "shortcut": True,
    }


def test_a_forecast_scales_the_latest_stage_of_its_sort():
    kept = {"episodes": 10, "calls": 40, "tokens": 5_000, "usd": 0.2}
    stages = {"g1/practise_1": kept | {"calls": 1}, "g1/gate_memory": kept, "g1/train": {}}
    cost, like = forecast(stages, 25)
    assert like == "g1/gate_memory"
    assert str(cost) == "25 episodes, 100 calls, 12,500 tokens, $0.50"
    assert forecast({"g1/train": {}}, 5) is None
