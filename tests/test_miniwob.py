"""MiniWoB++ pages in a real Chromium, solved by small scripts that use the agent's own tools."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from miniwob_solvers import SOLVERS, Hands, solve

from benchmarks.worlds._miniwob_catalogue import CAVEATS
from benchmarks.worlds._miniwob_pages import folder
from benchmarks.worlds.miniwob import NAMES, MiniWob
from instar.contracts import World
from instar.errors import UnknownName, UserError
from instar.types import Score, Split, Status, Task

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
pytest.importorskip("miniwob")

SOLVED = ("click-test", "enter-text", "login-user", "click-dialog", "click-menu", "text-editor")
OTHERS = (
    *("click-checkboxes", "choose-list", "click-tab-2", "multi-orderings", "read-table"),
    *("email-inbox-delete", "odd-or-even"),
)
UNREGISTERED = {"button-delay", "chase-circle", "hover-shape", "moving-items", "simon-says"}
UNTOLD = {"click-widget", "multi-layouts"}  # where the observation leaves a script to guess


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
            await solve(episode, task)
        assert act or not episode.done()
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


async def test_every_page_is_offered_or_has_a_reason() -> None:
    pages = {path.stem for path in (folder() / "miniwob").glob("*.html")} - UNREGISTERED
    known = MiniWob.catalogue()
    assert len(known) == 125 and {page.name for page in known} == pages
    assert {page.name for page in known if page.offered} == set(NAMES)
    assert all(page.note for page in known if not page.offered)
    assert set(SOLVERS) == set(NAMES) >= set(CAVEATS)


@pytest.mark.parametrize("name", SOLVED)
async def test_solved_by_script(world: MiniWob, tasks: dict[str, Task], name: str) -> None:
    score = await judged(world, tasks[name], act=True)
    assert (score.status, score.value) == (Status.PASS, 1.0)
    assert score.metrics == {"raw": 1.0, "partial": 1.0}


@pytest.mark.parametrize("name", ["click-test", "login-user"])
async def test_doing_nothing_fails(world: MiniWob, tasks: dict[str, Task], name: str) -> None:
    score = await judged(world, tasks[name], act=False)
    assert (score.status, score.value, score.metrics) == (Status.FAIL, 0.0, {})


async def test_a_wrong_answer_fails(world: MiniWob, tasks: dict[str, Task]) -> None:
    episode = await world.open(tasks["enter-text"], 0)
    hands = Hands(episode, await episode.observe())
    await hands.fill("something else")
    await hands.click("Submit", "button")
    score = await episode.score()
    await episode.close()
    assert (score.status, score.value) == (Status.FAIL, 0.0)
    assert score.metrics == {"raw": -1.0, "partial": 0.0}


async def test_credit_for_a_part_is_no_success(world: MiniWob, tasks: dict[str, Task]) -> None:
    episode = await world.open(tasks["odd-or-even"], 0)
    hands = Hands(episode, await episode.observe())
    numbers = [int(t) for t in hands.texts() if re.fullmatch(r"-?\d+", t)]
    for row, number in enumerate(numbers):
        right = ("Odd" if number % 2 else "Even") if row else ("Even" if number % 2 else "Odd")
        await hands.click(right, "button", nth=row)
    await hands.click("Submit", "button")
    score = await episode.score()
    await episode.close()
    assert (score.status, score.value) == (Status.FAIL, 0.0)
    assert score.metrics == {name: pytest.approx(1 / 3) for name in ("raw", "partial")}


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
    assert len(Hands(episode, seen[0]).elements) > 1
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
    with pytest.raises(UserError, match="drag-box needs dragging"):
        MiniWob(names=("drag-box",))
    foreign = tasks["click-test"].model_copy(update={"world": "house_rules"})
    with pytest.raises(UserError, match="house_rules"):
        await world.open(foreign, 0)


async def test_a_page_used_again_shows_nothing_of_the_task_before(
    world: MiniWob, tasks: dict[str, Task]
) -> None:
    seen = []
    for name in ("email-inbox-delete", "login-user", "click-menu", "login-user"):
        episode = await world.open(tasks[name], 3)
        seen.append(await episode.observe())
        await solve(episode, tasks[name])
        assert episode.done()
        await episode.close()
    assert seen[1] == seen[3]


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
async def test_every_page_is_solved_by_script(world: MiniWob, name: str) -> None:
    listed = MiniWob(names=(name,)).tasks(Split.HELD_OUT, 5, 0)
    scores = [await judged(world, task, act=True) for task in listed]
    passed = sum(score.status == Status.PASS for score in scores)
    assert passed >= (2 if name in UNTOLD else len(listed)), [s.evidence for s in scores]
