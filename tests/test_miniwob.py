"""MiniWoB++ pages in a real Chromium, solved by small scripts that use the agent's own tools."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from benchmarks.worlds.miniwob import NAMES, MiniWob
from instar.contracts import Episode, World
from instar.errors import UnknownName, UserError
from instar.types import Result, Score, Split, Status, Task

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
pytest.importorskip("miniwob")

SOLVED = ("click-test", "enter-text", "login-user", "click-dialog")
OTHERS = ("click-checkboxes", "choose-list", "click-tab-2", "multi-orderings", "read-table")


class Attempt:
    """Acts by the names in the observation."""

    def __init__(self, episode: Episode, observation: str) -> None:
        self.episode, self.observation = episode, observation

    def lines(self) -> list[tuple[str, str, str]]:
        """Role, name and reference of everything that can be acted on."""
        return re.findall(r'^(\w+) "(.*?)" (e\d+)', self.observation, re.MULTILINE)

    async def do(self, tool: str, role: str, name: str = "", **arguments: str) -> Result:
        found = [ref for r, n, ref in self.lines() if r == role and name.lower() in n.lower()]
        result = await self.episode.toolset.call(
            tool, {"element": name, "ref": found[0], **arguments}
        )
        self.observation = result.observation or ""
        return result


async def solve(attempt: Attempt, task: Task) -> None:
    values = re.findall(r'"([^"]*)"', task.instruction)
    if task.family == "login-user":
        await attempt.do("fill", "textbox", "Username", text=values[0])
        await attempt.do("fill", "textbox", "Password", text=values[1])
        await attempt.do("click", "button", "Login")
    elif task.family == "enter-text":
        await attempt.do("fill", "textbox", text=values[0])
        await attempt.do("click", "button", "Submit")
    else:
        name = "Close" if task.family == "click-dialog" else "Click"
        await attempt.do("click", "button", name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[MiniWob]:
    world = MiniWob(MiniWob.Config(names=SOLVED + OTHERS))
    yield world
    await world.close()


@pytest.fixture(scope="module")
def tasks(world: MiniWob) -> dict[str, Task]:
    """A practise task of each page."""
    return {t.family: t for t in world.tasks(Split.PRACTISE, len(SOLVED + OTHERS), 0)}


async def judged(world: MiniWob, task: Task, act: bool) -> Score:
    episode = await world.open(task, 0)
    try:
        if act:
            await solve(Attempt(episode, await episode.observe()), task)
        assert episode.done() is act
        return await episode.score()
    finally:
        await episode.close()


async def test_tasks(world: MiniWob, tasks: dict[str, Task]) -> None:
    assert isinstance(world, World)
    assert len(NAMES) == len(set(NAMES)) >= 40
    assert set(tasks) == set(SOLVED + OTHERS)
    assert all(t.group == t.family and t.namespace == "miniwob" for t in tasks.values())
    assert re.fullmatch(
        r'Enter ".+" into the text field and press Submit.', tasks["enter-text"].instruction
    )
    few = {s: MiniWob(names=("click-test",)).tasks(s, 2, 5) for s in (Split.GATE, Split.HELD_OUT)}
    again = MiniWob(names=("click-test",)).tasks(Split.GATE, 2, 5)
    assert few[Split.GATE] == again
    assert all(t.split == split for split, listed in few.items() for t in listed)
    assert len({t.id for listed in few.values() for t in listed}) == 4


@pytest.mark.parametrize("name", SOLVED)
async def test_solved_by_script(world: MiniWob, tasks: dict[str, Task], name: str) -> None:
    score = await judged(world, tasks[name], act=True)
    assert (score.status, score.value, score.metrics) == (Status.PASS, 1.0, {"raw": 1.0})


@pytest.mark.parametrize("name", ["click-test", "login-user"])
async def test_doing_nothing_fails(world: MiniWob, tasks: dict[str, Task], name: str) -> None:
    score = await judged(world, tasks[name], act=False)
    assert (score.status, score.value, score.metrics) == (Status.FAIL, 0.0, {})


async def test_a_wrong_answer_fails(world: MiniWob, tasks: dict[str, Task]) -> None:
    episode = await world.open(tasks["enter-text"], 0)
    attempt = Attempt(episode, await episode.observe())
    await attempt.do("fill", "textbox", text="something else")
    await attempt.do("click", "button", "Submit")
    score = await episode.score()
    await episode.close()
    assert (score.status, score.value, score.metrics) == (Status.FAIL, 0.0, {"raw": -1.0})


@pytest.mark.parametrize("name", OTHERS)
async def test_others_load_the_same_each_time(
    world: MiniWob, tasks: dict[str, Task], name: str
) -> None:
    seen = []
    for _ in range(2):
        episode = await world.open(tasks[name], 7)
        seen.append(await episode.observe())
        await episode.close()
    assert seen[0] == seen[1]
    assert len(Attempt(episode, seen[0]).lines()) > 1
    assert not re.search("reward|episodes|START|Time left", seen[0], re.IGNORECASE)


async def test_no_script_and_no_way_out(world: MiniWob, tasks: dict[str, Task]) -> None:
    episode = await world.open(tasks["click-test"], 0)
    names = {t.name for t in episode.toolset.tools()}
    assert names == {"click", "fill", "select", "check", "press", "wait", "read"}
    left = await episode.toolset.call("navigate", {"url": "javascript:core.endEpisode(1)"})
    assert left.error
    assert (await episode.score()).status == Status.FAIL
    await episode.close()


async def test_user_mistakes(world: MiniWob, tasks: dict[str, Task]) -> None:
    with pytest.raises(UnknownName, match="click-test"):
        MiniWob(MiniWob.Config(names=("click-tset",)))
    foreign = tasks["click-test"].model_copy(update={"world": "house_rules"})
    with pytest.raises(UserError, match="house_rules"):
        await world.open(foreign, 0)
