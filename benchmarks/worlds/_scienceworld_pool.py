"""A bounded number of simulators, started when needed and used again for the next episode.

Whoever finds all of them lent out waits for a turn; turns come in the order of asking. The waiting
is bound to no event loop, because a world may be used in one loop after another.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future

from benchmarks.worlds._scienceworld_jvm import Simulator
from instar.errors import InstarError

__all__ = ["Pool"]


class Pool:
    """Simulators to be lent.

    Args:
        size: How many may be lent at the same time.
        reuse: Whether one that comes back is lent again; else each is new, and ended afterwards.
    """

    def __init__(self, size: int, reuse: bool = True) -> None:
        self._size, self._reuse = size, reuse
        self._lock = threading.Lock()
        self._made = weakref.WeakSet[Simulator]()
        self._idle: list[Simulator] = []
        self._turns = 0
        self._waiting: deque[Future[None]] = deque()

    async def take(self) -> Simulator:
        """A simulator to oneself, to be given back.

        Raises:
            MissingExtra: Java or the library is not installed.
            UserError: Java does not run the simulator.
            EpisodeFault: It failed in starting.
        """
        await self._turn()
        starting = asyncio.ensure_future(asyncio.to_thread(self._ready))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A process half started cannot be left to itself.
            with contextlib.suppress(InstarError):
                self._keep(await starting, turns=1)
            self._over()
            raise
        except BaseException:
            self._over()
            raise

    def give(self, simulator: Simulator) -> None:
        """Take a simulator back; one that died or was left in the middle of a call is ended."""
        self._keep(simulator, turns=1)
        self._over()

    @contextlib.contextmanager
    def spare(self) -> Iterator[Simulator]:
        """A simulator without waiting for a turn, one above the bound if all are lent out."""
        simulator = self._ready()
        try:
            yield simulator
        finally:
            self._keep(simulator, turns=0)

    def close(self) -> None:
        """End all simulators; the episodes that still have one fail."""
        with self._lock:
            made, self._idle = list(self._made), []
            self._made.clear()
        for simulator in made:
            simulator.close()

    def _ready(self) -> Simulator:
        with self._lock:
            idle, self._idle = self._idle, []
            usable = [s for s in idle if s.usable]
            found = usable.pop() if usable else None
            self._idle = usable
        for simulator in idle:
            if not simulator.usable:
                simulator.close()
        if found is None:
            found = Simulator(brief=not self._reuse)
            with self._lock:
                self._made.add(found)
        return found

    def _keep(self, simulator: Simulator, turns: int) -> None:
        """Keep a simulator for the next one who asks, if there are not enough already.

        Args:
            turns: How many of the turns that are taken are this simulator's own.
        """
        with self._lock:
            others = self._turns - turns + len(self._idle)
            wanted = self._reuse and simulator.usable and others < self._size
            if wanted:
                self._idle.append(simulator)
        if not wanted:
            simulator.close()

    async def _turn(self) -> None:
        with self._lock:
            if self._turns < self._size:
                self._turns += 1
                return
            mine: Future[None] = Future()
            self._waiting.append(mine)
        try:
            await asyncio.wrap_future(mine)
        except asyncio.CancelledError:
            if not mine.cancel():  # It had come already.
                self._over()
            raise

    def _over(self) -> None:
        """Pass a turn on, or let it lapse where nobody waits."""
        with self._lock:
            while self._waiting:
                first = self._waiting.popleft()
                if first.set_running_or_notify_cancel():
                    first.set_result(None)
                    return
            self._turns -= 1
