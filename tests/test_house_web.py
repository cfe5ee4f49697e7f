"""House Rules by the web door: the pages themselves, and real work in a real Chromium."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from benchmarks.houses.agents import Agent, do_nothing, oracle, recovering, rule_blind
from benchmarks.houses.case import Case, solution
from benchmarks.houses.house import House
from benchmarks.houses.records import KINDS
from benchmarks.houses.server import Server
from benchmarks.houses.tasks import parse
from benchmarks.worlds.house_rules import HouseRules
from instar.contracts import Episode, Toolset
from instar.types import Split, Status, Task

WEB = {"door": "web"}


def tasks(world: HouseRules, n: int, **fixed) -> list[Task]:
    return world.tasks(Split.PRACTISE, n, 0, {**WEB, **fixed})


class Site:
    """The pages of one case, read without a browser."""

    def __init__(self, case: Case, secret: str, first: str, http: aiohttp.ClientSession) -> None:
        self.case, self.secret, self.first, self.http = case, secret, first, http
        self.root = first.rpartition("/")[0]

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.root + path) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, **form: str) -> tuple[int, str]:
        async with self.http.post(self.root + path, data=form) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    world = HouseRules(house=3)
    case = Case(world.house, tasks(world, 1, family="refund", records=1)[0], 0)
    server = Server()
    await server.start()
    secret, first = server.add(case)
    async with aiohttp.ClientSession() as http:
        yield Site(case, secret, first, http)
    await server.close()


# The pages


async def test_lists_and_records_are_reachable_by_links_and_tell_no_rule(site: Site):
    hidden = {
        v for r in site.case.house.rules.values() for k, v in vars(r).items() if k != "opening"
    }
    seen = set()
    for kind in KINDS:
        status, page = await site.get(f"/{kind}")
        assert status == 200
        assert f"<h1>{kind} list</h1>" in page
        for link in re.findall(rf'href="/{site.secret}(/{kind}/\w+)"', page):
            status, record = await site.get(link)
            assert status == 200
            seen.add(link.rpartition("/")[2])
            page += record
        words = set(re.findall(r"\w+", re.sub(r"(?s)<style>.*?</style>", "", page)))
        assert hidden and not words & (hidden | {"instead", "first", "last", "ending"})
    assert seen == set(site.case.state.entries)


async def test_an_answer_is_shown_once_and_a_refusal_is_an_alert(site: Site):
    name = site.case.dials.ids[0]
    status, page = await site.post(f"/order/{name}", **{"tool": "tag", "tag-text": "<b>hi</b>"})
    assert status == 200
    assert f'<p role="status">order {name} tagged &lt;b&gt;hi&lt;/b&gt;</p>' in page
    assert 'role="status"' not in (await site.get(f"/order/{name}"))[1]
    _, page = await site.post(f"/order/{name}", tool="tag")
    assert '<p role="alert">text is missing</p>' in page


async def test_pages_have_no_way_round_the_rules(site: Site):
    name = site.case.dials.ids[0]
    before = site.case.state
    for path in ("/reset", "/oracle", "/score", "/order/999999", f"/ticket/{name}", ""):
        assert (await site.get(path))[0] == 404
    for form in ({}, {"tool": "reset"}, {"tool": "look"}, {"tool": "restock"}):
        assert (await site.post(f"/order/{name}", **form))[0] == 400
    stranger = site.first.replace(site.secret, "guess")
    async with site.http.get(stranger) as answer:
        assert answer.status == 404
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert site.case.state == before


async def test_a_case_is_gone_when_its_episode_is(site: Site):
    server = Server()
    await server.start()
    secret, first = server.add(site.case)
    server.remove(secret)
    async with site.http.get(first) as answer:
        assert answer.status == 404
    await server.close()


# In a real browser


@pytest.fixture
async def world() -> AsyncIterator[HouseRules]:
    world = HouseRules(house=3)
    yield world
    await world.close()


def by_tools(task: Task) -> Task:
    """The same request by the other door; the id stays, so that the state is the same."""
    return task.model_copy(update={"params": {**task.params, "door": "tools"}})


@pytest.mark.browser
async def test_both_doors_lead_to_the_same_verdicts(world: HouseRules):
    chosen = tasks(world, 8)
    assert len({t.family for t in chosen}) == 8

    async def compare(task: Task, agent: Agent) -> None:
        web, tools = await agent(world, task, 0), await agent(world, by_tools(task), 0)
        assert web == tools, (agent, task.instruction)

    agents = (oracle, recovering) * 4
    await asyncio.gather(*map(compare, chosen, agents))
    assert (await oracle(world, chosen[0], 0)).status == Status.PASS
    assert (await do_nothing(world, chosen[0], 0)).status == Status.FAIL


@pytest.mark.browser
async def test_a_refusal_on_a_page_is_an_error_and_ends_the_case(world: HouseRules):
    family = next(f for f, r in world.house.rules.items() if r.manner == "locked")
    task = tasks(world, 1, family=family, large=family in ("refund", "ship", "cancel"))[0]
    episode = await world.open(task, 0)
    assert isinstance(episode, Episode)
    assert isinstance(episode.toolset, Toolset)
    assert (await episode.observe()).startswith("page: order list of house 3\n")
    score = await rule_blind(world, task, 0)
    assert score.metrics["broken"] == 1.0
    await episode.close()
    await episode.close()


@pytest.mark.browser
async def test_enter_in_a_box_presses_no_button(world: HouseRules):
    task = tasks(world, 1, family="refund", records=1)[0]
    episode = await world.open(task, 0)
    name = parse(task.params).ids[0]

    async def act(tool: str, line: str, **more: str) -> str:
        ref = next(s for s in seen.splitlines() if s.startswith(line)).split()[-1]
        result = await episode.toolset.call(tool, {"element": line, "ref": ref, **more})
        return result.observation or ""

    seen = await episode.observe()
    seen = await act("click", f'link "{name}"')
    assert f"heading: order {name}" in seen
    seen = await act("fill", 'textbox "code"', text="x1")
    result = await episode.toolset.call("press", {"key": "Enter"})
    assert "alert" not in (result.observation or "")
    assert not episode.done()
    assert (await episode.score()).metrics["broken"] == 0.0
    await episode.close()


@pytest.mark.browser
async def test_what_must_come_last_is_asked_for_at_finish(world: HouseRules):
    after = next(HouseRules(house=n) for n in range(50) if "after" in kinds(n))
    family = next(f for f, r in after.house.rules.items() if r.kind == "after")
    task = tasks(after, 1, family=family)[0]
    try:
        score = await rule_blind(after, task, 0)
        assert (score.status, score.metrics["broken"]) == (Status.FAIL, 1.0)
        assert len(solution(after.house, parse(task.params))) > len(
            solution(House(0, {}), parse(task.params))
        )
        assert (await oracle(after, task, 0)).status == Status.PASS
    finally:
        await after.close()


def kinds(number: int) -> set[str]:
    return {rule.kind for rule in HouseRules(house=number).house.rules.values()}
