"""What an agent can do on a page: the browser's tools.

An element is named twice, by a description for people and histories and by its reference in the
latest observation, as Playwright's MCP server does. Whatever goes wrong becomes one line of text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tools._snapshot import Element
from tools._tabs import Tabs, brief
from tools.functions import ToolError, tool

if TYPE_CHECKING:
    from playwright.async_api import Error, Locator, Page

__all__ = ["Actions"]

_MAX_WAIT = 10.0
_ACT = ("write", "network")
_TYPED = frozenset(("textbox", "searchbox", "combobox"))
_WHY = {
    "intercepts pointer events": "something covers it",
    "element is not enabled": "it is disabled",
    "element is not visible": "it is not visible",
    "element is outside of the viewport": "it is outside of the view",
    "did not find some options": "no such option",
    "element is not editable": "it cannot be edited",
    "waiting for locator": "it is gone",
}


class Actions:
    """The tools of a page.

    Args:
        tabs: Where to act.
    """

    def __init__(self, tabs: Tabs) -> None:
        self._tabs = tabs
        self.elements: dict[str, Element] = {}

    def functions(self) -> list[Callable[..., Awaitable[None]]]:
        """The functions that agents may call."""
        return [
            self.click,
            self.fill,
            self.select,
            self.check,
            self.press,
            self.navigate,
            self.back,
            self.wait,
            self.read,
        ]

    @tool(effects=_ACT, volatile=("ref",))
    async def click(self, element: str, ref: str) -> None:
        """Click an element.

        Args:
            element: What it is, in words.
            ref: Its reference in the latest observation.
        """
        await self._act(ref, lambda at: at.click())

    @tool(effects=_ACT, volatile=("ref",))
    async def fill(self, element: str, ref: str, text: str) -> None:
        """Replace the text of a field.

        Args:
            element: What it is, in words.
            ref: Its reference in the latest observation.
            text: The new text.
        """
        found = self._find(ref)
        await self._act(ref, lambda at: self._type(at, text, found.role in _TYPED))

    async def _type(self, at: Locator, text: str, keys: bool) -> None:
        """Fill in; the last letter is typed, so that lists which open on a key do open."""
        if (
            keys
            and text[-1:].isalnum()
            and await at.get_attribute("type") in (None, "text", "search")
        ):
            await at.fill(text[:-1])
            await self._tabs.front.keyboard.type(text[-1])
        else:
            await at.fill(text)

    @tool(effects=_ACT, volatile=("ref",))
    async def select(self, element: str, ref: str, option: str) -> None:
        """Choose an option of a list; a list of several keeps what is chosen already.

        Args:
            element: The list, in words.
            ref: Its reference in the latest observation.
            option: The option's text.
        """
        await self._act(ref, lambda at: self._choose(at, option))

    async def _choose(self, at: Locator, option: str) -> None:
        options: dict[str, Any] | None = await at.evaluate(
            "e => e.options && {all: [...e.options].map(o => o.label), "
            "chosen: e.multiple ? [...e.selectedOptions].map(o => o.label) : []}"
        )
        if not options:
            raise ToolError("not a list to select from: click it instead")
        if option not in options["all"]:
            raise ToolError(f"no option {option}. Options: {', '.join(options['all'][:30])}")
        await at.select_option(label=[*options["chosen"], option])

    @tool(effects=_ACT, volatile=("ref",))
    async def check(self, element: str, ref: str, checked: bool = True) -> None:
        """Tick or untick a box.

        Args:
            element: What it is, in words.
            ref: Its reference in the latest observation.
            checked: False to untick.
        """
        await self._act(ref, lambda at: at.set_checked(checked))

    @tool(effects=_ACT)
    async def press(self, key: str) -> None:
        """Press a key such as Enter, Tab, ArrowDown, PageDown or Control+a."""
        await self._try(self._tabs.front.keyboard.press(key), key)

    @tool(effects=_ACT)
    async def navigate(self, url: str) -> None:
        """Open an address."""
        page, hosts = self._tabs.front, self._tabs.hosts
        address = hosts.resolve(url, page.url)
        if not hosts.allows(address):
            raise ToolError(hosts.refusal(address))
        await self._try(self._open(page, address), address)

    async def _open(self, page: Page, address: str) -> None:
        from playwright.async_api import Error

        try:
            await page.goto(address)
        except Error:
            if not self._tabs.failure:  # else settling tells why
                raise

    @tool(effects=_ACT)
    async def back(self) -> None:
        """Go back one page."""
        page = self._tabs.front
        before = page.url
        if not await self._try(self._tabs.back(page), "back") or page.url == before:
            raise ToolError("nothing to go back to")

    @tool()
    async def wait(self, seconds: float) -> None:
        """Wait a few seconds."""
        await asyncio.sleep(min(max(seconds, 0.0), _MAX_WAIT))

    @tool()
    async def read(self) -> None:
        """Show the page at length, with what the observation had cut."""

    def _find(self, ref: str) -> Element:
        found = self.elements.get(ref)
        if found is None:
            raise ToolError(f"no element {ref}: look at the new observation")
        if found.disabled:
            raise ToolError(f"{found.role} {found.name} is disabled")
        return found

    async def _act(self, ref: str, action: Callable[[Locator], Awaitable[Any]]) -> None:
        found = self._find(ref)
        at = self._tabs.front.locator(f"aria-ref={found.handle}")
        await self._try(action(at), f"{found.role} {found.name}".strip())

    async def _try(self, action: Awaitable[Any], what: str) -> Any:
        from playwright.async_api import Error

        try:
            async with asyncio.timeout(self._tabs.timeout):  # keys have no limit of their own
                return await action
        except TimeoutError as error:
            raise ToolError(f"{what}: the page does not answer") from error
        except Error as error:
            raise ToolError(self._explain(error, what)) from error

    def _explain(self, error: Error, what: str) -> str:
        if "Timeout" not in error.message:
            return f"{what}: {brief(error.message)}"
        why = next((w for sign, w in _WHY.items() if sign in error.message), "no answer in time")
        return f"{what}: {why}"
