"""The pages of the `miniwob` wheel over loopback, and the protocol that runs a task on one of them.

The globals of MiniWoB++'s own ``core.js`` start and judge an episode. What they show of the reward
is hidden before anything is observed, time limits are lifted (they would measure the machine), and
animations are off (an observation would show their middle).
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instar.errors import EpisodeFault, MissingExtra
from tools.browser import Browser, BrowserPage
from tools.pool import PagePool

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["Pages", "Verdict", "begin", "folder", "goals", "verdict"]

_HIDDEN = "#reward-display, #click-canvas, #query, #sync-task-cover { display: none !important }"
# Pictures of style sheets are fetched before: one that comes late moves what is beside it.
_START = """async seed => {
  if (window.jQuery) jQuery.fx.off = true;
  const sheets = [...document.styleSheets].filter(s => !s.href);
  const rules = sheets.flatMap(s => [...s.cssRules]).map(r => r.cssText).join(" ");
  await Promise.all([...rules.matchAll(/url\\("([^"]+)"\\)/g)].map(found => {
    const picture = new Image();
    picture.src = found[1];
    return picture.decode().catch(() => 0); }));
  Math.seedrandom(seed);
  core.EPISODE_MAX_TIME = 1e8;
  if (core.EP_TIMER !== null) core.endEpisode(0);
  core.startEpisodeReal();
  for (let n = 0; !WOB_TASK_READY && n < 400; n++) await new Promise(r => setTimeout(r, 5));
  const said = core.getUtterance();
  return typeof said === "string" ? said : said.utterance; }"""
_VERDICT = "() => [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL]"


class Verdict(NamedTuple):
    """Whether a task is over, and its reward before any discount for time."""

    done: bool
    raw: float


def folder() -> Path:
    """Where the wheel keeps its pages.

    Raises:
        MissingExtra: The wheel is not installed.
    """
    spec = importlib.util.find_spec("miniwob")
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / "html" / "miniwob").is_dir():
            return Path(place) / "html"
    raise MissingExtra("MiniWoB++", "pip install -e '.[bench]' -c constraints.txt")


class Pages:
    """A static server on an ephemeral port of loopback and a browser; both start when needed."""

    def __init__(self) -> None:
        self._browser = Browser()
        self._runner: web.AppRunner | None = None
        self._lock = asyncio.Lock()
        self._pool = PagePool(self._browser)

    async def _port(self) -> int:
        from aiohttp import web

        async with self._lock:
            if self._runner is None:
                application = web.Application()
                application.router.add_static("/", folder())
                self._runner = web.AppRunner(application, access_log=None)
                await self._runner.setup()
                await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            return int(self._runner.addresses[0][1])

    async def open(self, name: str, seed: int) -> BrowserPage:
        """The page of a task, loaded anew; in a context that an earlier task is done with, if any.

        Raises:
            EpisodeFault: It does not load.
        """
        url = f"http://127.0.0.1:{await self._port()}/miniwob/{name}.html"
        return await self._pool.take(url, seed)

    def back(self, page: BrowserPage) -> None:
        """Take back a page; the next task begins in its context, for these pages keep nothing."""
        self._pool.give(page)

    async def close(self) -> None:
        """Stop browser and server."""
        await self._browser.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def begin(page: BrowserPage, seed: int | str) -> str:
    """Start the task on a page that was just loaded; what it asks for.

    Args:
        page: The page.
        seed: Of the page's generator, to which 7 and "7" are two different seeds.

    Raises:
        EpisodeFault: The page does not run the task.
    """
    from playwright.async_api import Error

    try:
        await page.raw.add_style_tag(content=_HIDDEN)
        goal: str = await page.raw.evaluate(_START, seed)
    except Error as error:
        raise EpisodeFault(f"the task does not start: {error.message[:200]}") from error
    return " ".join(goal.split())


async def verdict(page: BrowserPage) -> Verdict:
    """The page's own judgement.

    Raises:
        EpisodeFault: The page is gone.
    """
    from playwright.async_api import Error

    try:
        done, raw = await page.raw.evaluate(_VERDICT)
    except Error as error:
        raise EpisodeFault(f"the task's page is gone: {error.message[:200]}") from error
    return Verdict(bool(done), float(raw))


async def goals(wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """What tasks ask for, by name and seed; each is started once to be asked."""
    from playwright.async_api import Error

    pages, found = Pages(), dict[tuple[str, int], str]()
    page: BrowserPage | None = None
    shown = ""
    try:
        for name, seed in sorted(wanted):
            page = page or await pages.open(name, 0)
            if shown not in ("", name):
                await page.raw.goto(f"{page.raw.url.rpartition('/')[0]}/{name}.html")
            shown = name
            found[name, seed] = await begin(page, str(seed))
    except Error as error:
        raise EpisodeFault(f"a task's page does not load: {error.message[:200]}") from error
    finally:
        await pages.close()
    return found
