"""An agent that is not ours does the tasks: as a command and at a URL, in every arm, and when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from instar_client import Client, use_session
from instar_client.asgi import PreparedSession

from instar._outside_steps import merged
from instar.benching import Request, measure
from instar.compose import Serving, Workspace
from instar.config import load_config
from instar.errors import ConfigError, UserError, WorkspaceError
from instar.evolve import evolve
from instar.progress import Progress
from instar.service.attempts import Attempts
from instar.service.sessions import NoSession, Sessions
from instar.service.shapes import Begin
from instar.types import Result, Split, Status, Step, StopReason, ToolCall

QUIET = Progress(quiet=True)
CLERK = "-m benchmarks.studies._clerk"
SMALL = [
    "model.name=clerk",
    "practise.web_share=0",
    "practise.tasks=16",
    "curriculum.select=sec",
    "gate.tasks=16",
    "gate.probes=[]",
    "moult.tasks=0",
    "report.tasks=2",
    "seed=3",
]


def config(folder: Path, *more: str):
    return load_config(None, [*SMALL, f"workspace={json.dumps(str(folder))}", *more])


def command(text: str) -> str:
    """The setting for an agent that is a command."""
    return f"agent.command={json.dumps(text)}"


def program(code: str) -> str:
    """The setting for an agent that is a few lines of Python."""
    return command(shlex.join([sys.executable, "-c", code]))


@contextlib.contextmanager
def serving_clerk() -> Iterator[list[str]]:
    """The clerk, started before anybody asks it to do something; the settings that reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "INSTAR_URL": f"http://127.0.0.1:{port}"}
    started = [sys.executable, *CLERK.split(), "--serve", "0"]
    with subprocess.Popen(started, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            assert process.stdout
            served = process.stdout.readline().strip()
            yield [f"agent.url=http://127.0.0.1:{served}/solve", f"agent.port={port}"]
        finally:
            process.kill()


async def one(workspace: Workspace, arm: str = "base", purpose: str = "report", seed: int = 0):
    """One attempt at a practise task."""
    active = workspace.store.active()
    serving = workspace.arm(arm, active) if active else Serving(generation="none")
    task = workspace.home.tasks(Split.PRACTISE, 1, 5)[0]
    return await workspace.solver(serving, workspace.home, purpose, arm=arm)(task, seed)


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    """A workspace that evolved with the served clerk."""
    folder = tmp_path_factory.mktemp("outside")

    async def run() -> dict:
        async with Workspace.open(config(folder, *settings)) as workspace:
            found = await evolve(workspace, 1, QUIET)
            request = Request(arms=("base", "memory", "placebo_memory"), n=10, force=True)
            return {**found, "bench": await measure(workspace, request, QUIET)}

    with serving_clerk() as settings:
        yield folder, asyncio.run(run()), settings


async def test_the_loop_turns_with_an_agent_that_is_not_ours(evolved):
    folder, found, settings = evolved
    async with Workspace.open(config(folder, *settings)) as workspace:
        store = workspace.store
        (first,) = (g for g in found["generations"] if g["seq"] == 1)
        assert first["verdict"]["decision"] == "promote" and found["active"] == first["id"]
        lived = store.trajectories()
        assert {t.model for t in lived} == {"clerk"} and {t.provider for t in lived} == {"client"}
        assert all(t.usage.tokens > 0 and t.usage.calls for t in lived)
        recalled = [t for t in lived if t.memories and t.purpose == "practise"]
        assert {t.bank.propensity for t in recalled} == {0.85}
        assert any(not m.shown for t in recalled for m in t.memories)
        others = [t for t in lived if t.memories and t.purpose != "practise"]
        assert others and all(t.bank is None and all(m.shown for m in t.memories) for t in others)
        reason = store.stage("g1/train")["reason"]
        assert reason == "model clerk runs elsewhere; only a local model can be trained here"
        assert store.stage(f"{found['run']}/report")["summary"]["leakage"]["clean"]
        assert store.stages("worth/")


def test_its_arms_are_measured_as_ours_are(evolved):
    arms = evolved[1]["bench"]["arms"]
    assert set(arms) == {"base", "memory", "placebo_memory"}
    assert arms["memory"]["success"] > arms["base"]["success"] + 0.3
    assert arms["placebo_memory"]["success"] < arms["memory"]["success"]
    assert evolved[1]["bench"]["fairness"]["fair"], evolved[1]["bench"]["fairness"]


async def test_a_command_is_shown_what_its_arm_knows_and_its_calls_are_on_record(evolved):
    folder, _, _ = evolved
    setting = command(f"{sys.executable} {CLERK}")
    async with Workspace.open(config(folder, setting)) as workspace:
        store, active = workspace.store, workspace.store.active()
        practised = store.trajectories(stage="g1/practise_2")
        task = next(
            t.task
            for t in practised
            if t.purpose == "practise" and t.score.status is Status.PASS and len(t.steps) > 3
        )
        base, memory, placebo = [
            await workspace.solver(workspace.arm(name, active), workspace.home, "report")(task, 0)
            for name in ("base", "memory", "placebo_memory")
        ]
    assert not base.memories and memory.memories
    assert {m.item for m in placebo.memories}.isdisjoint(m.item for m in memory.memories)
    assert memory.score.status is Status.PASS and memory.stop is StopReason.FINISHED
    assert memory.steps[-1].calls[0].name == "finish" and memory.answer == "It is done."
    made = [c.name for s in memory.steps for c in s.calls]
    assert len(made) > 1 and set(made) <= {t.name for t in memory.tools}


BROKEN = {
    "exit": ("raise SystemExit('no model')", "ended with exit code 1: no model"),
    "hang": ("import time; time.sleep(60)", "did not end within 0.5 s"),
    "kill": ("import os; os.kill(os.getpid(), 9)", "exit code 137|signal 9"),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_what_breaks_is_unknown_and_says_why(tmp_path, how):
    code, said = BROKEN[how]
    seconds = "0.5" if how == "hang" else "60"
    async with Workspace.open(config(tmp_path, program(code), f"agent.seconds={seconds}")) as space:
        found = await one(space)
    assert found.stop is StopReason.FAULT and found.score.status is Status.UNKNOWN
    assert re.search(said, found.score.evidence), found.score.evidence


async def test_a_url_where_nobody_answers_is_unknown(tmp_path):
    async with Workspace.open(config(tmp_path, "agent.url=http://127.0.0.1:9/solve")) as space:
        found = await one(space)
    assert found.stop is StopReason.FAULT and "cannot be reached" in found.score.evidence


CALLS = """
import json, os, urllib.request
url = os.environ["INSTAR_TOOLS_URL"]
ask = lambda body=None, at=url: json.load(urllib.request.urlopen(urllib.request.Request(
    at, body and json.dumps(body).encode(), {"content-type": "application/json"})))
tools = ask()
seen = ask(at=url + "/observation")["text"]
for i in range(20):
    said = ask({"name": "nothing", "arguments": {}})
print(tools[0]["type"], seen.split()[0], said["text"], sep="|")
"""


async def test_an_agent_without_the_client_is_measured_by_its_calls_up_to_its_budget(tmp_path):
    async with Workspace.open(config(tmp_path, program(CALLS))) as workspace:
        found = await one(workspace)
        most = workspace.config.agent.max_steps
    assert found.answer.startswith("function|") and found.answer.endswith("the episode is over")
    assert found.stop is StopReason.STEPS and found.score.status is Status.FAIL
    assert len(found.steps) == most and all(s.results[0].misuse for s in found.steps)


async def test_an_agent_that_takes_no_session_up_is_not_measured_with_memory(evolved):
    async with Workspace.open(config(evolved[0], command("echo done"))) as workspace:
        base, memory = await one(workspace), await one(workspace, "memory")
    assert base.score.status is Status.FAIL
    assert memory.score.status is Status.UNKNOWN and "session" in memory.score.evidence


async def test_another_model_than_the_settings_name_is_refused(tmp_path):
    setting = [command(f"{sys.executable} {CLERK}"), "model.name=gpt-5"]
    async with Workspace.open(config(tmp_path, *setting)) as workspace:
        with pytest.raises(UserError, match=r"model\.name=clerk"):
            await one(workspace)
        bare = Serving(generation="none", adapter="a")
        with pytest.raises(UserError, match="no adapter"):
            workspace.solver(bare, workspace.home, "report")


async def test_a_workspace_belongs_to_one_agent(evolved):
    async with Workspace.open(config(evolved[0])) as workspace:
        with pytest.raises(WorkspaceError, match="an agent of yours"):
            await evolve(workspace, 1, QUIET)


def test_the_model_of_an_agent_of_yours_is_not_that_of_the_preset(tmp_path):
    found = load_config(None, ["agent.command=./app"])
    assert found.model.name == "unknown"
    assert load_config(None, ["agent.command=./app", "model.name=gpt-5"]).model.name == "gpt-5"
    with pytest.raises(ConfigError, match="command and url"):
        load_config(None, ["agent.command=./app", "agent.url=http://127.0.0.1:1"])


def step(name: str, text: str = "", **arguments: str) -> Step:
    call = ToolCall(id=name, name=name, arguments=arguments)
    return Step(observation="", calls=(call,), results=(Result(text=text),))


def test_what_was_seen_is_the_truth_about_calls():
    seen = [step("ship", "shipped", order="2"), step("ship", "locked", order="1")]
    told = [step("ship", "all fine", order="1"), step("look", "mine"), step("ship", "", order="2")]
    found = merged(told, seen)
    assert [s.results[0].text for s in found] == ["locked", "mine", "shipped"]
    invented = merged([*told, step("ship", "shipped again")], seen)
    assert invented[-1].results[0].misuse and invented[-1].results[0].error
    assert merged(told[:1], seen) == tuple(seen) and merged([], seen) == tuple(seen)


async def test_a_session_that_was_not_prepared_is_refused(tmp_path):
    async with Workspace.open(config(tmp_path)) as workspace:
        attempts = Attempts(workspace)
        with pytest.raises(UserError, match="INSTAR_SESSION"):
            attempts.begin(Begin(agent="a", task="b"))
        with pytest.raises(UserError, match="or it is over"):
            attempts.begin(Begin(agent="a", task="b", session="s"))


async def test_a_served_agent_takes_the_session_of_the_request():
    sent: list[str] = []
    client = Client("http://127.0.0.1:9", redact=lambda text: sent.append(text) or text)

    async def agent(scope: Any, receive: Any, send: Any) -> None:
        client.session("support", "refund")

    app = PreparedSession(agent)
    await app({"headers": [(b"instar-session", b"s-1")]}, None, None)
    assert "s-1" in sent
    sent.clear()
    await app({"headers": []}, None, None)
    assert "refund" in sent and "s-1" not in sent
    with use_session(None), use_session("s-2"), use_session(None):
        client.session("support", "refund")
    assert "s-2" in sent
    client.close(0)


async def test_a_session_at_work_is_taken_up_by_its_own_agent_alone(tmp_path):
    async with Workspace.open(config(tmp_path)) as workspace:
        sessions = Sessions(workspace)
        begun = sessions.begin(Begin(agent="support", task="refund"))
        again = sessions.begin(Begin(agent="support", task="refund", session=begun.session))
        assert again == begun and len(workspace.store.trajectories()) == 1
        for other in ({"agent": "sales"}, {"agent": "support", "subject": "ada"}):
            with pytest.raises(NoSession, match="no session"):
                sessions.begin(Begin(task="refund", session=begun.session, **other))
