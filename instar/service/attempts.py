"""Sessions in which somebody else's agent is measured: each serves one attempt at one task.

An attempt is opened before its agent begins and closed after it, lives in this process alone, and recalls
as its arm has it: from its generation or from none, with what practice withholds. Its agent calls the tools
of the world through it, and that is what is known of these calls, whatever the agent says of them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from instar._config_layers import UNKNOWN
from instar.contracts import Episode, Recall
from instar.errors import EpisodeFault, UserError
from instar.service import shapes
from instar.service._messages import tools_of
from instar.service.sessions import NoSession, Sessions
from instar.types import (
    Recollection,
    Result,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
)

__all__ = ["Attempt", "Attempts"]

_OVER = "not run: the episode is over"


class Attempt:
    """One attempt while it lasts.

    Attributes:
        lived: What the agent has reported, and what it was shown.
        episode: Of the task.
        seen: What there is to see now.
        calls: Calls of the world's tools, one step each.
        taken: Whether the agent has taken its session up.
        stop: Why it is over, where that is not the agent's own doing.
        fault: What broke, empty where nothing did.
    """

    def __init__(
        self, lived: Trajectory, episode: Episode, recall: Recall | None, most: int
    ) -> None:
        self.lived, self.episode, self.seen = lived, episode, ""
        self.calls: list[Step] = []
        self.taken = False
        self.stop: StopReason | None = None
        self.fault = ""
        self._recall, self._most = recall, most
        self._one_at_a_time = asyncio.Lock()

    @property
    def spent(self) -> bool:
        """Whether it has made as many calls as it may."""
        return len(self.calls) >= self._most

    @property
    def remembers(self) -> bool:
        """Whether its arm has a memory."""
        return self._recall is not None

    async def recollect(self, about: str) -> Recollection:
        """What the arm knows; asked the same twice it has nothing to add."""
        if self._recall is None or (self.lived.memories and not about):
            return Recollection()
        lived = self.lived
        return await self._recall(lived.task, lived.tools, lived.seed, about, lived.memories)

    async def act(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool of the world, unless the episode is over or too much was done in it."""
        async with self._one_at_a_time:
            if self.episode.done():
                self.stop = self.stop or StopReason.WORLD_DONE
            elif self.spent:
                self.stop = self.stop or StopReason.STEPS
            if self.stop is not None:
                return Result(text=_OVER, error=True, misuse=True)
            began = time.monotonic()
            result = await self._answer(name, arguments)
            made = ToolCall(id=f"call{len(self.calls)}", name=name, arguments=dict(arguments))
            self.calls.append(
                Step(
                    observation=self.seen,
                    calls=(made,),
                    results=(result,),
                    seconds=time.monotonic() - began,
                )
            )
            self.seen = result.observation or self.seen
            return result

    async def _answer(self, name: str, arguments: Mapping[str, Any]) -> Result:
        try:
            return await self.episode.toolset.call(name, arguments)
        except EpisodeFault as fault:
            self.stop, self.fault = StopReason.FAULT, str(fault)
            return Result(text=str(fault), error=True, misuse=True)
        except Exception as error:  # noqa: BLE001  A mistake in a tool is text for the agent.
            return Result(text=f"{name} failed: {error!r}", error=True, misuse=True)


class Attempts(Sessions):
    """The attempts that are open, as sessions; nothing of them is stored here."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._open: dict[str, Attempt] = {}

    async def open(
        self, lived: Trajectory, episode: Episode, recall: Recall | None, most: int
    ) -> Attempt:
        """Open an attempt.

        Args:
            lived: Its record as it stands before anything is done. Its id is replaced by a secret, and
                its model by what the agent says that answers in it.
            episode: Open; it stays the caller's to close.
            recall: Of its arm, None for an arm without memory.
            most: Calls that it may make.

        Raises:
            EpisodeFault: There is nothing to see.
        """
        named = lived.model_copy(update={"id": uuid.uuid4().hex, "model": UNKNOWN})
        attempt = Attempt(named, episode, recall, most)
        attempt.seen = await episode.observe()
        self._open[named.id] = attempt
        return attempt

    def close(self, attempt: Attempt) -> None:
        """Take nothing more for an attempt."""
        self._open.pop(attempt.lived.id, None)

    def attempt(self, session: str) -> Attempt:
        """An open attempt.

        Raises:
            NoSession: There is none, or it is over.
        """
        if session not in self._open:
            raise NoSession(f"There is no attempt {session[:80]!r} here, or it is over.")
        return self._open[session]

    def begin(self, asked: shapes.Begin) -> shapes.Begun:
        """Take up the session that was prepared for the agent.

        Raises:
            UserError: It names none.
            NoSession: There is none of this name.
            BadMessage: A tool is none.
        """
        if asked.session is None:
            raise UserError(
                "Here agents are measured, in sessions that are prepared for them: begin yours with "
                "the one in INSTAR_SESSION, or in the request's header Instar-Session."
            )
        tools_of(asked.tools)
        attempt = self.attempt(asked.session)
        attempt.taken = True
        self._change(asked.session, lambda _: {"model": asked.model})
        return shapes.Begun(session=asked.session, generation=attempt.lived.generation)

    def _turns(self, lived: Trajectory) -> int:
        return max(len(lived.steps), len(self.attempt(lived.id).calls))

    async def _recollect(self, lived: Trajectory, about: str) -> Recollection:
        return await self.attempt(lived.id).recollect(about)

    def of(self, session: str) -> Trajectory:
        return self.attempt(session).lived

    def _change(self, session: str, change: Callable[[Trajectory], dict[str, Any]]) -> Trajectory:
        attempt = self.attempt(session)
        attempt.lived = attempt.lived.model_copy(update=change(attempt.lived))
        return attempt.lived
