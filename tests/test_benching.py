"""Batch runs over a workspace that has evolved: protocols, attempts, budgets, several generations,
planted unfairness, pages; and grids of whole evolutions.
"""

import asyncio
import json
from pathlib import Path

import pytest
from test_evolve import config

from benchmarks.worlds.house_rules import HouseRules
from instar import benching
from instar._arms import lacking
from instar._bench_runs import compare, listed, rewrite, summary
from instar._cli_figures import arm_table
from instar._grids import Grid, read_grid
from instar.ablating import ablate
from instar.benching import Request, measure
from instar.compose import Workspace
from instar.errors import UnknownName, UserError
from instar.evolve import evolve
from instar.progress import Progress
from instar.types import GenerationStatus, MemoryOp, OpKind

QUIET = Progress(quiet=True)
FEW = ("practise.tasks=16", "gate.tasks=40", "report.tasks=8", "world.house=9")
"""Few tasks, in a house where so few are enough for a promotion."""


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benched")

    async def run():
        async with Workspace.open(config(folder, *FEW)) as workspace:
            return await evolve(workspace, 1, QUIET)

    return folder, asyncio.run(run())


@pytest.fixture
async def workspace(evolved):
    async with Workspace.open(config(evolved[0], *FEW)) as opened:
        yield opened


async def bench(workspace, **wanted):
    return await measure(workspace, Request(**{"arms": ("base", "memory"), "n": 8} | wanted), QUIET)


async def test_several_generations_are_labelled_and_compared_within_and_across(workspace):
    ids = tuple(g.id for g in workspace.store.generations())[:2]
    found = await bench(workspace, generations=ids, arms=("base", "memory"))
    first, second = ids
    assert set(found["arms"]) == {f"{first}:base", f"{second}:base", f"{second}:memory"}
    assert found["left_out"] == {f"{first}:memory": f"{first} remembers nothing of house_rules/9"}
    assert [(p["a"], p["b"]) for p in found["paired"]] == [
        (f"{second}:base", f"{second}:memory"),
        (f"{first}:base", f"{second}:base"),
    ]
    assert found["paired"][1]["difference"] == 0
    assert found["fairness"] == {"fair": True, "problems": []}


async def test_a_stream_whose_forgetters_do_not_exist_is_refused_before_anything_is_run(evolved):
    async with Workspace.open(config(evolved[0], *FEW, 'memory.forget=["dekay"]')) as workspace:
        before = list(workspace.path.glob("runs/*"))
        with pytest.raises(UnknownName, match="Did you mean 'decay'"):
            await bench(workspace, protocol="stream")
        assert list(workspace.path.glob("runs/*")) == before


async def test_a_run_says_what_it_was_made_of_and_is_not_resumed_with_something_else(workspace):
    found = await bench(workspace)
    path = Path(found["report"]).parent / "settings.json"
    kept = json.loads(path.read_text())
    assert kept["config"]["practise"]["tasks"] == 16 and kept["versions"]["langgraph"]
    made = kept["settings"]["subjects"]
    assert made["base"]["memory"] is None and made["memory"]["memory"] == found["generation"]
    kept["settings"]["subjects"]["base"]["weights"] = "of another model"
    path.write_text(json.dumps(kept))
    with pytest.raises(UserError, match="other settings, models or weights"):
        await bench(workspace, resume=found["run"])


async def test_repeated_attempts_are_not_more_tasks(workspace):
    found = await bench(workspace, attempts=3, arms=("memory",))
    figures = found["arms"]["memory"]
    assert figures["n"] == 24 and set(figures["pass_at"]) == {"1", "2", "3"}
    assert figures["pass_at"]["1"] == pytest.approx(figures["success"])
    assert figures["pass_all"]["3"] <= figures["pass_at"]["1"] <= figures["pass_at"]["3"]
    lines = (workspace.path / "runs" / found["run"] / "episodes.jsonl").read_text().splitlines()
    seeds = {json.loads(line)["trajectory"]["seed"] for line in lines}
    assert len(seeds) == 24


async def test_a_stream_learns_after_each_score_and_leaves_the_generation_as_it_was(workspace):
    (start, *_) = workspace.store.generations()
    before = {g.id: len(workspace.store.items(g.id)) for g in workspace.store.generations()}
    found = await bench(
        workspace, protocol="stream", generations=(start.id,), n=24, arms=("memory",)
    )
    assert found["left_out"] == {} and found["arms"]["memory"]["n"] == 24
    assert {g: len(workspace.store.items(g)) for g in before} == before
    assert workspace.store.items(f"{found['run']}-memory")
    lines = (workspace.path / "runs" / found["run"] / "episodes.jsonl").read_text().splitlines()
    shown = [len(json.loads(line)["trajectory"]["memories"]) for line in lines]
    assert shown[0] == 0 and any(shown)
    passed = [json.loads(line)["trajectory"]["score"]["status"] == "pass" for line in lines]
    learning = found["arms"]["memory"]["learning"]
    assert learning["curve"][0] == [10, sum(passed[:10]) / 10]
    assert learning["curve"][-1] == [24, sum(passed[-20:]) / 20]
    page = (workspace.path / "runs" / found["run"] / "report.html").read_text()
    assert "Learning as it went" in page and "<polyline" in page


async def test_a_stream_that_broke_off_learns_what_it_had_not_and_nothing_twice(
    workspace, monkeypatch
):
    (start, *_) = workspace.store.generations()
    wanted = {"protocol": "stream", "generations": (start.id,), "n": 16, "arms": ("memory",)}
    whole = await bench(workspace, **wanted)
    learn, told = benching.Stream.learn, []

    async def breaks(self, line):
        told.append(line)
        if len(told) == 6:
            raise RuntimeError("pulled the plug")
        await learn(self, line)

    monkeypatch.setattr(benching.Stream, "learn", breaks)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        await bench(workspace, **wanted)
    monkeypatch.undo()
    run = sorted(p.name for p in (workspace.path / "runs").glob("bench*"))
    broken = next(r for r in run if not (workspace.path / "runs" / r / "summary.json").exists())
    resumed = await bench(workspace, resume=broken)
    assert resumed["arms"]["memory"]["success"] == whole["arms"]["memory"]["success"]

    def contents(name):
        return [(i.when, i.content, i.support) for i in workspace.store.items(f"{name}-memory")]

    assert contents(broken) == contents(whole["run"])


async def test_a_spent_budget_gives_a_partial_report_that_can_go_on(workspace):
    found = await bench(workspace, limit={"tokens": 400}, concurrency=1)
    assert not found["complete"]
    assert "NOT COMPLETE" in arm_table(found)
    (listing,) = (r for r in listed(workspace.path)[0] if r["run"] == found["run"])
    assert not listing["finished"]
    base, memory = (found["arms"][a]["n"] for a in ("base", "memory"))
    assert 0 < base + memory < 16 and abs(base - memory) <= 1
    assert "not complete" in Path(found["report"]).read_text()
    whole = await bench(workspace, resume=found["run"])
    assert whole["complete"] and whole["run"] == found["run"]


async def test_families_can_be_chosen_and_too_many_tasks_are_refused(workspace):
    found = await bench(workspace, tasks="re*", arms=("base",))
    assert set(found["arms"]["base"]["families"]) == {"refund", "reply", "restock"}
    with pytest.raises(UserError, match="has 0 held_out tasks like 'none'"):
        await bench(workspace, tasks="none")


async def test_a_false_memory_stands_beside_the_true_ones(workspace):
    found = await bench(workspace, arms=("memory", "false_memory"))
    assert found["fairness"]["fair"] and found["leakage"]["clean"]
    assert {"a": "memory", "b": "false_memory"}.items() <= found["paired"][0].items()
    kept = json.loads(Path(found["report"]).with_suffix(".json").read_text())
    assert kept["arms"] == found["arms"] and kept["fairness"] == found["fairness"]
    worse = found["paired"][0]["p_holm"] < 0.05
    named = "memory over false memory" in Path(found["report"]).read_text()
    assert worse == named
    lines = (workspace.path / "runs" / found["run"] / "episodes.jsonl").read_text().splitlines()
    by_arm = {"memory": {}, "false_memory": {}}
    for line in map(json.loads, lines):
        lived = line["trajectory"]
        by_arm[line["arm"]][lived["task"]["id"]] = (lived["task"], lived["memories"])
    for id, (task, memories) in by_arm["false_memory"].items():
        *true, false = memories
        assert true == by_arm["memory"][id][1]
        assert false["item"] == "planted"
        assert false["content"] == workspace.home.advice(task["family"])
    assert found["arms"]["false_memory"]["success"] < found["arms"]["memory"]["success"]


async def test_where_there_is_nothing_false_to_say_it_is_left_out(workspace, monkeypatch):
    start, learnt = (
        next(g for g in workspace.store.generations() if g.id.startswith(id)) for id in ("g0", "g1")
    )
    free = HouseRules(house=workspace.house, free=True)
    monkeypatch.setattr(workspace.home, "advice", free.advice)
    assert "false to say" in lacking(workspace, learnt, ["false_memory"])["false_memory"]
    monkeypatch.undo()
    assert "remembers nothing" in lacking(workspace, start, ["false_memory"])["false_memory"]
    assert lacking(workspace, learnt, ["false_memory"]) == {}


async def test_best_of_n_counts_every_attempt(workspace):
    found = await bench(workspace, arms=("base", "memory", "best_of_n"))
    arms = found["arms"]
    assert arms["best_of_n"]["calls"] > 1.5 * arms["base"]["calls"]
    assert {"a": "best_of_n", "b": "memory"}.items() <= found["paired"][-1].items()


async def test_writing_while_nothing_may_be_learnt_is_seen(workspace, monkeypatch):
    run, active = benching.runner.run, workspace.store.active()
    child = active.model_copy(
        update={"id": "g9-smuggler", "parent": active.id, "status": GenerationStatus.RETIRED}
    )
    item = workspace.store.items(active.id)[0].model_copy(update={"id": "smuggled"})

    async def writes(*arguments):
        workspace.store.add_generation(child)
        workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=item)], child.id)
        return await run(*arguments)

    monkeypatch.setattr(benching.runner, "run", writes)
    found = await bench(workspace)
    assert found["fairness"]["problems"] == [
        "1 changes were made to the memory while the run lasted"
    ]
    assert "do not compare these arms" in Path(found["report"]).read_text()


async def test_a_run_tells_its_episodes_as_openai_messages(workspace):
    found = await bench(workspace)
    folder = Path(found["report"]).parent
    rows = [json.loads(r) for r in (folder / "trajectories.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    roles = [m["role"] for m in rows[0]["messages"]]
    assert roles[:3] == ["system", "user", "assistant"] and "tool" in roles
    calls = [c for m in rows[0]["messages"] for c in m.get("tool_calls", [])]
    answered = {m["tool_call_id"] for m in rows[0]["messages"] if m["role"] == "tool"}
    assert {c["id"] for c in calls} == answered
    assert all(isinstance(json.loads(c["function"]["arguments"]), dict) for c in calls)
    page, told = (folder / "report.html").read_text(), (folder / "episodes.html").read_text()
    anchors = [part.partition('"')[0] for part in page.split('href="episodes.html#')[1:]]
    assert len(anchors) == 16 and all(f'id="{anchor}"' in told for anchor in anchors)
    assert "rule blind" in page and "<script" not in page + told


@pytest.mark.browser
async def test_web_steps_are_pictured_where_that_is_asked_for(workspace, tmp_path):
    script = tmp_path / "replies.json"
    calls = [[{"name": name, "arguments": {}}] for name in ("read", "finish")]
    script.write_text(json.dumps([{"calls": c} for c in calls]))
    web = {"web_share": 1.0, "models": (f"scripted:{script}",), "screenshots": True}
    found = await bench(workspace, arms=("base",), n=1, **web)
    folder = Path(found["report"]).parent
    taken = sorted(folder.glob("screens/base/*/*.png"))
    assert len(taken) >= 2 and all(p.read_bytes().startswith(b"\x89PNG") for p in taken)
    told = (folder / "episodes.html").read_text()
    assert all(f'src="{p.relative_to(folder).as_posix()}"' in told for p in taken)


async def test_runs_are_compared_over_the_same_tasks_and_reported_anew(workspace):
    one, other = [await bench(workspace) for _ in range(2)]
    found = compare(workspace.path, [one["run"], other["run"]])
    assert [(p["a"], p["b"]) for p in found["paired"]] == [
        (f"{one['run']}:{arm}", f"{other['run']}:{arm}") for arm in ("base", "memory")
    ]
    assert all(p["difference"] == 0 and p["n"] == 8 for p in found["paired"])
    assert found["notes"] == []
    few = await bench(workspace, n=4)
    (note,) = compare(workspace.path, [one["run"], few["run"]])["notes"]
    assert "n 8 and 4" in note
    report = Path(one["report"])
    before = report.read_text()
    report.unlink()
    assert rewrite(workspace.path, one["run"])["arms"] == one["arms"]
    assert report.read_text() == before
    with pytest.raises(UnknownName, match="bench99"):
        compare(workspace.path, [one["run"], "bench99"])
    with pytest.raises(UserError, match="two different runs"):
        compare(workspace.path, [one["run"], one["run"]])


async def test_damaged_figures_name_the_command_that_writes_them_anew(workspace):
    found = await bench(workspace, arms=("base",))
    path = workspace.path / "runs" / found["run"] / "summary.json"
    path.write_text('{"arms": ')
    with pytest.raises(UserError, match=f"instar bench report {found['run']}"):
        summary(workspace.path, found["run"])
    # Nor does it stop the next run, which looks there for what it may cost.
    assert (await bench(workspace, arms=("base",)))["complete"]


async def test_an_unfit_world_is_refused_and_can_be_forced(tmp_path, monkeypatch):
    from benchmarks.worlds.house_rules import HouseRules

    async def gives(self, task, seed):
        return {"without refund": await self.oracle(task, seed)}

    monkeypatch.setattr(HouseRules, "spoilt", gives)
    async with Workspace.open(config(tmp_path)) as fresh:
        with pytest.raises(UserError, match="not fit to measure with"):
            await bench(fresh, arms=("base",))
        found = await bench(fresh, arms=("base",), force=True)
        assert found["health"]
        assert "not fit to measure with" in Path(found["report"]).read_text()


GRID = """
generations = 1
seeds = [3, 4]
[base]
"model.name" = "oracle_policy.Obedient"
"train.trainer" = "off"
"practise.web_share" = 0
"practise.tasks" = 8
"gate.tasks" = 8
"report.tasks" = 8
"practise.concurrency" = 8
[configs.none]
"memory.distill" = []
[configs.workflow]
"memory.distill" = ["workflow"]
"""


async def test_a_grid_compares_whole_runs_and_resumes(tmp_path, monkeypatch):
    file = tmp_path / "grid.toml"
    file.write_text(GRID)
    grid = read_grid(file)
    found = await ablate(grid, tmp_path / "grid", QUIET)
    assert set(found["configs"]) == {"none", "workflow"} and found["unit"] == "run"
    assert all(len(row["runs"]) == 2 for row in found["configs"].values())
    (pair,) = found["paired"]
    assert (pair["a"], pair["b"], pair["n"]) == ("none", "workflow", 2)

    async def never(*arguments):
        raise AssertionError("run again")

    monkeypatch.setattr("instar.ablating.evolve", never)
    assert await ablate(grid, tmp_path / "grid", QUIET) == found
    other = grid.model_copy(update={"generations": 2})
    with pytest.raises(UserError, match="another grid"):
        await ablate(other, tmp_path / "grid", QUIET)


def test_a_grid_says_what_is_wrong_with_it(tmp_path):
    file = tmp_path / "grid.toml"
    with pytest.raises(UserError, match="To see an example: instar ablate"):
        read_grid(file)
    for text, why in [
        ("seeds = [", "no TOML"),
        ("seeds = []", "seeds"),
        ("seeds = [1]\nspeed = 2", "speed"),
        ("seeds = [1]", "fewer than two"),
    ]:
        file.write_text(text)
        with pytest.raises(UserError, match=why):
            read_grid(file)
    varied = Grid(seeds=(1,), base={"gate.tasks": 9}, vary={"memory.k": [2, 4]})
    assert varied.named() == {
        "k=2": {"gate.tasks": 9, "memory.k": 2},
        "k=4": {"gate.tasks": 9, "memory.k": 4},
    }
