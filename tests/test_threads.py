"""Long work beside the event loop: what comes back of it, and the memory that it leaves."""

from __future__ import annotations

import asyncio
import os
import platform
import threading
from pathlib import Path

import pytest

from instar.threads import give_back, in_thread


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_result_and_an_error_come_back_while_the_loop_goes_on() -> None:
    begun, go = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        go.wait()
        return threading.current_thread().name

    waiting = asyncio.ensure_future(in_thread(work))
    while not begun.is_set():
        await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    assert await waiting == "work"
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


def test_a_thread_that_works_does_not_keep_the_process() -> None:
    async def leave() -> None:
        begun = threading.Event()

        def work() -> None:
            begun.set()
            threading.Event().wait()

        waiting = asyncio.ensure_future(in_thread(work))
        while not begun.is_set():
            await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave())
    left = [t for t in threading.enumerate() if t.name == "work"]
    assert left and all(t.daemon for t in left)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
async def test_memory_that_a_thread_has_left_goes_back_to_the_system() -> None:
    size, count = 60_000, 4_000

    def work() -> bytearray:
        # Too small to be given back one by one; the last one holds what is below it.
        blocks = [bytearray(size) for _ in range(count)]
        return blocks[-1]

    last = await in_thread(work)
    before = resident()
    give_back()
    assert before - resident() > size * count / 2
    assert len(last) == size
