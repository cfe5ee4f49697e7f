"""What a run may use, and how it is kept to that with many episodes at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from pydantic import Field

from instar.types import Record, Usage

__all__ = ["Spending", "Turnstile"]


class Spending(Record):
    """What a run may use; None is no limit. Unknown prices count as nothing.

    Attributes:
        tokens: Prompt and completion tokens.
        usd: US dollars.
    """

    tokens: int | None = Field(default=None, gt=0)
    usd: float | None = Field(default=None, gt=0)

    def spent(self, used: Collection[Usage], running: int = 0) -> bool:
        """Whether a limit is reached, or would be if each that runs cost as much as the dearest so far."""
        tokens, costs = [u.tokens for u in used], [u.cost or 0.0 for u in used]
        return _reached(self.tokens, tokens, running) or _reached(self.usd, costs, running)


def _reached(limit: float | None, used: Sequence[float], running: int) -> bool:
    return limit is not None and sum(used) + running * max(used, default=0.0) >= limit


class Turnstile:
    """Lets episodes begin as long as a limit allows, if each costs as much as the dearest so far.

    At first nobody knows what one costs: never more run than have finished, beyond the first. So a
    limit is passed by about one episode, however many there may be at the same time.

    Args:
        limit: None lets everybody through.
        used: What each finished episode has used.
    """

    def __init__(self, limit: Spending | None, used: Callable[[], Collection[Usage]]) -> None:
        self._limit, self._used, self._running = limit, used, 0
        self._left = asyncio.Condition()

    async def enter(self) -> bool:
        """Wait until an episode may begin; False where none may any more."""
        if self._limit is None:
            return True
        async with self._left:
            await self._left.wait_for(lambda: not self._running or self._affordable())
            if self._limit.spent(self._used()):
                return False
            self._running += 1
        return True

    async def leave(self) -> None:
        """An episode has ended."""
        if self._limit is None:
            return
        async with self._left:
            self._running -= 1
            self._left.notify_all()

    def _affordable(self) -> bool:
        assert self._limit is not None
        used = self._used()
        return self._running < len(used) and not self._limit.spent(used, self._running + 1)
