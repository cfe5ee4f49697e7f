"""ScienceWorld in real Java processes; where Java or the wheel is missing, only how that is told."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import health
from benchmarks.worlds import _scienceworld_jvm as jvm
from benchmarks.worlds._scienceworld_tools import CHOOSE, LEFT_OUT, TEMPLATES, call_of, phrase
from benchmarks.worlds.scienceworld import NAMES, ScienceWorld
from instar import doctor
from instar.contracts import World
from instar.errors import ConfigError, EpisodeFault, MissingExtra, UnknownName, UserError
from instar.types import Split, Status, Task

INSTALLED = all(importlib.util.find_spec(n) for n in ("scienceworld", "py4j"))
needs_library = pytest.mark.skipif(not INSTALLED, reason="pip install 'instar[scienceworld]'")
needs_java = pytest.mark.skipif(
    not (INSTALLED and shutil.which("java")),
    reason=f"pip install 'instar[scienceworld]' and {jvm.INSTALL_JAVA}",
)

# Without Java


@pytest.fixture
def java(tmp_path, monkeypatch):
    """Put a program of the given text in Java's place; without a text there is none."""
    monkeypatch.setattr(ScienceWorld, "_told", {})
    monkeypatch.setattr(ScienceWorld, "_variations", {})
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(text: str) -> Path:
        program = tmp_path / "java"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    return put


def task(**changes: object) -> Task:
    """A task as a world without simplification lists it, but for its words."""
    values = {
        "id": "sw-1",
        "instruction": "boil",
        "world": "scienceworld",
        "namespace": "scienceworld/easy",
        "group": "boil",
        "family": "boil",
        "params": {"task": "boil", "variation": 0, "simplification": "easy"},
    }
    return Task(**values | changes)


async def test_without_java_one_line_says_what_to_install(java):
    world = ScienceWorld()
    for attempt in (lambda: world.tasks(Split.GATE, 2, 0), jvm.find_java):
        with pytest.raises(MissingExtra) as caught:
            attempt()
        assert "apt-get install default-jre-headless" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingExtra, match="default-jre-headless"):
        await world.open(task(), 0)
    with pytest.raises(MissingExtra, match="default-jre-headless"):
        await world.open(task(), 0)


def test_java_home_comes_before_the_path(java, tmp_path, monkeypatch):
    java("exit 0")
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    shutil.copy(tmp_path / "java", home / "bin")
    assert jvm.find_java() == tmp_path / "java"
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert jvm.find_java() == home / "bin" / "java"


def test_without_the_wheel_one_line_says_what_to_install(java, monkeypatch):
    java("exit 0")
    monkeypatch.setattr(jvm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"\[scienceworld\]"):
        ScienceWorld().tasks(Split.GATE, 1, 0)


@needs_library
@pytest.mark.parametrize(
    ("text", "says"), [("echo too old; exit 1", "too old"), ("exec sleep 30", "no answer")]
)
def test_a_java_that_does_not_run_it(java, monkeypatch, text, says):
    monkeypatch.setattr(jvm, "_SECONDS", 0.3)
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], "/bin", "/usr/bin"]))
    java(text)
    with pytest.raises(UserError, match=says):
        ScienceWorld().tasks(Split.GATE, 1, 0)


async def test_the_doctor_looks_for_java(java):
    (missing,) = await doctor._java()
    assert missing.state == doctor.State.MISSING and missing.remedy == jvm.INSTALL_JAVA
    assert not missing.needed
    java("echo openjdk 99; echo more")
    (found,) = await doctor._java()
    assert found.state == doctor.State.FOUND and found.detail.startswith("openjdk 99 (")
    java("exit 1")
    (broken,) = await doctor._java()
    assert broken.state == doctor.State.BROKEN and broken.remedy


async def test_mistakes_in_the_settings(java):
    with pytest.raises(UnknownName, match="Did you mean 'boil'"):
        ScienceWorld(tasks=("boyl",))
    with pytest.raises(UnknownName, match="openDoors"):
        ScienceWorld(simplification="easy,openDoor")
    with pytest.raises(ConfigError, match="power-component"):
        ScienceWorld(simplification="noElectricalAction")
    assert ScienceWorld(tasks=("boil",), simplification="noElectricalAction")
    with pytest.raises(UserError, match="house_rules/3"):
        await ScienceWorld().open(task(namespace="house_rules/3"), 0)


# The grammar


@pytest.mark.parametrize(
    "action",
    [
        "look around",
        "open door to kitchen",
        "pour metal pot into sink",
        "move unknown substance B in box to red box",
        "connect terminal 1 in red wire to cathode in battery",
        "use thermometer on orange juice",
        "focus on adult dove",
        "wait1",
        "0",
    ],
)
def test_an_action_and_its_call(action):
    name, arguments = call_of(action)
    assert phrase(TEMPLATES[name], arguments) == action


@pytest.mark.parametrize(
    ("action", "thing", "container"),
    [
        ("pour jug in sink", "jug", "sink"),
        ("pour cup of dye in studio in bowl", "cup of dye in studio", "bowl"),
        (
            "pour cup of dye in studio in cup of ink in box",
            "cup of dye in studio",
            "cup of ink in box",
        ),
    ],
)
def test_pouring_in_is_pouring_into(action, thing, container):
    assert call_of(action) == ("pour", {"thing": thing, "container": container})


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("open", {}, "thing is missing"),
        ("open", {"thing": "door", "how": "slowly"}, "no argument how"),
        ("wait", {"moments": 3}, "no argument moments. Arguments: none"),
        ("open", {"thing": " \n"}, "thing is empty"),
        ("open", {"thing": "x" * 201}, "too long"),
        ("open", {"thing": ["door"]}, "thing is no text"),
        ("open", {"thing": True}, "thing is no text"),
        ("choose", {"number": "reset task"}, "no number"),
        ("choose", {"number": "²"}, "no number"),
    ],
)
def test_calls_that_do_not_fit(name, arguments, says):
    with pytest.raises(ValueError, match=says):
        phrase(TEMPLATES[name], arguments)


def test_whatever_a_model_writes_is_one_line():
    assert phrase(TEMPLATES["open"], {"thing": "a\nreset task"}) == "open a reset task"
    assert phrase(TEMPLATES["open"], {"thing": "\ud800"}) == "open ?"
    assert phrase(TEMPLATES["open"], {"thing": "{place}"}) == "open {place}"
    assert phrase(CHOOSE, {"number": 2}) == "2"


def test_no_tool_for_what_is_no_work():
    for action in (*LEFT_OUT, "help", "objects"):
        with pytest.raises(ValueError, match="no tool"):
            call_of(action)


# With Java


@pytest.fixture(scope="module")
def world():
    world = ScienceWorld(tasks=("find-living-thing", "lifespan-longest-lived", "power-component"))
    yield world
    asyncio.run(world.close())


@pytest.fixture(scope="module")
def tasks(world):
    """A practise task of each kind."""
    return {t.family: t for t in world.tasks(Split.PRACTISE, 3, 0)}


@pytest.fixture
async def living(world, tasks):
    """An open episode in which something alive is to be found."""
    episode = await world.open(tasks["find-living-thing"], 0)
    yield episode
    await episode.close()


def gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def pid(episode) -> int:
    return episode._simulator.pid


@needs_java
def test_tasks(world, tasks):
    assert isinstance(world, World)
    assert len(NAMES) == len(set(NAMES)) == 30
    for name, found in tasks.items():
        assert found.instruction.startswith("Your task is to") and found.family == name
        assert found.namespace == "scienceworld/easy" and found.params["task"] == name
    some = {s: world.tasks(s, 7, 5) for s in Split}
    assert all(t.split == split for split, listed in some.items() for t in listed)
    ids = {t.id for listed in some.values() for t in listed}
    assert len(ids) == 21
    again = ScienceWorld(world.config)
    assert again.tasks(Split.GATE, 7, 5) == some[Split.GATE]
    assert not again._pool._made, "asks again for what is known"
    assert again.tasks(Split.GATE, 7, 5) != world.tasks(Split.GATE, 7, 6)


@needs_java
async def test_the_splits_are_the_benchmarks_own():
    world = ScienceWorld(tasks=("power-component",))
    listed = {s: {t.params["variation"] for t in world.tasks(s, 99, 0)} for s in Split}
    await world.close()
    assert listed == {
        Split.PRACTISE: set(range(10)),
        Split.GATE: set(range(10, 15)),
        Split.HELD_OUT: set(range(15, 20)),
    }


@needs_java
def test_every_form_of_action_is_a_tool_or_left_out_on_purpose():
    simulator = jvm.Simulator()
    try:
        assert sorted(simulator.names()) == sorted(NAMES)
        simulator.load("boil", 0, "")
        plain = set(simulator.templates())
        simulator.load("power-component", 0, "easy")
        forms = plain | set(simulator.templates())
        assert forms - set(LEFT_OUT) == {t.form for t in TEMPLATES.values()} - {""}
        assert set(LEFT_OUT) <= forms and "teleport OBJ" not in plain
    finally:
        simulator.close()
    assert gone(simulator.pid)


@needs_java
async def test_the_world_is_healthy(world, tasks):
    report = await health.check(
        world, [tasks["find-living-thing"], tasks["lifespan-longest-lived"]]
    )
    assert report.healthy, report.problems
    assert report.rates["oracle"] == 1 and report.spoilt == 6
    assert 0 < report.rates["nothing"] < 0.1


@needs_java
async def test_what_an_agent_sees_and_does(living, tasks):
    first = await living.observe()
    assert "This room is called" in first and "In your inventory" in first
    names = {t.name for t in living.toolset.tools()}
    assert {"open", "teleport", "focus_on", "choose"} <= names
    assert not {"connect", "reset_task", "task", "score"} & names
    moved = await living.toolset.call("teleport", {"place": "kitchen"})
    assert not moved.error and "kitchen" in moved.text and moved.observation != first
    assert "This room is called the kitchen" in await living.observe() == moved.observation
    for said in (first, moved.observation):
        assert "score" not in said.lower() and "valid" not in said.lower()


@needs_java
async def test_mistakes_of_a_model(living):
    call = living.toolset.call
    for name, arguments, says in [
        ("reset_task", {}, "no tool reset_task"),
        ("open", {}, "thing is missing"),
        ("open", {"thing": "pandora's box"}, "open pandora's box"),
        ("open", {"thing": "\ud800"}, "open ?"),
        ("focus_on", {"thing": "wisdom"}, "wisdom"),
        ("choose", {"number": "0"}, "nothing was asked"),
    ]:
        result = await call(name, arguments)
        assert result.error and result.misuse and says in result.text
    assert (await living.score()).metrics["steps"] == 3
    assert not living.done()


@needs_java
async def test_a_question_may_be_answered_or_left(world, tasks):
    episode = await world.open(tasks["power-component"], 0)
    call = episode.toolset.call
    await call("teleport", {"place": "kitchen"})
    asked = await call("look_at", {"thing": "door"})
    assert asked.text.startswith("Ambiguous request") and not asked.error
    answered = await call("choose", {"number": "1"})
    assert "door" in answered.text and not answered.error
    assert (await call("choose", {"number": "1"})).error
    await call("look_at", {"thing": "door"})
    moved = await call("teleport", {"place": "workshop"})
    assert not moved.error and "This room is called the workshop" in moved.observation
    await episode.close()


@needs_java
async def test_a_wrong_focus_ends_it(living):
    await living.toolset.call("focus_on", {"thing": "air"})
    assert living.done()
    after = await living.toolset.call("look_around", {})
    assert after.error and after.text == "the episode is over"
    score = await living.score()
    assert (score.status, score.value, score.metrics["raw"]) == (Status.FAIL, 0.0, -100.0)
    assert "failed for good" in score.evidence


@needs_java
async def test_part_of_it_is_no_pass(living):
    await living.toolset.call("teleport", {"place": "outside"})
    score = await living.score()
    assert score.status == Status.FAIL and 0 < score.value < 0.5
    assert score.value * 100 == pytest.approx(score.metrics["raw"])


@needs_java
async def test_steps_are_limited(tasks):
    world = ScienceWorld(steps=2)
    episode = await world.open(tasks["power-component"], 0)
    for _ in range(2):
        assert not episode.done()
        await episode.toolset.call("wait1", {})
    assert episode.done() and (await episode.toolset.call("wait1", {})).error
    await episode.close()
    await world.close()


@needs_java
async def test_simulators_are_few_and_used_again(tasks):
    world = ScienceWorld(jvms=1)
    first = await world.open(tasks["power-component"], 0)
    mine, seen = pid(first), await first.observe()
    await first.toolset.call("teleport", {"place": "kitchen"})
    await first.toolset.call("pick_up", {"thing": "thermometer"})
    waiting = [asyncio.create_task(world.open(tasks["power-component"], 0)) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert not any(w.done() for w in waiting)
    waiting[0].cancel()
    await first.close()
    await first.close()
    second = await waiting[1]
    assert pid(second) == mine and await second.observe() == seen
    await second.close()
    await world.close()
    assert gone(mine)


@needs_java
async def test_a_dead_simulator_costs_one_episode(tasks):
    world = ScienceWorld(jvms=1)
    episode = await world.open(tasks["power-component"], 0)
    os.kill(pid(episode), signal.SIGKILL)
    with pytest.raises(EpisodeFault):
        await episode.toolset.call("look_around", {})
    with pytest.raises(EpisodeFault):
        await episode.score()
    dead = pid(episode)
    await episode.close()
    after = await world.open(tasks["power-component"], 0)
    assert pid(after) != dead and not (await after.toolset.call("inventory", {})).error
    await world.close()
    assert gone(pid(after))
    with pytest.raises(EpisodeFault):
        await after.score()
    await after.close()


@needs_java
async def test_a_call_that_was_given_up_costs_its_simulator(tasks):
    world = ScienceWorld(jvms=1)
    episode = await world.open(tasks["power-component"], 0)
    left = asyncio.create_task(episode.toolset.call("wait", {}))
    await asyncio.sleep(0)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    mine = pid(episode)
    await episode.close()
    await world.close()
    assert gone(mine)


KILLED = """
import time
from benchmarks.worlds._scienceworld_jvm import Simulator
simulator = Simulator()
print(simulator.pid, flush=True)
time.sleep(60)
"""


@needs_java
def test_no_simulator_outlives_a_kill():
    child = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    java = int(child.stdout.readline())
    assert not gone(java)
    child.kill()
    child.communicate()
    for _ in range(200):
        if gone(java):
            break
        time.sleep(0.05)
    assert gone(java)


# Long


@needs_java
@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
async def test_every_kind_can_be_done(name):
    world = ScienceWorld(tasks=(name,), fresh=True)
    with world._pool.spare() as simulator:
        first = world._task(lambda: simulator, name, 0, Split.PRACTISE)
    report = await health.check(world, [first])
    await world.close()
    assert report.healthy, report.problems


@needs_java
@pytest.mark.soak
async def test_a_fresh_simulator_repeats_itself():
    world = ScienceWorld(tasks=("boil",), fresh=True)
    with world._pool.spare() as simulator:
        boil = world._task(lambda: simulator, "boil", 20, Split.GATE)
    gold = await world._gold(boil)
    runs = []
    for _ in range(2):
        episode = await world.open(boil, 0)
        runs.append([(await episode.toolset.call(*call_of(a))).observation for a in gold])
        await episode.close()
    assert runs[0] == runs[1]
    await world.close()


@needs_java
@pytest.mark.soak
def test_the_same_as_the_librarys_own_environment():
    from scienceworld import ScienceWorldEnv

    simulator, env = jvm.Simulator(), ScienceWorldEnv("")
    try:
        for name in ("find-plant", "power-component", "lifespan-shortest-lived"):
            env.load(name, 3, "easy", generateGoldPath=True)
            theirs, _ = env.reset()
            gold = env.get_gold_action_sequence()
            simulator.load(name, 3, "easy", gold=True)
            # Which of several fit things the gold path takes, and in what order things are listed,
            # hangs on Java's hash codes, which differ between the two processes.
            assert simulator.gold()
            assert sorted(simulator.step("look around").text.split()) == sorted(theirs.split())
            for action in gold:
                text, _, done, info = env.step(action)
                ours = simulator.step(action)
                assert round(100 * ours.score) == info["score"], action
                assert sorted(ours.text.split()) == sorted(text.split()), action
                if done:
                    assert ours.done
                    break
    finally:
        simulator.close()
        env.close()
        env._gateway.java_process.wait(10)
        env.close = lambda: None  # Its destructor would close it again, into a broken pipe.
