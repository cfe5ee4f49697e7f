"""Somebody's own tasks from the command line: an example to begin with, health, a run, mistakes."""

import json
import subprocess
import sys
from functools import partial

import own_tasks
import pytest
from own_tasks import task

from benchmarks.health import check, sample
from benchmarks.worlds._yours_example import EXAMPLE
from instar import cli
from instar.types import Status


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of tasks and open it as a world."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the folder of the file is added to it
    return partial(own_tasks.write, tmp_path)


async def test_health_finds_a_check_that_passes_at_once_and_one_that_cannot_run(write):
    world = write(
        task(id="given", check="true"),
        task(id="absent", check="no_such_program_here", split="practise"),
        task(id="later", outcome="later", split="gate"),
        task(id="right", check="test -f made"),
    )
    tasks = sample(world, 10, 0)
    assert len(tasks) == 4 and len(sample(world, 2, 0)) == 2
    report = await check(world, tasks)
    assert len(report.problems) == 2
    assert any("doing nothing scores 1.00 in yours/mine/given" in p for p in report.problems)
    assert any("yours/mine/absent cannot be judged" in p for p in report.problems)


async def test_the_example_is_whole_and_each_of_its_tasks_can_be_done(write, caplog):
    world = write(EXAMPLE)
    assert not caplog.records
    report = await check(world, sample(world, 10, 0))
    assert (report.problems, report.tasks) == ((), 5)
    ways = {
        "greeting": ([("write_file", {"path": "greeting.txt", "text": "hello"})], ""),
        "copy": ([("write_file", {"path": "archive.txt", "text": "buy milk\n"})], ""),
        "sum": ([], "42"),
        "shout": ([("write_file", {"path": "greeting.txt", "text": "HELLO"})], ""),
        "owner": ([], "It is Ada."),
    }
    for one in sample(world, 10, 0):
        calls, answer = ways[one.id.rpartition("/")[2]]
        episode = await world.open(one, 0)
        for name, arguments in calls:
            await episode.toolset.call(name, arguments)
        await episode.finish(answer)
        assert (await episode.score()).status is Status.PASS, one.id
        await episode.close()


@pytest.fixture
def instar(capsys, tmp_path, monkeypatch):
    """Run a command; exit code, stdout, stderr."""
    monkeypatch.setenv("INSTAR_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        with pytest.raises(SystemExit) as exited:
            cli.main(list(arguments))
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    return run


def call(name, **arguments):
    return {"calls": [{"name": name, "arguments": arguments}]}


def test_init_writes_an_example_that_runs_and_is_never_overwritten(instar, tmp_path):
    code, out, _ = instar("bench", "init", "my_tasks.jsonl")
    assert code == 0
    assert "instar bench health my_tasks.jsonl" in out
    assert "instar bench run my_tasks.jsonl --arms base" in out
    (tmp_path / "my_tasks.jsonl").write_text(EXAMPLE + "# mine now\n")
    code, _, err = instar("bench", "init", "my_tasks.jsonl")
    assert code == 2 and "is there already" in err
    assert (tmp_path / "my_tasks.jsonl").read_text().endswith("# mine now\n")
    code, out, err = instar("bench", "health", "my_tasks.jsonl", "--json")
    assert (code, json.loads(out)["healthy"]) == (0, True), err
    replies = [
        call("write_file", path="greeting.txt", text="hello"),
        call("finish", answer=""),
        call("finish", answer="nothing to copy"),
        call("finish", answer="42"),
    ]
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(r) + "\n" for r in replies))
    model = ["--model", "scripted:replies.jsonl", "-o", "practise.concurrency=1"]
    code, out, err = instar("bench", "run", "my_tasks.jsonl", "--arms", "base", "--json", *model)
    assert code == 0, err
    found = json.loads(out)
    assert (found["benchmark"], found["namespace"], found["n"]) == ("yours", "yours/my_tasks", 3)
    assert found["arms"]["base"]["success"] == pytest.approx(2 / 3)
    assert (found["arms"]["base"]["unknown"], found["leakage"]["clean"]) == (0, True)
    again = ["bench", "run", "my_tasks.jsonl", "--resume", found["run"], "--json", *model]
    assert json.loads(instar(*again)[1])["arms"] == found["arms"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["init", "tasks.txt"], "instar bench init tasks.jsonl"),
        (["init", "nowhere/tasks.jsonl"], "cannot be written"),
        (["run", "none.jsonl"], "instar bench init"),
        (["run", "yours"], "tasks.jsonl cannot be read"),
        (["health", "none.jsonl"], "instar bench init"),
        (["run", "learnt.jsonl"], '"split": "held_out"'),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_type(instar, tmp_path, arguments, says):
    (tmp_path / "learnt.jsonl").write_text(json.dumps(task(split="practise")))
    code, out, err = instar("bench", *arguments)
    assert (code, out) == (2, "")
    assert says in err and "\n" not in err.strip()


def test_a_run_without_tasks_to_learn_from_ends_before_it_practises(instar, tmp_path):
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task(check="true")))
    code, _, err = instar("evolve", "-o", "world.name=yours", "--generations", "1")
    assert code == 2
    assert '"split": "practise"' in err.strip().split("\n")[-1]


def test_what_is_left_out_stands_on_stderr_of_a_real_run(tmp_path):
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task(check="false")) + "\n{\n[]\n")
    program = [sys.executable, "-m", "instar.cli", "bench", "health", "yours", "--json"]
    done = subprocess.run(
        [*program, "--workspace", "ws"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tasks"] == 1
    assert "2 of its lines" in done.stderr
    assert "line 2: not JSON" in done.stderr and "line 3: not a JSON object" in done.stderr
