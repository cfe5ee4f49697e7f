"""What an unattended run may use, and when it must leave: everything it did so far is kept.

A run is asked before each stage, each episode and each step of a training. Where it has to stop it
raises `Stopped`, and the same command goes on later: whatever is finished is in the store.
"""

from __future__ import annotations

import datetime
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from instar.config import Limits as Settings
from instar.errors import Stopped
from instar.types import Usage

__all__ = ["STOP", "Limits"]

STOP = "STOP"
"""Name of the file in a workspace that ends every evolution in it, and lets none begin."""

_DISK_EVERY = 5.0


class Limits:
    """The limits of one run; counts what it uses.

    Args:
        settings: Which there are.
        workspace: Where a file `STOP` is looked for, and how much room there is.
        clock: Monotonic seconds.
        now: The time of day.
    """

    def __init__(
        self,
        settings: Settings,
        workspace: Path,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime.datetime] = datetime.datetime.now,
    ) -> None:
        self._settings, self._workspace = settings, workspace
        self._clock, self._now = clock, now
        self._began = clock()
        self._looked = float("-inf")
        self._asked = ""
        self.tokens, self.cost = 0, 0.0

    def spend(self, usage: Usage) -> None:
        """Count what an episode used; unknown prices count as nothing."""
        self.tokens += usage.tokens
        self.cost += usage.cost or 0.0

    def stop(self, why: str) -> None:
        """Ask the run to leave at the next chance."""
        self._asked = why

    def check(self) -> None:
        """See whether the run may go on.

        Raises:
            Stopped: It may not; says why.
        """
        reason = self._reason()
        if reason:
            raise Stopped(
                f"Stopped: {reason}. What was finished is saved; the same command goes on."
            )

    def _reason(self) -> str:
        limits = self._settings
        if self._asked:
            return self._asked
        if (self._workspace / STOP).exists():
            return f"there is a file {self._workspace / STOP}; remove it to go on"
        minutes = (self._clock() - self._began) / 60
        if limits.minutes is not None and minutes >= limits.minutes:
            return f"the {limits.minutes:g} minutes of limits.minutes are over"
        if limits.tokens is not None and self.tokens >= limits.tokens:
            return f"{self.tokens:,} tokens were used, limits.tokens is {limits.tokens:,}"
        if limits.usd is not None and self.cost >= limits.usd:
            return f"${self.cost:.2f} were spent, limits.usd is {limits.usd:g}"
        if limits.window is not None and not _within(limits.window, self._now().time()):
            return f"it is outside the hours of limits.window, {limits.window}"
        return self._no_room()

    def _no_room(self) -> str:
        if self._clock() - self._looked < _DISK_EVERY:
            return ""
        self._looked = self._clock()
        folder = self._workspace if self._workspace.exists() else Path.cwd()
        free = shutil.disk_usage(folder).free / 2**30
        if free < self._settings.free_gb:
            least = self._settings.free_gb
            return f"{free:.1f} GiB are free, limits.free_gb wants {least:g}"
        return ""

    @contextmanager
    def until_asked(self) -> Iterator[None]:
        """While the block lasts SIGTERM asks the run to leave, instead of ending the process."""

        def asked(number: int, frame: FrameType | None) -> None:
            self.stop("it was asked to leave (SIGTERM)")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, asked)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def _within(window: str, now: datetime.time) -> bool:
    """Whether a time of day lies in ``HH:MM-HH:MM``, which may go over midnight."""
    begin, end = (datetime.time.fromisoformat(part) for part in window.split("-"))
    return begin <= now < end if begin < end else now >= begin or now < end
