"""How somebody's own tasks are judged: real commands and their children, functions, answers."""

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path

import own_tasks
import pytest
from own_tasks import judged, module, task

from instar.types import ScoreSource, Split, Status

HELD_OUT = Split.HELD_OUT


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of tasks and open it as a world."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the folder of the file is added to it
    return partial(own_tasks.write, tmp_path)


# Commands


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("grep -qx hello greeting.txt", Status.PASS, "exit code 0"),
        (["grep", "-c", "hello", "greeting.txt"], Status.PASS, "exit code 0: 1"),
        ("echo out; echo err >&2; exit 3", Status.FAIL, "exit code 3: out\nerr"),
        ('test "$(cat)" = "it is done" && test "$INSTAR_ANSWER" = "it is done"', Status.PASS, "0"),
        ('test -f "$INSTAR_TASKS_DIR/mine.jsonl"', Status.PASS, "0"),
        ("no_such_program_here", Status.UNKNOWN, "cannot be started"),
        (["no_such_program_here"], Status.UNKNOWN, "cannot be started"),
        (["./greeting.txt"], Status.UNKNOWN, "cannot be started"),
        ("kill -9 $$", Status.UNKNOWN, "signal 9"),
    ],
)
async def test_a_command_judges_the_folder_that_the_agent_left(write, command, status, says):
    world = write(task(check=command))
    hello = ("write_file", {"path": "greeting.txt", "text": "hello\n"})
    score = await judged(world, hello, answer="it is done")
    assert score.status is status, score.evidence
    assert says in score.evidence
    assert score.value == {Status.PASS: 1.0, Status.FAIL: 0.0}.get(status)
    assert score.source is ScoreSource.PROGRAM


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize(
    ("command", "seconds", "status"),
    [
        ('sleep 600 & echo $! > "$OUT"; sleep 600', 2, Status.UNKNOWN),
        ('sleep 600 & echo $! > "$OUT"', 60, Status.PASS),
    ],
)
async def test_a_check_ends_with_its_children(
    write, tmp_path, monkeypatch, command, seconds, status
):
    monkeypatch.setenv("OUT", str(tmp_path / "pid"))
    began = time.monotonic()
    score = await judged(write(task(check=command, seconds=seconds)))
    assert score.status is status, score.evidence
    assert ("did not end within 2 s" in score.evidence) is (status is Status.UNKNOWN)
    assert time.monotonic() - began < 30
    child = int((tmp_path / "pid").read_text())
    for _ in range(500):  # a killed process takes a moment to go
        if not alive(child):
            break
        await asyncio.sleep(0.01)
    assert not alive(child)


async def test_a_check_that_never_stops_talking_is_stopped_too(write):
    score = await judged(write(task(check="echo begun; yes over and over"), seconds=2))
    assert score.status is Status.UNKNOWN
    assert "over and over" in score.evidence and "begun" not in score.evidence
    assert len(score.evidence) < 3000


async def test_a_long_and_strange_answer_reaches_the_command(write):
    answer = "\0 \ud800 " + "long " * 60_000
    command = f'test "$(wc -c)" -ge {len(answer)} && test -n "$INSTAR_ANSWER"'
    score = await judged(write(task(check=command)), answer=answer)
    assert score.status is Status.PASS, score.evidence


async def test_a_stopped_run_leaves_no_check_behind(write, tmp_path, monkeypatch):
    monkeypatch.setenv("OUT", str(tmp_path / "pid"))
    world = write(task(check='echo $$ > "$OUT.new"; mv "$OUT.new" "$OUT"; sleep 600'))
    episode = await world.open(world.tasks(HELD_OUT, 1, 0)[0], 0)
    running = asyncio.create_task(episode.score())
    while not (tmp_path / "pid").exists():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await episode.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


# Verifiers, answers, outcomes

VERIFIERS = """
import asyncio, sys, threading
from instar.types import Score

def yes(task, answer, episode):
    return task.instruction == "do it" and answer == "so" and (episode.folder / "a").is_file()

async def half(task, answer, episode):
    seen = await episode.toolset.call("read_file", {"path": "a"})
    return 0.5 if seen.text == "b" else 0.0

def full(task, answer, episode): return 1
def scored(task, answer, episode):
    return Score(status="fail", evidence="close \\ud800", metrics={"near": 0.9, "odd": float("nan")})
def nothing(task, answer, episode): pass
def beyond(task, answer, episode): return 1.5
def odd(task, answer, episode): return Score(status="pass", value=7)
def raises(task, answer, episode): raise KeyError("gone")
def stops(task, answer, episode): return next(iter(()))
def leaves(task, answer, episode): sys.exit(0)
async def fails(task, answer, episode): raise TimeoutError("of its own")
def hangs(task, answer, episode): threading.Event().wait(20)
async def waits(task, answer, episode): await asyncio.sleep(600)
"""


@pytest.mark.parametrize(
    ("name", "status", "value", "says"),
    [
        ("yes", Status.PASS, 1.0, "True"),
        ("half", Status.FAIL, 0.5, "0.5"),
        ("full", Status.PASS, 1.0, "1"),
        ("scored", Status.FAIL, 0.0, "close ?"),
        ("nothing", Status.UNKNOWN, None, "returned None"),
        ("beyond", Status.UNKNOWN, None, "returned 1.5"),
        ("odd", Status.UNKNOWN, None, "the value 7"),
        ("raises", Status.UNKNOWN, None, "KeyError('gone')"),
        ("stops", Status.UNKNOWN, None, "StopIteration"),
        ("leaves", Status.UNKNOWN, None, "SystemExit"),
        ("fails", Status.UNKNOWN, None, "of its own"),
        ("hangs", Status.UNKNOWN, None, "did not end within 0.5 s"),
        ("waits", Status.UNKNOWN, None, "did not end within 0.5 s"),
    ],
)
async def test_a_verifier_says_what_it_can_and_else_nothing(
    write, tmp_path, name, status, value, says
):
    module(tmp_path, "verifiers_of_mine", VERIFIERS)
    seconds = 0.5 if name in ("hangs", "waits") else 60
    world = write(task(files={"a": "b"}, verifier=f"verifiers_of_mine.{name}", seconds=seconds))
    score = await judged(world, answer="so")
    assert (score.status, score.value) == (status, value), score.evidence
    assert says in score.evidence
    assert type(score).model_validate_json(score.model_dump_json()) == score
    assert score.metrics == ({"near": 0.9} if name == "scored" else {})


@pytest.mark.parametrize(
    ("wanted", "answer", "status"),
    [
        ("42", " 42\n", Status.PASS),
        (42, "42", Status.PASS),
        ("42", "142", Status.FAIL),
        ("42", None, Status.FAIL),
        ({"pattern": "(?i)4[12] euros?"}, "41 Euro", Status.PASS),
        ({"pattern": "4[12]"}, "it is 41", Status.FAIL),
    ],
)
async def test_an_answer_is_compared_whole_and_never_given_away(write, wanted, answer, status):
    score = await judged(write(task(answer=wanted)), answer=answer)
    assert (score.status, score.value) == (status, float(status is Status.PASS))
    if status is Status.FAIL:
        assert score.evidence == f"wrong answer {answer or ''!r}"


@pytest.mark.parametrize(("keys", "says"), [({"outcome": "later"}, "later"), ({}, "nobody")])
async def test_without_a_check_the_score_is_unknown(write, keys, says):
    score = await judged(write(task(**keys)), answer="done")
    assert (score.status, score.value, score.source) == (Status.UNKNOWN, None, ScoreSource.USER)
    assert says in score.evidence
