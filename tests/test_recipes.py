"""The recipes: published methods as settings, run with a scripted model, and what is said of them.

Those of memory run on a stream: one episode is judged, then written up, by the same script, so its
answers alternate. Those that train run through the loop as far as a model without weights goes.
"""

import json
import re
from pathlib import Path

import pytest
from test_distill import dry, polished
from test_distill_model import Heard, answer, made

from benchmarks.runner import read_lines
from instar import plugins
from instar._bench_runs import rewrite
from instar._loop import Loop
from instar._methods import build
from instar._streaming import Stream
from instar.answers import answer_lines, last_answers
from instar.benching import Request, measure
from instar.compose import Workspace
from instar.config import keys, load_config
from instar.errors import ConfigError, UnknownName
from instar.progress import Progress
from instar.types import MemoryKind
from memory.distill.reasoning import Reasoning

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
QUIET = Progress(quiet=True)

LOOK = {"title": "Look first", "when": "refund order $1", "content": "Look at order $1 first."}
ASK = {"title": "Ask", "when": "any request", "content": "Ask whoever knows."}
TURN = {
    "title": "Ask around",
    "when": "hear what $person and others say",
    "calls": 'become $person\nbecome "ann"',
}
PASS, FAIL, DOUBT = (f"So it looks.\nverdict: {v}" for v in ("pass", "fail", "unknown"))


def config(recipe, *options):
    path = ROOT / "recipes" / f"{recipe}.toml"
    return load_config(overrides=[f"preset={path}", *options])


def scripted(folder, name, *replies):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(replies))
    return f"scripted:{path}"


def asks(*people):
    calls = [[{"name": "become", "arguments": {"person": p}}] for p in people]
    return [{"calls": c} for c in (*calls, [{"name": "finish", "arguments": {"answer": "ok"}}])]


@pytest.fixture
async def opened(tmp_path):
    """Opens a workspace with a recipe; its agent asks two people each time, and is never right."""
    held = []

    async def begin(recipe, *answers, **more):
        options = [
            f"workspace={json.dumps(str(tmp_path / recipe))}",
            f"model.name={scripted(tmp_path, 'agent', *asks('kim', 'ann'))}",
            f"memory.model={scripted(tmp_path, 'writer', *answers)}",
            *(f"{key.replace('__', '.')}={value}" for key, value in more.items()),
        ]
        workspace = Workspace.open(config(recipe, *options))
        held.append(workspace)
        return workspace

    yield begin
    for workspace in held:
        await workspace.close()


async def stream(workspace, n=4):
    """Trajectories of a stream of one arm, and what it wrote."""
    wanted = Request(protocol="stream", arms=("memory",), n=n, web_share=0.0)
    run = (await measure(workspace, wanted, QUIET))["run"]
    lines = (workspace.path / "runs" / run / "episodes.jsonl").read_text().splitlines()
    lived = [json.loads(line)["trajectory"] for line in lines]
    return lived, workspace.store.items(f"{run}-memory"), run


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_loads_and_all_it_names_exists(path):
    made_of = load_config(overrides=[f"preset={path}"])
    assert made_of.preset == str(path)
    memory = made_of.memory
    named = {("memory.distill", name) for name in memory.distill}
    named |= {("memory.forget", name) for name in memory.forget}
    named |= {("agent.verify", memory.judge)} if memory.judge else set()
    named |= {("curriculum.propose", name) for name in made_of.curriculum.propose}
    named |= {("curriculum.select", made_of.curriculum.select)}
    named |= {("finetune.curate", made_of.train.curator), ("finetune.train", made_of.train.trainer)}
    for kind, name in named:
        build(kind, name, made_of)
    assert set(made_of.methods) <= {name for _, name in named}, (
        "settings of methods that are unused"
    )


def test_a_preset_of_ones_own_is_a_path_and_a_wrong_one_says_what_there_is(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text("[memory]\nk = 9\n")
    assert load_config(overrides=[f"preset={mine}"]).memory.k == 9
    assert load_config(overrides=["memory.k=2", f"preset={mine}"]).memory.k == 2
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read.*pocket") as caught:
        load_config(overrides=[f"preset={tmp_path / 'none.toml'}"])
    assert "instar init" not in str(caught.value)
    mine.write_text("[memory]\nkk = 9\n")
    with pytest.raises(ConfigError, match=r"'memory\.kk' in .*mine\.toml"):
        load_config(overrides=[f"preset={mine}"])
    with pytest.raises(UnknownName, match=r"ends in \.toml"):
        load_config(overrides=["preset=mine"])


async def test_reasoningbank_recalls_all_memories_of_the_one_nearest_episode(opened):
    workspace = await opened("reasoningbank", PASS, answer(LOOK, ASK))
    lived, items, _ = await stream(workspace)
    assert [len(t["memories"]) for t in lived] == [0, 1, 1, 1], "one episode, however unlike"
    assert [i.when for i in items] == [t["task"]["instruction"] for t in lived], "append-only"
    for before, task in enumerate(lived[1:], 1):
        (recalled,) = task["memories"]
        assert recalled["when"] in [t["task"]["instruction"] for t in lived[:before]]
        assert recalled["content"] == (
            "Look first (refund order $1): Look at order $1 first.; Ask (any request): Ask whoever"
            " knows."
        )


async def test_awm_shows_what_judged_successes_taught_in_every_later_task(opened):
    workspace = await opened("awm_online", FAIL, PASS, answer(TURN), PASS, answer(), DOUBT)
    lived, (item,), _ = await stream(workspace)
    assert [len(t["memories"]) for t in lived] == [0, 0, 1, 1]
    assert {t["score"]["status"] for t in lived} == {"fail"}, "the world goes on counting"
    assert (item.kind, item.support) == (MemoryKind.PRINCIPLE, 0)
    assert item.sources == (lived[1]["id"],)
    assert lived[3]["memories"][0]["content"] == 'become $person; become "ann"'


async def test_a_run_says_how_many_answers_of_the_model_were_of_use(opened):
    workspace = await opened("reasoningbank", PASS, answer(LOOK, ASK), PASS, {"text": "Nothing?"})
    _, _, run = await stream(workspace)
    told = "reasoning kept 2 of 4 answers of the model; dropped: 2 not one fenced list at the end."
    folder = workspace.path / "runs" / run
    assert told in (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    rewrite(workspace.path, run)
    assert told in (folder / "report.html").read_text()


def test_counts_of_answers_are_those_after_the_last_reflection():
    def counts(asked, **refused):
        return {"asked": asked, "parsed": asked - sum(refused.values()), "refused": refused}

    stages = {
        "g1/reflect_1": {"answers": {"reasoning": counts(3)}},
        "g1/practise_1": {"answers": {"reasoning": counts(99)}},
        "g2/reflect_1": {"answers": {"reasoning": counts(7, form=1, length=2), "rules": counts(0)}},
        "g2/reflect_2": {},
    }
    assert answer_lines(last_answers(stages)) == [
        "reasoning kept 4 of 7 answers of the model; dropped: 1 form, 2 length."
    ]


async def test_without_a_judge_a_stream_goes_by_the_worlds_score(opened):
    workspace = await opened("awm_online", answer(TURN), memory__judge="none")
    _, items, run = await stream(workspace, n=2)
    assert items == [] and workspace.store.stages(f"{run}/memory")
    assert workspace.model(workspace.config.memory.model).client().played == 0


async def test_a_verdict_is_asked_for_once_and_answers_are_counted(opened):
    workspace = await opened("reasoningbank", PASS, "No idea.", DOUBT)
    before = await stream(workspace, n=3)
    run = before[2]
    asked = workspace.model(workspace.config.memory.model).client()
    assert asked.played == 5, "an episode in doubt teaches nothing"
    loop = Loop(workspace, QUIET)
    (kept,) = [g for g in workspace.store.generations() if g.id == f"{run}-memory"]
    again = Stream(loop, run, "memory", kept)
    folder = workspace.path / "runs" / run
    await again.catch_up(read_lines(folder))
    assert asked.played == 5
    counts = again.answers()["reasoning"]
    assert (counts["asked"], counts["parsed"]) == (2, 0)
    assert counts["refused"] == {"not one fenced list at the end": 2}


async def test_a_judge_that_does_not_exist_is_refused_before_any_work(opened):
    workspace = await opened("awm_online", PASS, memory__judge="jury")
    with pytest.raises(UnknownName, match=r"jury.*judge"):
        await stream(workspace)
    assert not list((workspace.path / "runs").glob("*/episodes.jsonl"))


async def test_memories_of_an_episode_are_one_item_found_by_its_task():
    whole = Reasoning(Reasoning.Config(experience=True))
    (good,) = await made(whole, [answer(LOOK, ASK)], [polished("l1")])
    assert (good.title, good.when) == ("polish lamp l1", "polish lamp l1")
    assert good.content.count("(") == 2 and (good.polarity, good.support) == (1, 1)
    (bad,) = await made(whole, [answer(LOOK)], [dry("l2")], [])
    assert (bad.when, bad.polarity) == ("polish lamp l2", -1)
    assert await made(whole, [answer()], [polished("l3")]) == []
    long = {**LOOK, "content": "x" * 990}
    more = Reasoning(Reasoning.Config(experience=True, items=5))
    assert await made(more, [answer(*[long] * 5)], [polished("l1")]) == []
    refused = more.state_dict()["answers"]["refused"]
    assert refused == {"text that may not stand in a prompt": 1}
    lines = 'title: polish\nwhen: polish lamp $1\ncontent: oil $1 "thick"; polish $1'
    pocket = Reasoning(Reasoning.Config(experience=True, form="lines"))
    (item,) = await made(pocket, [lines], [polished("l1")])
    assert item.when == "polish lamp $1"


async def test_the_recipes_ask_as_warm_as_their_papers_do():
    class Warm(Heard):
        async def complete(self, messages, tools, sampling):
            self.heat = sampling.temperature
            return await super().complete(messages, tools, sampling)

    for recipe, name in {"reasoningbank": "reasoning", "awm_online": "induction"}.items():
        model = Warm(answer())
        method = build("memory.distill", name, config(recipe))
        await method.distill_with(model, [polished("l1")], [])
        assert model.heat == 1.0


_CODE = re.compile(r"`([^`\n]+)`")
_KEY = re.compile(
    r"(?:model|agent|memory|methods|practise|world|curriculum|train|gate|moult)\.[a-z_]+(?:\.[a-z_]+)?"
)


def _exists(key):
    if not key.startswith("methods."):
        return key in keys()
    _, method, field = key.split(".")
    kinds = [k for k in plugins.kinds() if method in plugins.methods(k)]
    return any(field in plugins.load(k, method).Config.model_fields for k in kinds)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_the_fidelity_table_names_only_settings_that_exist(path):
    text = path.with_suffix(".md").read_text()
    named = {
        m for code in _CODE.findall(text) if (m := code.partition(" = ")[0]) and _KEY.fullmatch(m)
    }
    assert named, "no settings named"
    assert [key for key in sorted(named) if not _exists(key)] == []
    assert "not yet run on the paper's model" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) > 8 and all(row.count(" | ") == 4 for row in rows), "a row lacks a column"


def test_every_recipe_has_its_page_and_is_listed():
    listed = (ROOT / "recipes" / "README.md").read_text()
    for path in RECIPES:
        assert path.with_suffix(".md").exists() and path.name in listed
