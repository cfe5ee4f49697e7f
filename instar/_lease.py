"""One process of a machine has the GPU at a time; others queue for it, first come, first served.

Each who waits has a ticket, a file that it keeps locked: a ticket goes with its holder, however that
ends. The lowest number whose holder is alive has the GPU.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from instar.errors import Busy

__all__ = ["leased", "wants_gpu"]

_AGAIN = 2.0


def wants_gpu(device: str, driver: Path = Path("/dev/nvidiactl")) -> bool:
    """Whether a setting of the device comes to a GPU, told without loading torch."""
    return device.startswith("cuda") or (device == "auto" and driver.exists())


@asynccontextmanager
async def leased(
    wait: float,
    check: Callable[[], None],
    who: str,
    folder: Path | None = None,
    again: float = _AGAIN,
) -> AsyncIterator[None]:
    """Hold the GPU until the block ends.

    Args:
        wait: Minutes to wait for it.
        check: Asked while waiting; raises where the run has to stop.
        who: What others are told.
        folder: Of the tickets, the same for all who share the machine; None: one for each user.
        again: Seconds between two looks at the queue.

    Raises:
        Busy: Another process has it still.
    """
    place = folder or _tickets()
    place.mkdir(mode=0o700, exist_ok=True)
    until = time.monotonic() + 60 * wait
    with _ticket(place, f"process {os.getpid()}, {who}") as own:
        while ahead := _ahead(place, own):
            check()
            if time.monotonic() >= until:
                raise Busy(
                    f"The GPU is in use by {ahead[0]} ({len(ahead)} ahead). "
                    "To wait longer: -o limits.wait=MINUTES"
                )
            await asyncio.sleep(again)
        yield


def _tickets() -> Path:
    """Where the tickets of this user are: not by TMPDIR, which a login has and a clock has not."""
    shared = Path("/tmp")
    folder = shared if shared.is_dir() else Path(tempfile.gettempdir())
    return folder / f"instar-gpu-{os.getuid()}"


@contextmanager
def _ticket(place: Path, who: str) -> Iterator[int]:
    """Draw the next number, and hold it until the block ends."""
    with (place / "lock").open("a") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)  # only while a number is drawn
        number = max(_numbers(place), default=0) + 1
        file = (place / f"{number:09d}.ticket").open("a", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
    with file:
        file.write(who)
        file.flush()
        try:
            yield number
        finally:
            Path(file.name).unlink(missing_ok=True)


def _numbers(place: Path) -> list[int]:
    return sorted(int(path.stem) for path in place.glob("*.ticket"))


def _ahead(place: Path, own: int) -> list[str]:
    """Who waits with a lower number or has the GPU, first the one who has it."""
    found: list[str] = []
    for number in _numbers(place):
        path = place / f"{number:09d}.ticket"
        # It may go between the look and the opening.
        with contextlib.suppress(FileNotFoundError), path.open("r+", encoding="utf-8") as file:
            if number < own and not _abandoned(file, path):
                found.append(file.read().strip() or "another process")
    return found


def _abandoned(file: IO[str], path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    path.unlink(missing_ok=True)
    return True
