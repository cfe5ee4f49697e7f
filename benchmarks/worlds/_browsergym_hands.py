"""What an agent can do in BrowserGym: its high-level actions as typed tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from benchmarks.worlds._browsergym_pipe import Child
from benchmarks.worlds._browsergym_tree import chosen, show
from instar.types import Result, ToolSpec
from tools._snapshot import Element, Snapshot
from tools.functions import FunctionToolset, ToolError, tool

__all__ = ["Hands"]

_ACT = ("write", "network")
_PAGE = 600  # pixels of one turn of the wheel
_MAX_WAIT = 10.0


def quoted(text: str) -> str:
    """A text as BrowserGym's parser reads it, which knows fewer escapes than Python."""
    for sign, escaped in (
        ("\\", "\\\\"),
        ('"', '\\"'),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
    ):
        text = text.replace(sign, escaped)
    return f'"{text}"'


class Hands:
    """The tools of one episode.

    Attributes:
        goal: What the task asks for.
        done: Whether the benchmark has ended the episode.
        reward: The last reward that it gave.
        raw: MiniWoB++'s reward before BrowserGym's rule; None elsewhere.
    """

    def __init__(
        self, child: Child, seen: Mapping[str, Any], names: Sequence[str], budget: int
    ) -> None:
        self._child, self._budget = child, budget
        self._toolset = FunctionToolset([getattr(self, name) for name in names])
        self.goal = str(seen["goal"])
        self.done, self.reward = False, 0.0
        self.raw: float | None = None
        self._told = 0
        self._look(seen)

    def _look(self, seen: Mapping[str, Any]) -> None:
        self._seen = seen
        self._shown: Snapshot = show(seen, self._budget)

    @property
    def text(self) -> str:
        """The page as it was after the last action."""
        return self._shown.text

    def tools(self) -> list[ToolSpec]:
        """The tools at hand."""
        return self._toolset.tools()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Act; every result shows the page.

        Raises:
            EpisodeFault: BrowserGym failed.
        """
        if self.done:
            return Result(text="the task is over", observation=self.text, error=True)
        result = await self._toolset.call(name, arguments)
        return result.model_copy(update={"observation": self.text})

    async def act(self, action: str) -> Result:
        """One of BrowserGym's own actions."""
        seen = await self._child.asked("step", action=action)
        self._look(seen)
        self.done, self.reward, self.raw = seen["done"], seen["reward"], seen["raw"]
        said, self._told = seen["told"][self._told :], len(seen["told"])
        if seen["error"]:
            return Result(text=seen["error"].strip().split("\n", 1)[0][:200], error=True)
        return Result(text="\n".join(said) or "ok")

    def _find(self, ref: str) -> Element:
        found = self._shown.elements.get(ref)
        if found is None:
            raise ToolError(f"no element {ref}: look at the new observation")
        return found

    async def _on(self, action: str, ref: str, *more: str) -> Result:
        bid = self._find(ref).handle
        return await self.act(f"{action}({', '.join((quoted(bid), *more))})")

    @tool(effects=_ACT, volatile=("ref",))
    async def click(self, element: str, ref: str) -> Result:
        """Click an element.

        Args:
            element: What it is, in words.
            ref: Its reference in the latest observation.
        """
        return await self._on("click", ref)

    @tool(effects=_ACT, volatile=("ref",))
    async def fill(self, element: str, ref: str, text: str) -> Result:
        """Replace the text of a field.

        Args:
            element: What it is, in words.
            ref: Its reference in the latest observation.
            text: The new text.
        """
        return await self._on("fill", ref, quoted(text))

    @tool(effects=_ACT, volatile=("ref",))
    async def select(self, element: str, ref: str, option: str) -> Result:
        """Choose an option of a list; a list of several keeps what is chosen already.

        Args:
            element: The list, in words.
            ref: Its reference in the latest observation.
            option: The option's text.
        """
        kept = chosen(self._seen["nodes"], self._find(ref).handle)
        return await self._on("select_option", ref, f"[{', '.join(map(quoted, [*kept, option]))}]")

    @tool(effects=_ACT)
    async def press(self, key: str) -> Result:
        """Press a key such as Enter, Tab, ArrowDown, PageDown or Control+a."""
        return await self.act(f"keyboard_press({quoted(key)})")

    @tool(effects=_ACT, volatile=("ref",))
    async def hover(self, element: str, ref: str) -> Result:
        """Move the pointer over an element.

        Args:
            element: What it is, in words.
            ref: Its reference in the latest observation.
        """
        return await self._on("hover", ref)

    @tool()
    async def scroll(self, direction: Literal["up", "down"]) -> Result:
        """Turn the wheel by a page."""
        return await self.act(f"scroll(0, {_PAGE if direction == 'down' else -_PAGE})")

    @tool()
    async def wait(self, seconds: float) -> Result:
        """Wait a few seconds."""
        return await self.act(f"noop({1000 * min(max(seconds, 0.0), _MAX_WAIT):.0f})")

    @tool(effects=_ACT)
    async def navigate(self, url: str) -> Result:
        """Open an address that begins with http: or https:."""
        if not url.startswith(("http://", "https://")):
            raise ToolError(f"{url} is no address that begins with http:// or https://")
        return await self.act(f"goto({quoted(url)})")

    @tool(effects=_ACT)
    async def back(self) -> Result:
        """Go back one page."""
        return await self.act("go_back()")

    @tool()
    async def tab(self, number: int) -> Result:
        """Bring a tab to the front."""
        if not 0 <= number < len(self._seen["tabs"]):
            raise ToolError(f"no tab {number}: there are {len(self._seen['tabs'])}, from 0 on")
        return await self.act(f"tab_focus({number})")

    @tool(effects=_ACT)
    async def answer(self, text: str) -> Result:
        """Tell the user the answer; in most tasks that ends the work."""
        return await self.act(f"send_msg_to_user({quoted(text)})")

    @tool(effects=_ACT)
    async def give_up(self, reason: str) -> Result:
        """Say that the task cannot be done, and why."""
        return await self.act(f"report_infeasible({quoted(reason)})")
