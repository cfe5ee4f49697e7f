"""The tabs of one browser context: which is in front, what they report, when they have settled.

After an action the page is given one frame to react; if that began to load something, the load is
awaited, otherwise nothing is. No fixed delays, no waiting for a quiet network.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from instar.errors import EpisodeFault
from tools._hosts import Hosts

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Dialog, Download, Page, Request, Route

__all__ = ["Tabs", "brief"]

_PATIENCE = 2  # a load may take so many times what an action may
_ERROR_PAGE = "chrome-error:"
_CORNER = (1023, 767)  # of the viewport
# The race is for pages that are hidden, where no frame is ever drawn.
_FRAME = """() => new Promise(done => {
  requestAnimationFrame(() => setTimeout(done, 0)); setTimeout(done, 100) })"""


def _is_main(request: Request) -> bool:
    from playwright.async_api import Error

    try:
        return request.frame.parent_frame is None
    except Error:
        return True  # a new tab's first load, before the tab is known


def brief(message: str) -> str:
    """The first line of one of Playwright's messages, without the name of the call."""
    line = message.strip().split("\n", 1)[0]
    return re.sub(r"^([A-Z]\w+\.\w+: )?(Error: )?", "", line)[:200]


class Tabs:
    """All pages of a context, the newest in front.

    Attributes:
        timeout: Seconds that an action and what it began may take together.
        notes: What happened since the last action: dialogs, downloads, new tabs.
        refused: Navigations that were blocked since the last action.
        loads: How many documents were loaded.
        failure: Why the last load failed, until that is settled.
    """

    def __init__(self, context: BrowserContext, hosts: Hosts, timeout: float) -> None:
        self.context, self.hosts = context, hosts
        self.timeout = _PATIENCE * timeout
        self.notes: list[str] = []
        self.refused: list[str] = []
        self.loads = 0
        self._pages: list[Page] = []
        self._pending: set[Request] = set()
        self._progress = asyncio.Event()
        self._crashed = False
        self.failure = ""

    @property
    def front(self) -> Page:
        """The page in front.

        Raises:
            EpisodeFault: It has crashed or all are closed.
        """
        if self._crashed or not self._pages:
            raise EpisodeFault("the page has crashed" if self._crashed else "all tabs are closed")
        return self._pages[-1]

    async def start(self, url: str) -> None:
        """Open the first address.

        Raises:
            EpisodeFault: It does not load.
        """
        from playwright.async_api import Error

        self.context.on("page", self._on_page)
        self.context.on("dialog", self._on_dialog)
        self.context.on("request", self._on_request)
        self.context.on("requestfinished", self._on_answered)
        self.context.on("requestfailed", self._on_failed)
        try:
            if "*" not in self.hosts.entries:
                await self.context.route(self.hosts.foreign(), self._on_foreign)
            await self.context.new_page()
            await self.front.goto(url)
        except Error as error:
            raise EpisodeFault(f"{url} does not load: {brief(error.message)}") from error

    async def restart(self, url: str) -> None:
        """Open another address in the first tab, and none besides it.

        Raises:
            EpisodeFault: It does not load.
        """
        from playwright.async_api import Error

        try:
            for page in self._pages[1:]:
                await page.close()
            # Where the last click left the pointer, it would hover over the new page.
            await self.front.mouse.move(*_CORNER)
            await self.front.goto(url)
            # Going back must not lead into what was shown before.
            session = await self.context.new_cdp_session(self.front)
            await session.send("Page.resetNavigationHistory")
            await session.detach()
        except Error as error:
            raise EpisodeFault(f"{url} does not load: {brief(error.message)}") from error
        self._pending.clear()
        self.notes.clear()
        self.refused.clear()
        self.failure = ""

    async def settle(self) -> None:
        """Wait for what an action began, for a limited time."""
        try:
            async with asyncio.timeout(self.timeout):
                await self._frame()
                while self._pending:
                    self._progress.clear()
                    await self._progress.wait()
                await self._loaded()
                await self._recover()
        except TimeoutError:
            self._pending.clear()
            self.notes.append("the page is still loading")

    async def _frame(self) -> None:
        from playwright.async_api import Error

        try:
            await self.front.evaluate(_FRAME)
        except Error:
            return  # the document went away under it: a navigation, which is awaited next

    async def _loaded(self) -> None:
        from playwright.async_api import Error

        try:
            await self.front.wait_for_load_state("load")
        except Error as error:
            if self.front.is_closed():
                raise EpisodeFault(f"the page is gone: {brief(error.message)}") from error

    async def _recover(self) -> None:
        """Leave the browser's own error page: a failed load keeps the agent where it was."""
        if self.failure:
            self.refused.append(self.failure)
            self.failure = ""
            await self._error_page()
        for page in [p for p in self._pages if p.url.startswith(_ERROR_PAGE)]:
            if not await self.back(page) and len(self._pages) > 1:
                await page.close()

    async def _error_page(self) -> None:
        """Wait for the error page, which comes a moment after the request has failed."""
        for _ in range(20):
            if any(p.url.startswith(_ERROR_PAGE) for p in self._pages):
                return
            await asyncio.sleep(0.02)

    async def back(self, page: Page) -> bool:
        """Go back one page; False, and still there, where no page was before this one."""
        await page.go_back()
        if page.url.startswith(("http:", "https:")):
            return True
        await page.go_forward()
        return False

    def _on_page(self, page: Page) -> None:
        if self._pages:
            self.notes.append("a new tab is open")
        self._pages.append(page)
        page.on("domcontentloaded", self._on_document)
        page.on("download", self._on_download)
        page.on("crash", self._on_crash)
        page.on("close", self._on_close)

    def _on_close(self, page: Page) -> None:
        if page in self._pages:
            self._pages.remove(page)
            self.notes.append("a tab was closed")

    def _on_crash(self, page: Page) -> None:
        self._crashed = True

    def _on_document(self, page: Page) -> None:
        self.loads += 1

    def _on_download(self, download: Download) -> None:
        self.refused.append(f"refused: download of {download.suggested_filename}")

    async def _on_dialog(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.notes.append(f"{dialog.type} dialog accepted: {' '.join(dialog.message.split())}")
        await dialog.accept(dialog.default_value)

    def _on_request(self, request: Request) -> None:
        if request.is_navigation_request():
            self._pending.add(request)

    def _on_failed(self, request: Request) -> None:
        """Note why a load failed; an aborted one leaves no error page to recover from."""
        reason = request.failure or ""
        main = request.is_navigation_request() and _is_main(request)
        if main and "ERR_ABORTED" not in reason:
            blocked = "ERR_PROXY" in reason  # see `Hosts.proxy`
            refusal = self.hosts.refusal(request.url)
            self.failure = refusal if blocked else f"{request.url}: {reason}"
        self._on_answered(request)

    def _on_answered(self, request: Request) -> None:
        self._pending.discard(request)
        self._progress.set()

    async def _on_foreign(self, route: Route) -> None:
        """Block a request; 204 lets the page that wanted to leave stay where it is."""
        if route.request.is_navigation_request():
            self.refused.append(self.hosts.refusal(route.request.url))
            await route.fulfill(status=204)
        else:
            await route.abort("blockedbyclient")
