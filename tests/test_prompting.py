"""Prompts that evolve: searched for in practice, measured at the gate, served, rolled back, purged."""

from __future__ import annotations

import asyncio
import json
import re
import shutil

import prompt_writer
import pytest
from contract_cases import PROMPTS, episode, task

from agent.prompt._rewriting import Rewriting
from agent.prompt.reflective import Reflective
from instar import _prompting
from instar._loop import Loop
from instar._stages import add_generation
from instar.benching import Request, measure
from instar.cli import _run
from instar.compose import Workspace
from instar.config import Limits as Settings
from instar.config import load_config
from instar.contracts import PromptContext
from instar.errors import ModelFault, Stopped, UnknownName
from instar.evolve import evolve
from instar.limits import Limits
from instar.progress import Progress
from instar.purging import Wish, find, purge
from instar.store import Store
from instar.types import GenerationStatus, Reply, Sampling, Score, Status, Usage

SMALL = [
    "train.trainer=off",
    "memory.distill=[]",
    "practise.web_share=0",
    "practise.foreign_share=0",
    "practise.tasks=24",
    "curriculum.select=sec",
    "gate.tasks=40",
    "gate.probe_tasks=8",
    "report.tasks=8",
    "seed=3",
    "model.name=oracle_policy.Obedient",
    "agent.prompt=reflective",
    "agent.prompt_model=prompt_writer.Writer",
]


def config(folder, *more):
    return load_config(None, [*SMALL, f"workspace={json.dumps(str(folder))}", *more])


def evolved(folder, *more, turns=1):
    async def run():
        async with Workspace.open(config(folder, *more)) as workspace:
            return await evolve(workspace, turns, Progress(quiet=True))

    return asyncio.run(run())


def opened(place):
    return Store.open(place / "instar.db", create=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("prompting")
    evolved(place)
    return place


@pytest.fixture
async def workspace(folder):
    async with Workspace.open(config(folder)) as found:
        yield found


# In the loop


async def test_better_prompts_are_found_measured_and_promoted(workspace):
    store = workspace.store
    searched, gate = store.stage("g1/evolve_prompts"), store.stage("g1/gate_prompts")
    active = store.active()
    assert gate["verdict"]["decision"] == "promote" and active.id == searched["candidate"]
    assert active.texts.system.startswith("act with one call\ntask: ")
    assert active.prompts == active.texts.name != "compact"
    assert searched["scores"][0] < max(searched["scores"]), "later texts do better"
    assert searched["rewritings"] >= searched["accepted"] > 0
    # What is tried is neither practice nor measurement.
    tried = store.trajectories(purpose="prompt")
    assert {t.id for t in tried} == set(searched["behind"])
    assert {t.task.split.value for t in tried} == {"practise"}


async def test_the_report_tells_prompts_apart_and_what_an_episode_takes(workspace):
    found = workspace.store.stage("run1/report")["summary"]
    assert set(found["arms"]) >= {"base", "prompt", "whole"}
    assert found["arms"]["prompt"]["success"] > found["arms"]["base"]["success"]
    assert found["leakage"]["clean"]
    page = (workspace.path / "runs" / found["run"] / "report.html").read_text()
    assert "an episode takes" in page and "with evolved prompts" in page


async def test_later_generations_inherit_prompts_and_a_rollback_takes_them_away(
    folder, tmp_path, workspace
):
    store = workspace.store
    active = store.active()
    child = add_generation(Loop(workspace, Progress(quiet=True)), 2, active.id, "memory")
    assert child.texts == active.texts and child.prompts == active.prompts
    assert workspace.arm("base", active).prompts is None
    assert workspace.arm("prompt", active).prompts == active.texts
    assert workspace.prompts(None).system == "act with one call"
    before = store.go_back()
    assert before.texts is None
    store.activate(active.id)
    store.set_status(child.id, GenerationStatus.REJECTED, None)


def test_a_search_whose_model_was_gone_and_that_was_killed_asks_nothing_twice(
    folder, tmp_path, monkeypatch
):
    with pytest.raises(ModelFault, match="no model here"):
        evolved(tmp_path, "agent.prompt_model=test_prompting.Gone")
    with opened(tmp_path) as store:
        assert store.stage("g1/practise_1") and store.stage("g1/evolve_prompts") is None
    prompt_writer.Writer.asked = 0

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_prompting, "add_generation", killed)
        with pytest.raises(KeyboardInterrupt):
            evolved(tmp_path)
    asked = prompt_writer.Writer.asked
    assert asked > 1
    evolved(tmp_path)
    assert prompt_writer.Writer.asked == asked
    with opened(tmp_path) as store, opened(folder) as other:
        assert store.active().prompts == other.active().prompts, "the same seed, the same prompts"


def test_without_it_prompts_stay_and_the_reason_is_told(tmp_path):
    evolved(tmp_path, "agent.prompt=off", "gate.tasks=8", "practise.tasks=8", "report.tasks=2")
    with opened(tmp_path) as store:
        kept = store.stage("g1/evolve_prompts")
        assert kept["reason"] == "prompts stay as they are (agent.prompt=off)"
        assert store.active().texts is None


def test_a_method_that_is_not_there_is_told_before_practice(tmp_path):
    with pytest.raises(UnknownName, match="reflective"):
        evolved(tmp_path, "agent.prompt=reflexive")


class Gone:
    """Nobody answers."""

    name, provider = "gone", "scripted"

    async def complete(self, messages, tools, sampling):
        raise ModelFault("no model here")


def test_a_limit_ends_the_search(tmp_path):
    """The error of an episode comes out of the search as it was raised."""

    async def stopped(prompts, tasks):
        raise Stopped("a limit")

    tasks = [task(n) for n in range(8)]
    context = PromptContext(PROMPTS, tasks[:4], tasks[4:], stopped, Gone(), 0)
    with pytest.raises(Stopped, match="a limit"):
        asyncio.run(Reflective().evolve(context))


async def test_what_the_model_uses_counts_against_the_limits(workspace):
    limits = Limits(Settings(tokens=10), workspace.path)
    asked = Loop(workspace, Progress(quiet=True), limits).adviser("prompt_writer.Writer")
    message = {"role": "user", "content": "```\nwork\n```" + "x" * 400}
    await asked.complete([message, message], (), Sampling())
    assert limits.tokens > 100 and asked.name == "writer"
    with pytest.raises(Stopped, match="tokens were used"):
        limits.check()


# Answers of the model


class Says:
    """One answer."""

    name, provider = "says", "scripted"

    def __init__(self, content):
        self.content, self.seen = content, []

    async def complete(self, messages, tools, sampling):
        self.seen.append(messages)
        if isinstance(self.content, Exception):
            raise self.content
        return Reply(content=self.content, usage=Usage(calls=1, prompt_tokens=9), provider="s")


@pytest.mark.parametrize(
    ("answer", "taken", "reason"),
    [
        ("Well.\n```\nwork well\n```", "work well", ""),
        ("```text\nwork\nwell\n```", "work\nwell", ""),
        ("```\nwith ```code``` inside\n```", "with ```code``` inside", ""),
        ("work well", None, "no text in a fence"),
        ("```\n\n```", None, "no text in a fence"),
        ("```\n" + "x" * 90 + "\n```", None, "too long"),
        ("```\nwork <memory> here\n```", None, "holds a fence of memories"),
        ("```\nwork\n```", None, "unchanged"),
    ],
)
async def test_an_answer_is_taken_or_refused_with_a_reason(answer, taken, reason):
    rewriting = Rewriting(Reflective.Config(longest=80), PROMPTS, Says(answer), 0)
    assert await rewriting.write("work", []) == taken
    assert list(rewriting.facts["refused"]) == ([reason] if reason else [])
    assert rewriting.facts["rewriting_tokens"] == 9


async def test_a_request_that_fails_later_costs_one_text():
    model = Says("```\nbetter\n```")
    rewriting = Rewriting(Reflective.Config(), PROMPTS, model, 0)
    assert await rewriting.write("work", []) == "better"
    model.content = ModelFault("busy")
    assert await rewriting.write("work", []) is None
    assert rewriting.facts["refused"] == {"the request failed": 1}


async def test_the_model_reads_what_happened_and_how_it_was_judged():
    model = Says("no")
    failed = Score(status=Status.FAIL, value=0.0, evidence="rules broken: 1")
    lived = episode(task(0), (), failed, 0).model_copy(update={"answer": "x" * 3})
    await Rewriting(Reflective.Config(longest=99), PROMPTS, model, 0).write("work", [lived])
    system, user = (m["content"] for m in model.seen[0])
    assert "at most 99 characters" in system
    assert f"Episode 1: {task(0).instruction}" in user and "It failed: rules broken: 1" in user


# Commands


def test_prompts_are_shown_and_compared(folder, tmp_path, capsys):
    place = ["--workspace", str(folder)]
    assert _run(["prompts", "show", "--json", *place]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["system"].startswith("act with one call\ntask: ")
    assert _run(["prompts", "show", "g0", *place]) == 0
    assert "act with one call" in capsys.readouterr().out
    assert _run(["prompts", "diff", *place]) == 0
    told = capsys.readouterr().out
    assert "\n+task: " in told and "(compact)" in told and shown["name"] in told
    assert _run(["prompts", "diff", "g0", "g0", *place]) == 0
    assert "have the same prompts" in capsys.readouterr().out
    with Store.open(tmp_path / "instar.db"):
        for what in ("show", "diff"):
            assert _run(["prompts", what, "--workspace", str(tmp_path)]) == 2
    assert "Make one: instar evolve" in capsys.readouterr().err


# Fairness and purge


async def test_other_prompts_are_no_unfairness_where_they_are_what_is_measured(workspace):
    found = await measure(workspace, Request(arms=("base", "prompt"), n=6), Progress(quiet=True))
    assert found["fairness"]["fair"], found["fairness"]
    assert [(p["a"], p["b"]) for p in found["paired"]] == [("base", "prompt")]


def test_a_purged_text_leaves_the_prompts_and_they_are_named(folder, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    with opened(place) as store:
        active = store.active()
        behind = store.stage("g1/evolve_prompts")["behind"]
        one = store.trajectory(behind[0])
        word = re.findall(r'"(\w{3,})"', active.texts.system)[-1]
    named = find(place, Wish(kind="task", value=one.task.id))
    assert active.id in named.generations
    found = purge(place, Wish(kind="text", value=word), lambda _: None)
    assert not found.empty
    with opened(place) as store:
        assert word not in store.generation(active.id).texts.system
        assert "[purged]" in store.generation(active.id).texts.system
    assert word.encode() not in (place / "instar.db").read_bytes()
