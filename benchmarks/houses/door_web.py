"""The web door: an office as real pages in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from benchmarks.houses.case import Case
from benchmarks.houses.server import Server
from instar.contracts import Toolset
from instar.types import Result, Score
from tools.browser import Browser, BrowserPage
from tools.pool import PagePool

__all__ = ["WebDoor", "WebEpisode"]

_PAGES = 4
_TIMEOUT = 20.0
"""Seconds; our own pages never hang, so a slow machine must not look like a fault."""


class WebEpisode:
    """An attempt by the web door."""

    def __init__(self, case: Case, page: BrowserPage, leave: Callable[[], None]) -> None:
        self.case = case
        self.toolset: Toolset = page
        self._page = page
        self._leave: Callable[[], None] | None = leave

    async def observe(self) -> str:
        """The page in front."""
        return await self._page.observe()

    async def screenshot(self) -> bytes:
        """The page in front as PNG."""
        return await self._page.screenshot()

    def done(self) -> bool:
        """Whether the case is over."""
        return self.case.state.over

    async def finish(self, answer: str) -> Result:
        """Take the agent's word; the answer's words do not matter here."""
        return self.case.finish()

    async def score(self) -> Score:
        """Judge the final state."""
        return self.case.score()

    async def close(self) -> None:
        """Give the page back and forget the case; closing twice is harmless."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class WebDoor:
    """One server and one browser for all web episodes of a world; both start when first needed.

    Only so many pages are open at once; who comes later waits until an episode is closed.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._server: Server | None = None
        self._browser = Browser(timeout=_TIMEOUT, load_timeout=3 * _TIMEOUT)
        self._pool = PagePool(self._browser)
        self._places = asyncio.Semaphore(_PAGES)

    async def open(self, case: Case, seed: int) -> WebEpisode:
        """Show the first page of a case.

        Raises:
            EpisodeFault: The browser or the page failed.
        """
        server = await self._started()
        await self._places.acquire()
        secret, url = server.add(case)

        def leave() -> None:
            server.remove(secret)
            self._places.release()

        try:
            page = await self._pool.take(url, seed)
        except BaseException:
            leave()
            raise

        def give_back() -> None:
            self._pool.give(page)
            leave()

        return WebEpisode(case, page, give_back)

    async def _started(self) -> Server:
        async with self._lock:
            if self._server is None:
                server = Server()
                await server.start()
                self._server = server
        return self._server

    async def close(self) -> None:
        """Stop the browser, then the server."""
        await self._browser.close()
        if self._server is not None:
            await self._server.close()
            self._server = None
