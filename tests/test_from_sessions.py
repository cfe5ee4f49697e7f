"""Recorded sessions become tasks: with a check, with a person's word, or with a check yet to be written."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from own_tasks import task, write

from benchmarks.fairness import Limits, examine
from benchmarks.leakage import check as leaks
from benchmarks.runner import Line, Settings
from benchmarks.worlds.yours import Yours
from instar import cli
from instar.compose import Serving, Workspace
from instar.config import load_config
from instar.errors import UserError
from instar.service import shapes
from instar.service.sessions import Sessions
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Split, Status

CALL = {"id": "c1", "type": "function", "function": {"name": "refund", "arguments": '{"id": 417}'}}
MESSAGES = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "refunded"},
    {"role": "assistant", "content": "It is\ndone."},
]
DAY = 86_400.0


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A workspace in the current folder with five sessions of two agents."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    now = [1_000.0]
    with Workspace.open(load_config(None, ["workspace=w"])).store as store:
        workspace = Workspace(load_config(None, ["workspace=w"]), store)
        sessions = Sessions(workspace, clock=lambda: now[0])
        for agent, asked, status in (
            ("support", "refund order 417", "pass"),
            ("support", "Refund  order 417", "fail"),
            ("support", "cancel order 5", "unknown"),
            ("sales", "offer a bicycle", "pass"),
            ("support", "close ticket 9", "pass"),
        ):
            begun = sessions.begin(shapes.Begin(agent=agent, task=asked))
            sessions.report(begun.session, shapes.Steps(messages=MESSAGES))
            told = shapes.Outcome(status=status, reason="money\ncame")
            sessions.outcome(begun.session, told)
            now[0] += DAY
    return tmp_path


def run(*more: str) -> int:
    """The command, on the workspace of the test."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["tasks", "from-sessions", "--workspace", "w", *more])
    return int(ended.value.code or 0)


def lines(name: str = "tasks.jsonl") -> list[dict]:
    texts = Path(name).read_text().split("\n")
    return [json.loads(text) for text in texts if text and not text.startswith("#")]


def test_sessions_of_known_outcome_wait_for_a_check(place, capsys):
    assert run("--agent", "support") == 0
    assert "hold the words of users" in capsys.readouterr().out
    first, second = lines()
    assert [first["instruction"], second["instruction"]] == ["refund order 417", "close ticket 9"]
    assert first["check"] == "" and len(first["parents"]) == 2 and first["family"] == "support"
    comments = Path("tasks.jsonl").read_text()
    assert 'pass by user (money came) | did: refund "417" | answered: It is done.' in comments
    with pytest.raises(UserError, match="check is empty: write a command"):
        Yours(file=Path("tasks.jsonl")).tasks(Split.HELD_OUT, 9, 0)
    assert run() == 2 and "there already" in capsys.readouterr().err


async def test_with_a_check_all_sessions_are_tasks_that_can_be_judged(place):
    check = 'test "$INSTAR_ANSWER" = done'
    assert run("--check", check, "--split", "held_out", "--out", "all.jsonl") == 0
    assert len(lines("all.jsonl")) == 4
    world = Yours(file=Path("all.jsonl"))
    tasks = world.tasks(Split.HELD_OUT, 9, 0)
    assert len(tasks) == 4 and all(t.parents and world.judges(t) for t in tasks)
    episode = await world.open(tasks[0], 0)
    await episode.finish("done")
    assert (await episode.score()).status is Status.PASS
    await episode.close()
    await world.close()


async def test_an_outcome_that_the_agent_reports_in_its_session_is_the_score(place):
    assert run("--later", "--split", "practise") == 0
    code = (
        "import instar_client as c; s = c.session('support', 'x'); s.recall(); "
        "s.outcome('pass', source='program', reason='ticket stayed closed'); print('done')"
    )
    command = json.dumps(shlex.join([sys.executable, "-c", code]))
    settings = ["world.name=yours", "methods.yours.file=tasks.jsonl", f"agent.command={command}"]
    async with Workspace.open(load_config(None, ["workspace=w", *settings])) as workspace:
        solve = workspace.solver(Serving(generation="none"), workspace.home, "practise")
        found = await solve(workspace.home.tasks(Split.PRACTISE, 1, 0)[0], 0)
    assert found.score.status is Status.PASS and found.score.source == "program"
    assert found.score.evidence == "ticket stayed closed" and found.answer == "done"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--agent", "nobody"], "no recorded sessions of nobody"),
        (["--since", "1d"], "no recorded sessions"),
        (["--since", "soon"], "36h"),
        (["--split", "x"], "held_out"),
        (["--out", "tasks.txt"], "ends in .jsonl"),
        (["--later", "--check", "true"], "not by both"),
    ],
)
def test_mistakes_are_told_in_a_sentence(place, capsys, asked, said):
    assert run(*asked) == 2
    assert said in capsys.readouterr().err


def test_what_nobody_judged_needs_a_check(place, capsys):
    with Workspace.open(load_config(None, ["workspace=w"])).store as store:
        for one in store.trajectories(purpose="live"):
            unknown = one.score.model_copy(update={"status": Status.UNKNOWN, "value": None})
            store.change_trajectory(one.id, lambda _, new=unknown: {"score": new})
    assert run() == 2 and "--check COMMAND" in capsys.readouterr().err


async def test_what_was_learnt_from_a_session_is_kept_from_the_task_made_of_it(place):
    assert run("--check", "true", "--split", "held_out") == 0
    world = Yours(file=Path("tasks.jsonl"))
    config = load_config(None, ["workspace=w", 'memory.namespaces=["live/support"]'])
    async with Workspace.open(config) as workspace:
        from stores import generation

        workspace.store.add_generation(generation("g1"))
        sessions = workspace.store.trajectories(purpose="live", namespace="live/support")
        lived = next(t for t in sessions if t.score.status is not Status.UNKNOWN)
        item = MemoryItem(
            id="m1",
            title="",
            when=lived.task.instruction,
            content="look first",
            kind=MemoryKind.LESSON,
            namespace="live/support",
            sources=(lived.id,),
        )
        workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=item)], "g1", "test")
        (made,) = (t for t in world.tasks(Split.HELD_OUT, 9, 0) if lived.task.id in t.parents)
        serving = Serving(generation="g1", memory="g1")
        shown = []
        for guard in (frozenset(), frozenset({"same_task"})):
            recall = workspace.recall(serving, guard, "bench")
            found = await recall(made, [], 0)
            shown.append([m.item for m in found.memories])
        assert shown == [["m1"], []]
        found = leaks([made], [item], {}, [], {lived.id: lived.task}.get)
        assert [leak.why for leak in found.leaks] == ["what a protected task was made of"]
        settings = Settings(run="r", n=1, seed=0, arms=("memory",), **ABOUT)
        told = lived.model_copy(update={"task": made, "memories": (recalled(),)})
        line = Line(arm="memory", attempt=0, trajectory=told)
        fair = examine(settings, [line], Limits(steps=9, tokens=9), lambda *_: {lived.task.id})
        assert "learnt from it" in fair.problems[0]


ABOUT = {"benchmark": "yours", "namespace": "yours/tasks", "generation": "g1", "model": "m"}


def recalled():
    from instar.types import Recalled

    fields = {"label": "m1", "item": "m1", "version": 1, "title": "", "when": "", "content": ""}
    return Recalled(**fields, kind=MemoryKind.LESSON)


def test_parents_do_not_make_a_task_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    plain, made = (
        write(tmp_path, task(instruction="a", **more)).tasks(Split.HELD_OUT, 1, 0)[0].id
        for more in ({}, {"parents": ["task-s-1"]})
    )
    assert plain == made
