"""Long work beside the event loop, in a thread that does not keep the process alive.

`asyncio.to_thread` joins its threads when the loop ends, so that Ctrl-C in the middle of a training
would wait for the training. Everything that lasts is written so that it may be cut off anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["give_back", "in_thread"]

Value = TypeVar("Value")


async def in_thread(work: Callable[[], Value]) -> Value:
    """Run a function in a daemon thread and wait for what it returns or raises."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Value] = loop.create_future()

    def settle(set_value: Callable[[], None]) -> None:
        def if_waited_for() -> None:
            if not future.done():
                set_value()

        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(if_waited_for)

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - handed over whole to the one who waits
            failure = error
            settle(lambda: future.set_exception(failure))
        else:
            settle(lambda: future.set_result(value))

    threading.Thread(target=run, name="work", daemon=True).start()
    return await future


def give_back() -> None:
    """Give memory that nothing uses any more back to the system, where glibc can be asked to.

    A training leaves some gigabytes free within the process, in the arena of a thread that has ended,
    where no later one finds them: a process that trains ten times would hold them ten times.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
