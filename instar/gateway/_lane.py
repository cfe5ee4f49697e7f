"""One thread that does all work on the workspace, one piece after the other, beside the event loop.

A database that another process holds, or a slow disk, makes work wait here and nowhere else.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

__all__ = ["Lane", "Work"]

Value = TypeVar("Value")
Work: TypeAlias = Callable[[], Awaitable[Any]]
_GRACE = 1.0


class Lane:
    """Work done in the order in which it came; what is urgent overtakes what came within a second.

    Args:
        most: So many pieces may wait.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._waiting: queue.PriorityQueue[Any] = queue.PriorityQueue()
        self._number = itertools.count()
        # A daemon: what hangs in here must not keep the process from leaving.
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    def put(self, work: Callable[[], Awaitable[Value]], urgent: bool = False) -> Future[Value]:
        """Have something done.

        Raises:
            queue.Full: Too much is waiting.
        """
        if self._waiting.qsize() >= self._most:
            raise queue.Full
        done: Future[Value] = Future()
        due = time.monotonic() + (0 if urgent else _GRACE)
        self._waiting.put((due, next(self._number), work, done))
        return done

    async def settled(self) -> None:
        """Wait until what was put so far is done."""

        async def nothing() -> None:
            pass

        await asyncio.wrap_future(self.put(nothing))

    async def close(self, seconds: float) -> None:
        """Do what is waiting, for so many seconds at most, and stop."""
        self._waiting.put((math.inf, next(self._number), None, None))
        await asyncio.to_thread(self._thread.join, seconds)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                _, _, work, done = self._waiting.get()
                if work is None:
                    return
                if not done.set_running_or_notify_cancel():
                    continue
                try:
                    done.set_result(runner.run(_awaited(work)))
                except BaseException as error:  # noqa: BLE001 - handed over whole to the one who waits
                    done.set_exception(error)


async def _awaited(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()
