"""The browser tool in a real Chromium, on pages of tests/pages/ served over loopback."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from instar.contracts import Toolset
from instar.errors import EpisodeFault, UserError
from instar.types import Result
from tools.browser import Browser, BrowserPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGES = Path(__file__).parent / "pages"


class Site:
    """The pages, one that is slow, one that redirects; counts who came by a foreign name."""

    def __init__(self) -> None:
        self.port = 0
        self.visits: list[str] = []
        self.foreign: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.visits.append(request.path_qs)
        if not request.host.startswith("127.0.0.1:"):
            self.foreign.append(request.path_qs)
        if request.path == "/slow":
            await asyncio.sleep(0.3)
            text = "<title>Slow</title><div role=status>slow is here</div>"
            return web.Response(text=text, content_type="text/html")
        if request.path == "/away":
            raise web.HTTPFound(f"http://localhost:{self.port}/form.html")
        if request.path == "/to":
            raise web.HTTPFound(f"http://{request.query_string}/redirected")
        if request.path == "/hang":
            text = "<button onclick='while (true);'>hang</button>"
            return web.Response(text=text, content_type="text/html")
        file = PAGES / request.path.strip("/")
        return web.FileResponse(file) if file.is_file() else web.Response(status=404, text="none")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    yield site
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as browser:
        yield browser


class Hand:
    """Acts on elements by role and name, as an agent would by reading the observation."""

    def __init__(self, page: BrowserPage, observation: str) -> None:
        self.page, self.observation = page, observation

    def ref(self, name: str) -> str:
        found = re.search(rf'^\w+ "{re.escape(name)}" (e\d+)', self.observation, re.MULTILINE)
        assert found, f"{name} is not in\n{self.observation}"
        return found.group(1)

    def line(self, name: str) -> str:
        """The element's line without its reference."""
        found = re.search(rf'^\w+ "{re.escape(name)}".*', self.observation, re.MULTILINE)
        return re.sub(r" e\d+", "", found.group(0), count=1) if found else ""

    async def do(self, tool: str, name: str = "", **arguments: Any) -> Result:
        named = {"element": name, "ref": self.ref(name)} if name else {}
        result = await self.page.call(tool, {**named, **arguments})
        assert result.observation is not None
        self.observation = result.observation
        return result


@pytest_asyncio.fixture(loop_scope="module")
async def show(browser: Browser, site: Site) -> AsyncIterator[Any]:
    opened: list[BrowserPage] = []

    async def show(path: str, seed: int = 0) -> Hand:
        page = await browser.open_page(f"{site.url}/{path}", seed)
        opened.append(page)
        return Hand(page, await page.observe())

    yield show
    for page in opened:
        await page.close()


async def test_it_is_a_toolset(show: Any) -> None:
    page = (await show("form.html")).page
    assert isinstance(page, Toolset)
    names = ["click", "fill", "select", "check", "press", "navigate", "back", "wait", "read"]
    assert [t.name for t in page.tools()] == names
    assert all(t.volatile == ("ref",) for t in page.tools() if "ref" in t.argument_names())


async def test_first_observation(show: Any) -> None:
    hand = await show("form.html")
    assert hand.observation.splitlines()[:3] == [
        "page: Form",
        "heading: order 417",
        "text: customer: mara",
    ]
    assert "text: code" not in hand.observation
    assert "row: 562 | open see" in hand.observation
    assert hand.line("owner") == 'textbox "owner"'
    assert hand.line("cancel") == 'button "cancel" disabled'
    assert hand.line("size") == 'combobox "size" = "large" options "small" "large"'


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("code", "k7", 'textbox "code" = "k7"'),
        ("secret", "tavi kolu", 'textbox "secret" = "tavi kolu"'),
        ("email", "a.b@c.example", 'textbox "email" = "a.b@c.example"'),
        ("quantity", "12", 'spinbutton "quantity" = "12"'),
        ("day", "2024-05-06", 'textbox "day" = "2024-05-06"'),
        ("volume", "9", 'slider "volume" = "9"'),
        ("colour", "#ff0000", 'textbox "colour" = "#ff0000"'),
        ("note", "kolu", 'textbox "note" = "kolu"'),
    ],
)
async def test_fields(show: Any, name: str, text: str, shown: str) -> None:
    hand = await show("form.html")
    assert await hand.do("fill", name, text=text) == Result(text="ok", observation=hand.observation)
    assert hand.line(name) == shown


async def test_boxes_and_lists(show: Any) -> None:
    hand = await show("form.html")
    await hand.do("check", "agree")
    await hand.do("check", "rail")
    await hand.do("select", "size", option="small")
    await hand.do("select", "parts", option="head")
    await hand.do("select", "parts", option="wing")
    assert hand.line("agree") == 'checkbox "agree" checked'
    assert hand.line("rail") == 'radio "rail" checked'
    assert hand.line("size").startswith('combobox "size" = "small"')
    assert hand.line("parts") == 'listbox "parts" = "head" "wing"'
    await hand.do("check", "agree", checked=False)
    assert hand.line("agree") == 'checkbox "agree"'


async def test_messages_are_the_result(show: Any) -> None:
    hand = await show("form.html")
    status = await hand.do("click", "refund")
    assert (status.text, status.error) == ("order 417 refunded", False)
    alert = await hand.do("click", "ship")
    assert (alert.text, alert.error) == ('locked: tag "red" first', True)
    quiet = await hand.do("fill", "code", text="k7")
    assert (quiet.text, quiet.error) == ("ok", False)
    inline = await hand.do("click", "inline")
    assert inline.text == "span clicked"


async def test_what_is_alone_in_its_box_can_be_clicked_and_names_its_field(show: Any) -> None:
    hand = await show("boxes.html")
    lines = [re.sub(r" e\d+.*", "", line) for line in hand.observation.splitlines()]
    assert lines[1:] == [
        'textbox "Year"',
        'textbox "Genre:"',
        'textbox ""',
        'generic "Go"',
        'button "Search"',
    ]
    assert (await hand.do("click", "Search")).text == "searched"
    assert (await hand.do("click", "Go")).text == "go"


async def test_failed_actions_are_text(show: Any) -> None:
    hand = await show("form.html")
    stale = hand.ref("refund")
    assert (await hand.do("click", "cancel")).text == "button cancel is disabled"
    wrong = await hand.do("fill", "quantity", text="many")
    assert wrong.text == "spinbutton quantity: Cannot type text into input[type=number]"
    none = await hand.do("select", "size", option="huge")
    assert none.text == "no option huge. Options: small, large"
    button = await hand.do("select", "refund", option="huge")
    assert button.text == "not a list to select from: click it instead"
    assert (await hand.do("press", key="Foo")).text == 'Foo: Unknown key: "Foo"'
    assert (await hand.do("back")).text == "nothing to go back to"
    missing = next(
        f"e{i}"
        for i in range(100)
        if f" e{i}\n" not in hand.observation + "\n" and f"e{i}" != stale
    )
    old = await hand.page.call("click", {"element": "refund", "ref": missing})
    assert (old.text, old.error) == (f"no element {missing}: look at the new observation", True)


async def test_same_seed_same_references(show: Any) -> None:
    first, again, other = [await show("form.html", seed) for seed in (1, 1, 2)]
    assert first.observation == again.observation != other.observation
    before = first.ref("refund")
    assert (await first.page.observe()) != again.observation
    assert first.ref("refund") == before


async def test_inside_a_frame(show: Any) -> None:
    hand = await show("frames.html")
    await hand.do("click", "press me")
    assert hand.line("pressed") == 'button "pressed"'


async def test_dialogs_are_accepted_and_told(show: Any) -> None:
    hand = await show("dialogs.html")
    assert (await hand.do("click", "alert")).text == "alert dialog accepted: saved twice"
    assert (await hand.do("click", "confirm")).text == "confirm dialog accepted: really?"
    assert hand.observation.startswith("page: yes")
    await hand.do("click", "prompt")
    assert hand.observation.startswith("page: kolu")


async def test_a_load_is_awaited(show: Any) -> None:
    hand = await show("leaving.html")
    assert (await hand.do("click", "slow")).text == "slow is here"
    assert (await hand.do("back")).text == "ok"
    assert hand.observation.startswith("page: Leaving")
    await hand.do("fill", "query", text="kolu")
    assert (await hand.do("press", key="Enter")).text == "slow is here"
    assert (await hand.do("navigate", url="/form.html")).text == "ok"
    assert hand.observation.startswith("page: Form")


async def test_new_tabs_come_to_the_front(show: Any) -> None:
    hand = await show("leaving.html")
    assert (await hand.do("click", "tab")).text == "a new tab is open"
    assert hand.observation.startswith("page: Form")
    assert (await hand.do("click", "refund")).text == "order 417 refunded"


async def test_a_page_begun_anew_is_as_if_just_opened(show: Any, site: Site) -> None:
    fresh = await show("form.html", 5)
    hand = await show("leaving.html")
    await hand.do("click", "tab")
    await hand.do("click", "refund")
    await hand.page.again(f"{site.url}/form.html", 5)
    assert await hand.page.observe() == fresh.observation
    assert await hand.do("back") == await fresh.do("back")
    hand.observation = fresh.observation
    again = await hand.do("click", "refund")
    assert again == await fresh.do("click", "refund") and again.text == "order 417 refunded"
    with pytest.raises(EpisodeFault):
        await hand.page.again("http://127.0.0.1:9/", 0)


async def test_only_web_pages_of_allowed_hosts(show: Any, site: Site) -> None:
    hand = await show("leaving.html")
    for url, told in (
        ("http://foreign.example/", "refused: host foreign.example is not allowed"),
        (f"http://localhost:{site.port}/", f"refused: host localhost:{site.port} is not allowed"),
        ("file:///etc/passwd", "refused: file: only http and https pages can be opened"),
        ("data:text/html,x", "refused: data: only http and https pages can be opened"),
        ("javascript:document.title='x'", "refused: javascript: only"),
    ):
        result = await hand.do("navigate", url=url)
        assert result.error
        assert result.text.startswith(told)
        assert hand.observation.startswith("page: Leaving")


async def test_links_that_lead_away(show: Any, site: Site) -> None:
    hand = await show("leaving.html")
    for name in ("foreign", "foreign tab"):
        result = await hand.do("click", name)
        assert result.error
        assert "refused: host foreign.example is not allowed" in result.text
    redirected = await hand.do("click", "redirect")
    assert f"refused: host localhost:{site.port} is not allowed" in redirected.text
    assert hand.observation.startswith("page: Leaving")
    assert (await hand.do("click", "download")).text == "refused: download of form.html"
    assert site.foreign == []


async def test_a_page_reaches_no_foreign_host(show: Any, site: Site) -> None:
    """Not by an image, a request, a redirect or a socket; the same server answers to both names."""
    hand = await show(f"reaching.html?foreign=localhost:{site.port}")
    for _ in range(50):
        if hand.observation.count("blocked") == 4:
            break
        await hand.do("wait", seconds=0.1)
    told = sorted(re.findall(r"^text: (\w+ \w+)$", hand.observation, re.MULTILINE))
    assert told == ["fetch blocked", "image blocked", "redirect blocked", "socket blocked"]
    assert site.foreign == []


async def test_an_error_page_is_a_page_and_a_refused_start_is_none(
    browser: Browser, site: Site
) -> None:
    page = await browser.open_page(f"{site.url}/nowhere.html")
    assert await page.observe() == "page:\ntext: none"
    await page.close()
    with pytest.raises(UserError, match="only http and https"):
        await browser.open_page("file:///etc/passwd")
    with pytest.raises(UserError, match="is not allowed"):
        await browser.open_page(f"{site.url}/form.html", allowed_hosts=["foreign.example"])
    with pytest.raises(EpisodeFault, match="does not load"):
        await browser.open_page("http://127.0.0.1:9/")


async def test_a_long_page_is_cut_and_can_be_read(show: Any) -> None:
    hand = await show("form.html")
    await hand.page.raw.evaluate(
        "for (let i = 0; i < 60; i++) { const p = document.createElement('p');"
        " p.textContent = `${i} ` + 'kolu mara '.repeat(40); document.body.prepend(p) }"
    )
    hand.observation = await hand.page.observe()
    assert hand.observation.splitlines()[-1].startswith("cut: ")
    assert hand.line("refund")
    cut = len(hand.observation)
    assert (await hand.do("read")).text == "ok"
    assert len(hand.observation) > 4 * cut


async def test_a_page_that_hangs_is_a_fault(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Browser(timeout=0.5) as browser:
        page = await browser.open_page(f"{site.url}/hang")
        hand = Hand(page, await page.observe())
        monkeypatch.setattr("tools._page._LOOK_SECONDS", 1.0)
        with pytest.raises(EpisodeFault):
            await hand.do("click", "hang")


async def test_a_browser_that_died_is_a_fault_and_comes_back(site: Site) -> None:
    browser = Browser()
    page = await browser.open_page(f"{site.url}/form.html")
    hand = Hand(page, await page.observe())
    assert browser._chromium is not None
    await browser._chromium.close()
    with pytest.raises(EpisodeFault):
        await hand.do("click", "refund")
    again = await browser.open_page(f"{site.url}/form.html")
    assert (await again.observe()).startswith("page: Form")
    await browser.close()


async def test_a_program_that_is_no_browser(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(UserError, match="does not start"):
        await Browser(executable=program)._started()
