"""Pages for one episode after the other: a context that one is done with serves the next.

A context of its own costs Chromium a process; a page begun anew costs a load. For worlds whose
pages keep nothing in the browser: cookies and storage stay.
"""

from __future__ import annotations

import contextlib

from instar.errors import EpisodeFault
from tools.browser import Browser, BrowserPage

__all__ = ["PagePool"]


class PagePool:
    """Idle pages of a browser.

    Args:
        browser: Where pages are opened; it is closed by whoever made it, and the pages with it.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: list[BrowserPage] = []

    async def take(self, url: str, seed: int) -> BrowserPage:
        """A page that shows an address as if just opened.

        Args:
            url: All addresses of a pool are on one host and port, the only one that is allowed.
            seed: Of the episode; decides the element references.

        Raises:
            EpisodeFault: It does not load.
        """
        while self._idle:
            page = self._idle.pop()
            try:
                await page.again(url, seed)
            except EpisodeFault:  # it has crashed: another context may do
                await _forget(page)
            else:
                return page
        return await self._browser.open_page(url, seed)

    def give(self, page: BrowserPage) -> None:
        """Take back a page that an episode is done with."""
        self._idle.append(page)


async def _forget(page: BrowserPage) -> None:
    from playwright.async_api import Error

    with contextlib.suppress(Error):
        await page.close()
