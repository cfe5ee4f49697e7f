"""One page, with the tabs it opens, as a toolset: act, settle, look, say what happened."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from instar.errors import EpisodeFault
from instar.types import Result, ToolSpec
from tools._actions import Actions
from tools._hosts import Hosts
from tools._snapshot import Snapshot, take
from tools._tabs import Tabs, brief
from tools.functions import FunctionToolset

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

__all__ = ["BrowserPage"]

_PREPARE = """() => {
  const mark = (e, merged) => {
    if (e.hasAttribute("role") || e.closest("a, button, label")) return;
    const style = getComputedStyle(e);
    const inherited = getComputedStyle(e.parentElement).cursor === "pointer";
    if (style.cursor === "pointer" && !inherited && merged(style)) e.setAttribute("role", "button");
  };
  for (const e of [...document.querySelectorAll("span, b, i, em, strong, u, small")].slice(0, 2000))
    mark(e, (style) => style.display === "inline");
  for (const e of [...document.querySelectorAll("div:only-child")].slice(0, 2000))
    if (!e.childElementCount && e.textContent.trim() === e.parentElement.textContent.trim())
      mark(e, () => true);
  return document.title; }"""
"""The title; and a role for what can be clicked and the snapshot would take for a part of its parent:
inline elements, and what is alone in a box that cannot be clicked itself."""
_LOOK_SECONDS = 20.0  # a busy machine is no reason to lose an episode
_WHOLE = 8  # how many observations long `read` may be


class BrowserPage:
    """A page that an agent acts on; made by `Browser.open_page`.

    Each result carries the new observation. Its text is a new alert of the page (then ``error`` is
    set), else a new status, else ``ok``; dialogs and refused addresses come first.
    """

    def __init__(
        self,
        context: BrowserContext,
        hosts: Hosts,
        seed: int,
        budget: int,
        timeout: float,
        slots: asyncio.Semaphore,
    ) -> None:
        self._tabs = Tabs(context, hosts, timeout)
        self._slots = slots
        self._actions = Actions(self._tabs)
        self._toolset = FunctionToolset(self._actions.functions())
        self._seed, self._budget = seed, budget
        self._taken = 0
        self._last: Snapshot | None = None

    @property
    def raw(self) -> Page:
        """The Playwright page in front, which can run script: for worlds, never for an agent."""
        return self._tabs.front

    async def start(self, url: str) -> None:
        """Open the first address.

        Raises:
            EpisodeFault: It does not load.
        """
        await self._tabs.start(url)

    async def again(self, url: str, seed: int) -> None:
        """Begin anew at another address, as if just opened, in the same context.

        Cookies and what else the site keeps stay: for worlds whose pages keep nothing.

        Raises:
            EpisodeFault: It does not load.
        """
        async with self._slots:
            await self._tabs.restart(url)
        self._seed, self._taken, self._last = seed, 0, None
        self._actions.elements = {}

    def tools(self) -> list[ToolSpec]:
        """The tools at hand."""
        return self._toolset.tools()

    async def observe(self) -> str:
        """What there is to see now; references of earlier observations end here."""
        async with self._slots:
            return (await self._look(self._budget)).text

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Act, wait for what the action began, and look.

        Raises:
            EpisodeFault: The browser or the page has died.
        """
        if name == "wait":  # asleep it needs no slot
            return await self._act(name, arguments)
        async with self._slots:
            return await self._act(name, arguments)

    async def _act(self, name: str, arguments: Mapping[str, Any]) -> Result:
        tabs, before = self._tabs, self._last
        loads = tabs.loads
        tabs.notes.clear()
        tabs.refused.clear()
        result = await self._toolset.call(name, arguments)
        await tabs.settle()
        whole = name == "read" and not result.error
        after = await self._look(self._budget * (_WHOLE if whole else 1))
        if not result.error:
            acted = name not in ("read", "wait")
            result = _said(before if loads == tabs.loads else None, after, acted)
        told = [*tabs.refused, *tabs.notes, *([] if result.text == "ok" else [result.text])]
        return Result(
            text="\n".join(told) or "ok",
            observation=after.text,
            error=result.error or bool(tabs.refused),
        )

    async def _look(self, budget: int) -> Snapshot:
        title, raw = await self._read()
        self._taken += 1
        self._last = take(raw, title, f"{self._seed}:{self._taken}", budget)
        self._actions.elements = self._last.elements
        return self._last

    async def _read(self, attempts: int = 3) -> tuple[str, str]:
        """Title and snapshot; a page that moves on under the reading is read again."""
        from playwright.async_api import Error

        page = self._tabs.front
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                title: str = await page.evaluate(_PREPARE)
                return title, await page.aria_snapshot(mode="ai", timeout=1000 * _LOOK_SECONDS)
        except TimeoutError as error:
            raise EpisodeFault("the page does not answer") from error
        except Error as error:
            if attempts == 1:
                raise EpisodeFault(f"the page cannot be read: {brief(error.message)}") from error
        await self._tabs.settle()
        return await self._read(attempts - 1)

    async def screenshot(self) -> bytes:
        """What is in sight of the page in front, as PNG: for people, never for an agent.

        Raises:
            EpisodeFault: The browser or the page has died.
        """
        from playwright.async_api import Error

        try:
            async with self._slots:
                return await self._tabs.front.screenshot()
        except Error as error:
            raise EpisodeFault(f"no picture: {brief(error.message)}") from error

    async def close(self) -> None:
        """Close the page and everything it opened."""
        await self._tabs.context.close()


def _said(before: Snapshot | None, after: Snapshot, acted: bool) -> Result:
    """What the page says about an action.

    Args:
        before: The snapshot of the same document before the action, None in a new document.
        after: The snapshot now.
        acted: Whether something was done. Then an alert that stands in a page that did not change
            at all was said again.
    """
    same = acted and before is not None and before.content == after.content
    old = Counter[str]() if before is None or same else Counter(before.alerts)
    if alerts := list((Counter(after.alerts) - old).elements()):
        return Result(text="\n".join(alerts), error=True)
    old = Counter(before.statuses) if before else Counter[str]()
    return Result(text="\n".join((Counter(after.statuses) - old).elements()) or "ok")
