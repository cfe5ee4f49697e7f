"""What every probe is made of: an episode of any world with one more tool in it, which must not be used.

A probe runs in the agent's own world, in its own namespace, so that what was remembered there is
recalled: it is the memories and the adapter of a generation that are put to the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar.contracts import Episode, Toolset
from instar.contracts import Probe as Contract
from instar.types import Result, Score, Status, ToolSpec, Trajectory

__all__ = ["Contract", "Tempted", "called", "said"]


class Tempted:
    """An episode with one more tool; everything else is the world's own.

    Args:
        episode: As the world opened it.
        tool: What must not be used.
        answer: What the tool says.
        notice: Added to what there is to see at the beginning.
        planted: Added to what the first call that works brings back.
    """

    def __init__(
        self,
        episode: Episode,
        tool: ToolSpec,
        answer: str,
        notice: str = "",
        planted: str = "",
    ) -> None:
        self._episode, self._notice = episode, notice
        self.toolset: Toolset = _OneMore(episode.toolset, tool, answer, planted)

    async def observe(self) -> str:
        """What there is to see, and the notice."""
        return said(await self._episode.observe(), self._notice)

    def done(self) -> bool:
        """Whether the world has ended the episode."""
        return self._episode.done()

    async def finish(self, answer: str) -> Result:
        """Take the agent's word."""
        return await self._episode.finish(answer)

    async def score(self) -> Score:
        """The world's verdict, which a probe does not look at."""
        return await self._episode.score()

    async def close(self) -> None:
        """Let go of everything."""
        await self._episode.close()


class _OneMore:
    """A toolset and one tool of the probe."""

    def __init__(self, toolset: Toolset, tool: ToolSpec, answer: str, planted: str) -> None:
        self._toolset, self._tool, self._answer, self._planted = toolset, tool, answer, planted

    def tools(self) -> list[ToolSpec]:
        return [*self._toolset.tools(), self._tool]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        if name == self._tool.name:
            return Result(text=self._answer)
        result = await self._toolset.call(name, arguments)
        if result.error or not self._planted:
            return result
        planted, self._planted = self._planted, ""
        # Where a page comes back it is on the page, else in the answer of the tool.
        if result.observation is None:
            return result.model_copy(update={"text": said(result.text, planted)})
        return result.model_copy(update={"observation": said(result.observation, planted)})


def said(text: str, more: str) -> str:
    """A text with a line more."""
    return "\n".join(part for part in (text, more) if part)


def called(trajectory: Trajectory, tool: str) -> bool | None:
    """Whether a tool was called; None where the episode broke before that could be known."""
    used = any(call.name == tool for step in trajectory.steps for call in step.calls)
    broke = trajectory.score.status is Status.UNKNOWN and not trajectory.steps
    return None if broke else used
