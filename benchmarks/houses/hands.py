"""How a scripted agent makes a call of an office through either door.

By the tool door a call is a call. By the web door it is what a person would do: go to the record's
page by its links, or by the search box where the list is long, fill the boxes, press the button, say
yes where the page asks; everything is read off the observation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.houses.office import Office
from benchmarks.houses.pages import NO, SEARCH, YES, asks
from benchmarks.houses.records import Call
from instar.contracts import Episode
from instar.errors import EpisodeFault
from instar.types import Result

__all__ = ["Hands"]

_ELEMENT = re.compile(r'^(\w+) "(.*?)" (e\d+)', re.MULTILINE)


class Hands:
    """Makes calls in one episode.

    Args:
        home: Name of the record on whose page calls without a record are made.
        kinds: Kind of each record, by name.
    """

    def __init__(
        self, office: Office, episode: Episode, home: str, kinds: Mapping[str, str]
    ) -> None:
        self._office, self._episode, self._home, self._kinds = office, episode, home, kinds
        self._by_pages = "click" in {tool.name for tool in episode.toolset.tools()}
        self._seen = ""

    async def make(self, call: Call) -> Result:
        """Make one call; the result is the office's answer."""
        if not self._by_pages:
            return await self._episode.toolset.call(call.name, call.arguments)
        self._seen = self._seen or await self._episode.observe()
        tool = self._office.tools[call.name]
        await self._go(call.arguments[tool.parameters[0]] if tool.on_record else self._home)
        for value in tool.values:
            if value in call.arguments:
                box = f"{call.name} {value}" if tool.role else value
                await self._act("fill", "textbox", box, text=call.arguments[value])
        result = await self._act("click", "button", call.name)
        if asks(tool) and not result.error:
            result = await self._act("click", "button", YES)
        return result

    async def _go(self, record: str) -> None:
        if f"heading: {self._kinds[record]} {record}\n" in self._seen:
            return
        if f'button "{NO}"' in self._seen:
            await self._act("click", "button", NO)
        await self._act("click", "link", f"{self._kinds[record]} list")
        if self._find("link", record) is None:
            await self._act("fill", "textbox", SEARCH, text=record)
            await self._act("click", "button", SEARCH)
        await self._act("click", "link", record)

    def _find(self, role: str, name: str) -> str | None:
        found = {(r, n): ref for r, n, ref in _ELEMENT.findall(self._seen)}
        return found.get((role, name))

    async def _act(self, action: str, role: str, name: str, **more: str) -> Result:
        ref = self._find(role, name)
        if ref is None:
            raise EpisodeFault(f"no {role} {name!r} on the page:\n{self._seen}")
        arguments = {"element": name, "ref": ref, **more}
        result = await self._episode.toolset.call(action, arguments)
        self._seen = result.observation or await self._episode.observe()
        return result
