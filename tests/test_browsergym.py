"""The BrowserGym adapter: protocol, tools and faults with a tiny world behind a real child process;
the benchmark itself where ``INSTAR_BROWSERGYM_PYTHON`` names an environment that has it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract_live import check_world

from benchmarks.worlds import _browsergym_child as child
from benchmarks.worlds._browsergym_sites import BENCHMARKS
from benchmarks.worlds._browsergym_tree import show
from benchmarks.worlds.browsergym import VARIABLE, BrowserGym
from instar.contracts import World
from instar.errors import EpisodeFault, MissingExtra, UnknownName, UserError
from instar.types import Split, Status

# Speaks the protocol as an interpreter that is given the real script's path and ignores it.
TINY = """\
import json, os, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
def node(depth, role, name="", bid="", value="", clickable=False, **states):
    return dict(depth=depth, role=role, name=name, bid=bid, value=value, clickable=clickable, states=states)
def seen(text):
    return dict(title="Desk", url="http://desk/", tabs=["Desk"], tab=0, told=[], nodes=[
        node(0, "RootWebArea", "Desk"), node(1, "heading", "Orders"), node(2, "StaticText", "Orders"),
        node(1, "StaticText", "Say the word"), node(1, "textbox", "Word", "7", text),
        node(2, "generic"), node(3, "StaticText", text),
        node(1, "combobox", "Size", "8"), node(2, "MenuListPopup"),
        node(3, "option", "small", "9"), node(3, "option", "large", "10", selected="true"),
        node(1, "listbox", "Extras", "11"), node(2, "option", "tea", "12", selected="true"),
        node(2, "option", "milk", "13"), node(1, "generic", "More", "14", clickable=True),
        node(1, "button", "Go", "15"), node(2, "StaticText", "Go")])
def log(line):
    with open(os.path.join(here, "log"), "a") as file:
        file.write(line + chr(10))
def step(action):
    if action == 'keyboard_press("die")': os._exit(3)
    if action == 'keyboard_press("garbage")': print("hello", flush=True)
    if action == 'keyboard_press("list")': print("[1]", flush=True)
    if action == 'keyboard_press("stale")': print('{"id": 0, "ok": {}}', flush=True)
    if action == 'keyboard_press("fault")': raise RuntimeError("the page has crashed")
    if action == 'keyboard_press("hang")':
        log(f"pid {subprocess.Popen(['sleep', '600'], start_new_session=True).pid}"); time.sleep(600)
    log(action)
    error = "TimeoutError: it is hidden" + chr(10) + "Call log" if action == 'click("14")' else ""
    won = action == 'click("15")'
    return dict(error=error, reward=float(won), raw=None, done=won, **seen("abc"))
def answer(do, **more):
    if do == "tasks":
        return [f"browsergym/{more['prefix']}.{n}" for n in ("one", "two", "two-b", "three.1")]
    if do == "open":
        log(f"open {os.getpid()}")
        return dict(goal=f"goal {more['seed']}", **seen(""))
    return step(more["action"]) if do == "step" else True
for line in sys.stdin:
    request = json.loads(line); key = request.pop("id")
    try:
        print(json.dumps({"id": key, "ok": answer(**request)}), flush=True)
    except RuntimeError as error:
        print(json.dumps({"id": key, "error": ["fault", str(error)]}), flush=True)
"""

Make = Callable[..., BrowserGym]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """An interpreter that is the tiny world."""
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable} -E\n{TINY}")
    python.chmod(0o755)
    return python


@pytest.fixture
async def make(tiny: Path) -> Any:
    made: list[BrowserGym] = []

    def one(**settings: Any) -> BrowserGym:
        made.append(BrowserGym(python=str(tiny), **settings))
        return made[-1]

    yield one
    for world in made:
        await world.close()


def logged(tiny: Path, start: str = "") -> list[str]:
    return [x for x in (tiny.parent / "log").read_text().splitlines() if x.startswith(start)]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def left(pids: list[int]) -> list[int]:
    """Which of them still run, once a kill had time to be carried out."""
    for _ in range(200):
        pids = [pid for pid in pids if runs(pid)]
        if not pids:
            break
        await asyncio.sleep(0.02)
    return pids


async def test_the_contract_of_worlds(tiny: Path) -> None:
    class Tiny(BrowserGym):
        """The tiny world."""

        def __init__(self, config: BrowserGym.Config | None = None) -> None:
            super().__init__(config or BrowserGym.Config(python=str(tiny)))

    await check_world(Tiny)


async def test_an_episode(make: Make, tiny: Path) -> None:
    world = make()
    assert isinstance(world, World)
    (task,) = world.tasks(Split.GATE, 1, 3)
    assert task.instruction == f"goal {task.params['seed']}" and task.namespace == world.namespace
    episode = await world.open(task, 0)
    assert await episode.observe() == "\n".join(
        (
            "page: Desk",
            "heading: Orders",
            "text: Say the word",
            'textbox "Word" 7',
            'combobox "Size" 8 = "large" options "small" "large"',
            'listbox "Extras" 11 = "tea"',
            'option "tea" 12 selected',
            'option "milk" 13',
            'generic "More" 14',
            'button "Go" 15',
        )
    )
    call = episode.toolset.call
    text = 'say "no"\n\\ é'
    filled = await call("fill", {"element": "word", "ref": "7", "text": text})
    assert filled.text == "ok" and 'textbox "Word" 7 = "abc"' in (filled.observation or "")
    await call("select", {"element": "size", "ref": "8", "option": "small"})
    await call("select", {"element": "extras", "ref": "11", "option": "milk"})
    await call("press", {"key": "Control+a"})
    await call("scroll", {"direction": "down"})
    hidden = await call("click", {"element": "more", "ref": "14"})
    assert hidden.error and hidden.text == "TimeoutError: it is hidden"
    unknown = await call("click", {"element": "go", "ref": "99"})
    assert unknown.error and unknown.misuse and "no element 99" in unknown.text
    assert not episode.done() and (await episode.score()).metrics == {}
    await call("click", {"element": "go", "ref": "15"})
    assert episode.done()
    over = await call("click", {"element": "go", "ref": "15"})
    assert over.error and "over" in over.text
    score = await episode.score()
    assert (score.status, score.value, score.metrics) == (Status.PASS, 1.0, {"reward": 1.0})
    await episode.close()
    assert [x for x in logged(tiny) if not x.startswith("open")] == [
        r'fill("7", "say \"no\"\n\\ é")',
        'select_option("8", ["small"])',
        'select_option("11", ["tea", "milk"])',
        'keyboard_press("Control+a")',
        "scroll(0, 600)",
        'click("14")',
        'click("15")',
    ]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("die", "has ended"),
        ("garbage", "garbage"),
        ("list", "garbage"),
        ("stale", "garbage"),
        ("fault", "crashed"),
        ("hang", "no answer in 1 s"),
        ("killed", "has ended"),
    ],
)
async def test_a_fault_ends_the_episode_and_the_child(
    make: Make, tiny: Path, key: str, why: str
) -> None:
    world = make(seconds=1.0, at_once=1)
    task, other = world.tasks(Split.PRACTISE, 2, 0)
    episode = await world.open(task, 0)
    pid = int(logged(tiny, "open")[-1].split()[1])
    if key == "killed":
        os.kill(pid, 9)
    with pytest.raises(EpisodeFault, match=why):
        await episode.toolset.call("press", {"key": key})
    await episode.close()
    started = [pid, *(int(x.split()[1]) for x in logged(tiny, "pid"))]
    assert not await left(started)
    again = await asyncio.wait_for(world.open(other, 0), 20)
    assert not again.done() and "Desk" in await again.observe()
    assert int(logged(tiny, "open")[-1].split()[1]) != pid
    await again.close()


async def test_a_cancelled_question_ends_the_child(make: Make, tiny: Path) -> None:
    world = make()
    episode = await world.open(world.tasks(Split.PRACTISE, 1, 0)[0], 0)
    asking = asyncio.create_task(episode.toolset.call("press", {"key": "hang"}))
    while not logged(tiny, "pid"):
        await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await episode.close()
    assert not await left([int(x.split()[1]) for x in logged(tiny) if x[:4] in ("pid ", "open")])


async def test_episodes_at_once_are_limited_and_children_used_again(make: Make, tiny: Path) -> None:
    world = make(at_once=2)
    tasks = world.tasks(Split.PRACTISE, 3, 0)
    first, second = [await world.open(t, 0) for t in tasks[:2]]
    third = asyncio.create_task(world.open(tasks[2], 0))
    await asyncio.sleep(0)
    assert not third.done()
    await first.close()
    opened = await asyncio.wait_for(third, 20)
    pids = [x.split()[1] for x in logged(tiny, "open")]
    assert len(set(pids)) == 2 and pids[-1] in pids[:-1]
    await second.close()
    await opened.close()
    await world.close()
    assert not await left([int(p) for p in pids])


async def test_finishing_tells_the_answer_where_one_is_wanted(
    make: Make, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task, told in (("assistantbench", ['send_msg_to_user("42")']), ("miniwob", [])):
        (tiny.parent / "log").unlink(missing_ok=True)
        world = make(task=task)
        episode = await world.open(world.tasks(Split.PRACTISE, 1, 0)[0], 0)
        await episode.finish("42")
        await episode.close()
        assert logged(tiny, "send") == told
        names = {t.name for t in episode.toolset.tools()}
        assert ("navigate" in names) == (task != "miniwob")


async def test_addresses_that_run_script_are_refused(make: Make, tiny: Path) -> None:
    world = make(task="assistantbench")
    episode = await world.open(world.tasks(Split.PRACTISE, 1, 0)[0], 0)
    for url in ("javascript:1", "file:///etc/passwd"):
        assert (await episode.toolset.call("navigate", {"url": url})).error
    assert not logged(tiny, "goto")
    await episode.close()


def test_part_of_a_benchmark(make: Make) -> None:
    def names(task: str) -> set[str]:
        listed = [t for s in Split for t in make(task=task).tasks(s, 6, 0)]
        return {str(t.params["task"]).removeprefix("browsergym/miniwob.") for t in listed}

    assert names("miniwob") == {"one", "two", "two-b", "three.1"}
    assert names("miniwob.two") == {"two"} and names("miniwob.three") == {"three.1"}
    with pytest.raises(UnknownName, match=r"miniwob\.two"):
        make(task="miniwob.twoo").tasks(Split.GATE, 1, 0)


def test_what_is_missing_is_named(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(MissingExtra, match=f"browsergym-miniwob.*{VARIABLE}"):
        BrowserGym().tasks(Split.GATE, 1, 0)
    with pytest.raises(UserError, match="nowhere is no Python"):
        BrowserGym(python=str(tmp_path / "nowhere")).tasks(Split.GATE, 1, 0)
    with pytest.raises(UnknownName, match="webarena"):
        BrowserGym(task="webarina")
    for name in BENCHMARKS["webarena"].needs:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"WA_SHOPPING, WA_SHOPPING_ADMIN.*WA_HOMEPAGE"):
        make(task="webarena").tasks(Split.GATE, 1, 0)
    foreign = make().tasks(Split.GATE, 1, 0)[0].model_copy(update={"namespace": "miniwob"})
    with pytest.raises(UserError, match="belongs to miniwob"):
        asyncio.run(make().open(foreign, 0))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_real_child_names_what_its_environment_lacks(monkeypatch: Any) -> None:
    pytest.importorskip("miniwob")
    with pytest.raises(ImportError):
        __import__("browsergym.core")
    with pytest.raises(MissingExtra, match=r"-m pip install browsergym-core browsergym-miniwob"):
        BrowserGym(python=sys.executable).tasks(Split.GATE, 1, 0)
    for name in BENCHMARKS["webarena"].needs:
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with pytest.raises(UserError, match=r"WA_SHOPPING=http://127\.0\.0\.1:9/ does not answer"):
        BrowserGym(python=sys.executable, task="webarena").tasks(Split.GATE, 1, 0)


def test_a_page_of_the_open_web_must_answer(monkeypatch: Any) -> None:
    nobody = BENCHMARKS["assistantbench"].model_copy(update={"servers": ("http://127.0.0.1:9/",)})
    monkeypatch.setitem(BENCHMARKS, "assistantbench", nobody)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/ does not answer"):
        BrowserGym(python=sys.executable, task="assistantbench").tasks(Split.GATE, 1, 0)


def test_the_child_stands_alone() -> None:
    source = Path(child.__file__).read_text()
    assert not re.search(r"^\s*(from|import) (instar|benchmarks|tools)", source, re.MULTILINE)


def test_the_tree_as_chromium_gives_it() -> None:
    def node(key: str, role: str, name: str, *inner: str, **more: Any) -> dict[str, Any]:
        properties = [{"name": k, "value": {"value": v}} for k, v in more.pop("is_", {}).items()]
        value = {"value": {"value": more.pop("value")}} if "value" in more else {}
        named = {"role": {"value": role}, "name": {"value": name}, "properties": properties}
        return {"nodeId": key, "childIds": [*inner], **named, **value, **more}

    nodes = [
        node("1", "RootWebArea", "Shop", "2", "5", "9"),
        node("2", "LabelText", "", "3", "4", browsergym_id="a"),
        node("3", "checkbox", "Gift", browsergym_id="b", is_={"checked": "true", "disabled": True}),
        node("4", "StaticText", "Wrap it", "6"),
        node("5", "button", "Pay", "7", browsergym_id="c", is_={"disabled": False}),
        node("6", "InlineTextBox", "Wrap it"),
        node("7", "StaticText", "Pay", "8"),
        node("8", "InlineTextBox", "Pay"),
        node("9", "textbox", "", browsergym_id="d", value=12),
    ]
    found = list(child._nodes({"nodes": nodes}, {"c": {"clickable": True}}))
    seen = {"title": "Shop", "tabs": ["Shop", "Help"], "tab": 0, "nodes": found}
    assert show(seen, 600).text == "\n".join(
        (
            "page: Shop",
            "tab 1: Help",
            'checkbox "Gift" b checked disabled',
            "text: Wrap it",
            'button "Pay" c',
            'textbox "" d = "12"',
        )
    )
