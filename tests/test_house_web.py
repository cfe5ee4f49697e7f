"""House Rules by the web door: the pages themselves, and real work in a real Chromium."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from benchmarks.houses.agents import Agent, do_nothing, oracle, recovering, rule_blind
from benchmarks.houses.case import Case, naive, solution
from benchmarks.houses.dials import parse
from benchmarks.houses.offices.back_office import BACK_OFFICE
from benchmarks.houses.pages import Place, call_of, list_page, record_page
from benchmarks.houses.server import Server
from benchmarks.worlds.house_rules import HouseRules
from benchmarks.worlds.library_desk import LibraryDesk
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
    hidden = {word for rule in site.case.house.rules.values() for word in rule.secrets()}
    seen = set()
    for kind in BACK_OFFICE.kinds:
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


async def test_long_lists_have_pages_and_a_search(site: Site):
    world = HouseRules(house=3)
    case = Case(world.house, tasks(world, 1, family="close", length=27)[0], 0)
    names = sorted(e.name for e in case.state.entries.values() if e.kind == "ticket")
    place = Place("/x")
    seen = []
    for page in (1, 2, 3):
        text = list_page(case, place, "ticket", page=page)
        seen += re.findall(r'href="/x/ticket/(\w+)"', text)
        assert len(seen) == min(10 * page, len(names))
        assert (">next page<" in text) is (page < 3) and (">previous page<" in text) is (page > 1)
    assert seen == names and len(names) >= 27
    found = list_page(case, place, "ticket", query=names[13])
    assert re.findall(r'href="/x/ticket/(\w+)"', found) == [names[13]]
    assert "nothing found" in list_page(case, place, "ticket", query="<zz>")
    assert list_page(case, place, "ticket", page=99) == list_page(case, place, "ticket", page=3)
    short = list_page(site.case, place, "order")
    assert "search" not in short.partition("<body>")[2] and "page</a>" not in short


async def test_addresses_with_nonsense_are_harmless(site: Site):
    plain = (await site.get("/order"))[1]
    for query in ("?page=0", "?page=-3", "?page=x", "?page=99999999999", "?q=%20"):
        assert await site.get(f"/order{query}") == (200, plain)
    name = site.case.dials.ids[0]
    record = (await site.get(f"/order/{name}"))[1]
    for query in ("?ask=refund", "?ask=reset", "?ask="):
        assert await site.get(f"/order/{name}{query}") == (200, record)
    _, page = await site.get("/order?q=%3Cscript%3E")
    assert "<script>" not in page


async def test_a_dialog_asks_before_anything_is_confirmed(site: Site):
    name = site.case.dials.ids[0]
    _, page = await site.post(f"/order/{name}", tool="confirm")
    assert "<dialog open>" in page and f"confirm order {name}?" in page
    assert not site.case.state.events
    _, page = await site.post(f"/order/{name}", tool="confirm", sure="no")
    assert "<dialog" not in page and not site.case.state.events
    _, page = await site.post(f"/order/{name}", tool="confirm", sure="yes")
    assert f'<p role="status">order {name} confirmed</p>' in page
    assert site.case.state.entries[name].trail == ("confirmed",)


@pytest.mark.parametrize(
    ("family", "form", "said"),
    [
        ("restock", {"quantity": "many"}, "quantity is not a number"),
        ("restock", {}, "quantity is missing"),
        ("discount", {"percent": "200"}, "percent is not a number below 100"),
        ("update", {"email": "nobody"}, "email is not an address"),
        ("forward", {"address": "a@b"}, "address is not an address"),
        ("book", {"customer": "999"}, "no customer 999"),
        ("move", {"time": "25"}, "time is not an hour from 8 to 18"),
        ("close", {"tool": "wait", "wait-until": "teatime"}, "until is none of early, noon"),
        ("reply", {"text": "x" * 500}, "text is longer than 400 letters"),
    ],
)
def test_ill_formed_values_are_told_in_words_and_break_nothing(family, form, said):
    world = HouseRules(house=3)
    case = Case(world.house, tasks(world, 1, family=family)[0], 0)
    entry = case.state.entries[case.dials.ids[0]]
    call = call_of(world.office, entry, {"tool": family, **form})
    assert call is not None
    result = case.act(call.name, call.arguments)
    assert said in result.text and result.error and result.misuse
    assert f'<p role="alert">{said}' in record_page(case, Place("/x", result), entry)
    assert case.state.content() == case.start.content() and not case.state.broken


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
    name = parse(BACK_OFFICE, task.params).ids[0]

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
        case = Case(after.house, task, 0)
        right = solution(case.house, case.dials, case.start)
        assert len(right) > len(naive(case.house, case.dials))
        assert (await oracle(after, task, 0)).status == Status.PASS
    finally:
        await after.close()


def kinds(number: int) -> set[str]:
    return {rule.kind for rule in HouseRules(house=number).house.rules.values()}


@pytest.mark.browser
async def test_the_browser_walks_long_lists_dialogs_and_every_other_kind_of_rule():
    """Kinds that the house of the other tests does not have, and one task of the library."""
    wanted = {"confirm", "field", "role", "window", "exception", "named"}
    worlds, jobs = [], []
    for number in range(60):
        world = HouseRules(house=number)
        new = {r.kind: f for f, r in world.house.rules.items() if r.kind in wanted}
        if new:
            wanted -= set(new)
            worlds.append(world)
            jobs += [(world, tasks(world, 1, family=f, length=14)[0]) for f in new.values()]
    assert not wanted
    library = LibraryDesk(house=2)
    worlds.append(library)
    jobs += [(library, task) for task in tasks(library, 2)]

    async def compare(world: HouseRules, task: Task) -> None:
        web, tools = await oracle(world, task, 0), await oracle(world, by_tools(task), 0)
        assert web == tools and web.status == Status.PASS, task.instruction

    try:
        await asyncio.gather(*(compare(*job) for job in jobs))
    finally:
        for world in worlds:
            await world.close()


async def test_an_episode_begins_in_the_context_of_an_earlier_one_as_if_in_its_own() -> None:
    first, second = HouseRules(house=3), HouseRules(house=3)
    listed = tasks(first, 2)
    try:
        episodes = [await first.open(listed[0], 0)]
        raw = episodes[0].toolset.raw
        await episodes[0].close()
        episodes.append(await first.open(listed[1], 0))
        alone = await second.open(listed[1], 0)
        assert episodes[1].toolset.raw.context == raw.context
        assert await episodes[1].observe() == await alone.observe()
        back = [await e.toolset.call("back", {}) for e in (episodes[1], alone)]
        assert back[0] == back[1]
        await episodes[1].close()
        await raw.context.close()
        replaced = await first.open(listed[1], 0)
        assert replaced.toolset.raw.context != raw.context
        assert await replaced.observe()
    finally:
        await first.close()
        await second.close()
