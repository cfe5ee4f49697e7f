"""How a scripted agent makes a call of the back office through either door.

By the tool door a call is a call. By the web door it is what a person would do: go to the record's
page by its links, fill the boxes, press the button; everything is read off the observation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.houses.records import TOOLS, WORK_TOOLS, Call
from instar.contracts import Episode
from instar.errors import EpisodeFault
from instar.types import Result

__all__ = ["Hands"]

_ELEMENT = re.compile(r'^(\w+) "(.*?)" (e\d+)', re.MULTILINE)


class Hands:
    """Makes calls in one episode.

    Args:
        home: Kind and name of the record on whose page calls without a record are made.
        kinds: Kind of each record, by name.
    """

    def __init__(self, episode: Episode, home: str, kinds: Mapping[str, str]) -> None:
        self._episode, self._home, self._kinds = episode, home, kinds
        self._by_pages = "click" in {tool.name for tool in episode.toolset.tools()}
        self._seen = ""

    async def make(self, call: Call) -> Result:
        """Make one call; the result is the back office's answer."""
        if not self._by_pages:
            return await self._episode.toolset.call(call.name, call.arguments)
        self._seen = self._seen or await self._episode.observe()
        tool = TOOLS[call.name]
        record = self._home if call.name == "open" else call.arguments[tool.parameters[0]]
        await self._go(record)
        for value in tool.values:
            if value in call.arguments:
                box = value if call.name in WORK_TOOLS else f"{call.name} {value}"
                await self._act("fill", "textbox", box, text=call.arguments[value])
        return await self._act("click", "button", call.name)

    async def _go(self, record: str) -> None:
        title = f"{self._kinds[record]} {record}"
        if f"heading: {title}\n" not in self._seen:
            await self._act("click", "link", f"{self._kinds[record]} list")
            await self._act("click", "link", record)

    async def _act(self, action: str, role: str, name: str, **more: str) -> Result:
        found = {(r, n): ref for r, n, ref in _ELEMENT.findall(self._seen)}
        if (role, name) not in found:
            raise EpisodeFault(f"no {role} {name!r} on the page:\n{self._seen}")
        arguments = {"element": name, "ref": found[role, name], **more}
        result = await self._episode.toolset.call(action, arguments)
        self._seen = result.observation or await self._episode.observe()
        return result
