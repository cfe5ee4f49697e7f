"""MiniWoB++ by BrowserGym against our own driver: same goals, and same rewards for same actions.

Each side gets the seed as it sets it: BrowserGym draws a number from the seed it is given, and hands
that to the page's generator; here the same number is handed to it. The scripts read each side's own
observations. Three of five seeds are played right, two wrong on purpose.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import numpy
import pytest
import pytest_asyncio
from miniwob_solvers import SOLVERS, Hands

from benchmarks.worlds._miniwob_pages import Pages, begin
from benchmarks.worlds.browsergym import VARIABLE, BrowserGym
from benchmarks.worlds.miniwob import _Attempt
from instar.contracts import Episode
from instar.types import Result, Split, Task

NAMES = (
    *("click-test", "click-test-2", "click-button", "click-button-sequence", "click-dialog"),
    *("click-dialog-2", "click-option", "choose-list", "enter-text", "enter-text-2"),
    *("enter-password", "login-user", "focus-text", "focus-text-2", "simple-algebra"),
    *("read-table", "odd-or-even", "form-sequence-2", "find-word", "guess-number"),
)
# A long limit for loading, because the machine may be busy; actions keep their half a second.
QUICK = {"pre_observation_delay": 0.0, "slow_mo": 0, "timeout": 60_000}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set"),
]


class Noting(Hands):
    """Keeps what was done, without what differs by driver: references."""

    def __init__(self, episode: Episode, seen: str) -> None:
        super().__init__(episode, seen)
        self.done: list[tuple[Any, ...]] = []
        self.late = False

    async def call(self, tool: str, line: Any = None, **arguments: str) -> Result:
        self.done.append((tool, line and line.role, *sorted(arguments.items())))
        result = await super().call(tool, line, **arguments)
        self.late |= result.error and "Timeout" in result.text
        return result


async def play(hands: Noting, name: str, goal: str, right: bool) -> tuple[list[Any], Any]:
    """What was done, and the page's raw reward; None where the task was not ended."""
    if right:
        await SOLVERS[name](hands, goal)
    else:  # the last button there is, at once
        await hands.click(None, "button" if hands.find(None, "button") else "textbox", nth=-1)
    return hands.done, (await hands.episode.score()).metrics.get("raw")


async def theirs(world: BrowserGym, task: Task, right: bool) -> tuple[str, list[Any], Any]:
    """BrowserGym gives an action half a second; on a busy machine that is played again."""
    for attempt in range(4):
        episode = await world.open(task, 0)
        try:
            goal = " ".join(episode.toolset.goal.split())  # type: ignore[attr-defined]
            hands = Noting(episode, await episode.observe())
            found = goal, *await play(hands, task.family, goal, right)
            if attempt == 3 or not hands.late:
                break
        finally:
            await episode.close()
    return found


async def ours(pages: Pages, task: Task, right: bool) -> tuple[str, list[Any], Any]:
    drawn = numpy.random.RandomState(int(str(task.params["seed"]))).randint(0, 1_000_000)
    page = await pages.open(task.family, 0)
    goal = await begin(page, int(drawn))
    episode = _Attempt(page, pages)
    try:
        hands = Noting(episode, await episode.observe())
        return goal, *await play(hands, task.family, goal, right)
    finally:
        await episode.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[BrowserGym]:
    world = BrowserGym(task="miniwob.click-test", options=QUICK)
    yield world
    await world.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages() -> AsyncIterator[Pages]:
    pages = Pages()
    yield pages
    await pages.close()


async def compare(world: BrowserGym, pages: Pages, name: str, seeds: range) -> list[Any]:
    """Rewards, after everything was found to be the same on both sides."""
    (listed,) = world.tasks(Split.GATE, 1, 0)
    rewards = []
    for seed in seeds:
        params = {"task": f"browsergym/miniwob.{name}", "seed": seed}
        task = listed.model_copy(update={"family": name, "params": params})
        right = seed % 2 == 0
        there = await theirs(world, task, right)
        assert there == await ours(pages, task, right)
        assert (there[2] == 1) >= right
        rewards.append(there[2])
    return rewards


async def test_same_goals_and_rewards(world: BrowserGym, pages: Pages) -> None:
    assert await compare(world, pages, "login-user", range(2)) == [1, -1]


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
async def test_same_goals_and_rewards_in_many_tasks(
    world: BrowserGym, pages: Pages, name: str
) -> None:
    rewards = await compare(world, pages, name, range(5))
    print(f"\n{name:24} 5 of 5 goals and rewards equal; raw rewards {rewards}")


async def test_a_killed_browsergym_leaves_nothing_running() -> None:
    from test_browsergym import left

    from benchmarks.worlds._browsergym_pipe import _descendants
    from instar.errors import EpisodeFault

    world = BrowserGym(task="miniwob.click-test", options=QUICK)
    episode = await world.open(world.tasks(Split.GATE, 1, 0)[0], 0)
    child = episode._child  # type: ignore[attr-defined]
    started = _descendants(child.pid)
    assert len(started) > 2  # the driver and two browsers at least
    os.kill(child.pid, 9)
    with pytest.raises(EpisodeFault):
        await Hands(episode, await episode.observe()).click(None, "button")
    await episode.close()
    assert not await left([child.pid, *started])
    await world.close()
