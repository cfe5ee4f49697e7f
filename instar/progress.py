"""What a person sees while something long runs, always on stderr.

In a terminal a bar for each stage, which becomes one line when the stage is finished; elsewhere
(a log, a pipe) only the lines. A stage that was already finished says so.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from instar.types import Status

__all__ = ["Progress", "Tally"]

_WIDTH = 26
_SILENCE = 30.0
"""Seconds after which a log, which has no bar, is told how far a stage is."""


class Tally:
    """Counts the episodes of one stage as they finish."""

    def __init__(
        self, bars: Bars | None, title: str, total: int, console: Console | None = None
    ) -> None:
        self.title, self.total = title, total
        self.done = self.clean = 0
        self._console, self._told = console, time.monotonic()
        self._where = ""
        self._bars = bars
        self._row = bars.add_task(title, total=total or None, note="") if bars else None

    def add(self, status: Status | None = None) -> None:
        """One more is done, with its score where it has one."""
        self.done += 1
        self.clean += status == Status.PASS
        if self._bars is not None and self._row is not None:
            self._bars.update(self._row, completed=self.done, note=self.note)
        else:
            self._tell(f"{self.done} of {self.total}")

    def at(self, done: int, total: int, note: str) -> None:
        """Where something stands that is no episode, such as a training; any thread may say so."""
        if self._bars is not None and self._row is not None:
            self._bars.update(self._row, completed=done, total=total, note=note)
        else:
            self._where = f"{done} of {total} {note}".rstrip()
            self._tell(self._where)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Have a log told that something still goes on, also where nothing gets finished."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(_SILENCE / 3):
                counted = f"{self.done} of {self.total}" if self.total else "at work"
                self._tell(self._where or counted)

        heart = threading.Thread(target=beat, name="progress", daemon=True)
        if self._console is not None:
            heart.start()
        try:
            yield
        finally:
            over.set()

    def _tell(self, text: str) -> None:
        """One line in a log, if none was written for a while."""
        if self._console is not None and time.monotonic() - self._told > _SILENCE:
            self._told = time.monotonic()
            self._console.print(f"{self.title}: {text}", markup=False)

    @property
    def note(self) -> str:
        """How many episodes, and the share that was clean."""
        if not self.done:
            return ""
        return f"{self.done:4d} episodes  {100 * self.clean / self.done:3.0f} % clean"


class Progress:
    """Says on stderr what happens.

    Args:
        quiet: Say nothing but what is said by `say`.
        console: Where to, for tests.
    """

    def __init__(self, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self.quiet = quiet

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False)

    @contextmanager
    def stage(self, title: str, total: int = 0) -> Iterator[Tally]:
        """Show a stage until the block ends.

        Args:
            title: What it is called.
            total: How many episodes it runs, 0 where it runs none.
        """
        started = time.monotonic()
        if self.quiet or not self.console.is_terminal:
            tally = Tally(None, title, total, None if self.quiet else self.console)
            with tally.beating():
                yield tally
        else:
            with self._bars() as bars:
                tally = Tally(bars, title, total)
                yield tally
        if not self.quiet:
            self.say(f"{title:<{_WIDTH}} {tally.note:<30} {time.monotonic() - started:7.1f} s")

    def skip(self, title: str) -> None:
        """A stage whose output exists already."""
        if not self.quiet:
            self.say(f"{title:<{_WIDTH}} finished before")

    def _bars(self) -> Bars:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24))
        rest = (MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
        return Bars(*columns, *rest, console=self.console, transient=True)
