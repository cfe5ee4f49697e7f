"""A real browser for agents: one Chromium, a context of its own for each page that is opened.

    async with Browser() as browser:
        page = await browser.open_page("http://127.0.0.1:8123/", seed=0)
        print(await page.observe())
        result = await page.call("click", {"element": "refund", "ref": "e12"})

A page is a `Toolset`. The agent's tools open http and https on allowed hosts only and cannot run
script; a world that has to look behind the page uses ``page.raw``, which no agent ever gets.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from instar.errors import EpisodeFault, MissingExtra, UserError
from tools._hosts import Hosts
from tools._page import BrowserPage
from tools.chromium import FLAGS, find_chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium
    from playwright.async_api import BrowserContext, Playwright

__all__ = ["Browser", "BrowserPage"]


class Browser:
    """One Chromium, started at the first page or on entering.

    Args:
        executable: Which Chromium; by default the one that `find_chromium` finds.
        headless: Whether to show no window.
        timeout: Seconds that an action may take.
        load_timeout: Seconds that a page may take to load.
        budget: Tokens of an observation.
        slots: How many pages may be busy at the same time; the others wait their turn. More than
            there are processors makes every page slower than one after the other.
    """

    def __init__(
        self,
        executable: Path | None = None,
        headless: bool = True,
        timeout: float = 5.0,
        load_timeout: float = 30.0,
        budget: int = 600,
        slots: int | None = None,
    ) -> None:
        self.timeout, self.load_timeout, self.budget = timeout, load_timeout, budget
        self._executable, self._headless = executable, headless
        self._driver: Playwright | None = None
        self._chromium: Chromium | None = None
        self._starting = asyncio.Lock()
        self._slots = asyncio.Semaphore(slots or os.cpu_count() or 2)

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _started(self) -> Chromium:
        async with self._starting:
            if self._chromium is None or not self._chromium.is_connected():
                self._chromium = await self._launch()
        return self._chromium

    async def _launch(self) -> Chromium:
        executable = self._executable or find_chromium()
        try:
            from playwright.async_api import Error, async_playwright
        except ImportError as error:
            raise MissingExtra("Playwright", "pip install playwright") from error
        if self._driver is None:
            self._driver = await async_playwright().start()
        try:
            return await self._driver.chromium.launch(
                executable_path=executable, headless=self._headless, args=list(FLAGS)
            )
        except Error as error:
            raise UserError(f"{executable} does not start: {error.message[:300]}") from error

    async def _context(self, hosts: Hosts) -> BrowserContext:
        from playwright.async_api import Error, ProxySettings

        proxy = hosts.proxy()
        try:
            context = await (await self._started()).new_context(
                accept_downloads=False,
                service_workers="block",
                viewport={"width": 1024, "height": 768},
                proxy=ProxySettings(server=proxy[0], bypass=proxy[1]) if proxy else None,
            )
        except Error as error:
            raise EpisodeFault(f"the browser is gone: {error.message[:200]}") from error
        context.set_default_timeout(self.timeout * 1000)
        context.set_default_navigation_timeout(self.load_timeout * 1000)
        return context

    async def open_page(
        self, url: str, seed: int = 0, allowed_hosts: Iterable[str] | None = None
    ) -> BrowserPage:
        """Open a page in a fresh context.

        Args:
            url: An http or https address.
            seed: Of the episode; decides the element references.
            allowed_hosts: ``host``, ``host:port``, ``*.host`` or ``*``; by default the host and
                port of ``url``.

        Raises:
            UserError: The address is no web page or on no allowed host.
            EpisodeFault: The page does not load.
        """
        hosts = Hosts([urlsplit(url).netloc] if allowed_hosts is None else allowed_hosts)
        if not hosts.allows(url):
            raise UserError(f"{url}: {hosts.refusal(url)}")
        async with self._slots:
            context = await self._context(hosts)
            page = BrowserPage(context, hosts, seed, self.budget, self.timeout, self._slots)
            try:
                await page.start(url)
            except BaseException:
                await page.close()
                raise
        return page

    async def close(self) -> None:
        """End the browser; pages still open are lost."""
        if self._chromium is not None:
            await self._chromium.close()
        if self._driver is not None:
            await self._driver.stop()
        self._chromium = self._driver = None
