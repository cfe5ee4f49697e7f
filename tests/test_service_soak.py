"""Many sessions at once on a real service, which is killed on the way: nothing lost, nothing that grows.

`make soak` runs 64 agents for ten minutes; SERVICE_SOAK_SECONDS takes another time. The short version
is the same with less of everything, and judges neither latency nor memory.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from instar_client import Counts
from service_load import Ledger, Load, Service, Watched, fill, live

_SECONDS = float(os.environ.get("SERVICE_SOAK_SECONDS", 600))
_CLIENTS = 4
_WAITING = 60
_LOOKS = 200
_GROWTH = 0.05
"""Share by which the memory of the process may grow from its second quarter to its last."""
_LEAST = 10
"""Megabytes that are no growth."""


class Soaked(NamedTuple):
    """What a soak came to.

    Attributes:
        ledger: What was acknowledged; all of it was found.
        counts: Of those who used the client.
        longest: Seconds that the client kept one of them waiting at most.
        megabytes: Of the process that was begun after the kill, at even distances.
        back: Seconds until it served again.
    """

    ledger: Ledger
    counts: list[Counts]
    longest: float
    megabytes: list[float]
    back: float

    @property
    def growth(self) -> tuple[float, float]:
        """Megabytes in the second quarter of its life, and in the last."""
        quarter = len(self.megabytes) // 4
        early = statistics.median(self.megabytes[quarter : 2 * quarter])
        return early, statistics.median(self.megabytes[3 * quarter :])

    def __str__(self) -> str:
        ledger = self.ledger
        early, late = self.growth
        parts = [
            f"{len(ledger.begun)} sessions, {ledger.reports} reports, {len(ledger.outcomes)} outcomes",
            f"{ledger.lost} requests without an answer, {self.back:.1f} s to be back",
            f"recall p50 {ledger.percentile(0.5):.0f} ms, p99 {ledger.percentile(0.99):.0f} ms",
            f"the client waited {1e3 * self.longest:.0f} ms at most",
            f"memory {early:.1f} MB, at the end {late:.1f} MB",
        ]
        return "; ".join(parts)


async def soak(folder: Path, agents: int, memories: int, seconds: float, think: float) -> Soaked:
    """Agents at work, a kill after a fifth of the time, and then a look into the store."""
    await asyncio.to_thread(fill, folder, memories)
    service = await asyncio.to_thread(Service, folder)
    load = Load(service, think)
    clients = [Watched(service.url) for _ in range(_CLIENTS)]
    waits: list[float] = []
    broken: list[BaseException] = []

    def use(client: Watched, number: int) -> None:
        try:
            waits.extend(live(client, load.over, number))
        except BaseException as error:  # noqa: BLE001 - a client must never raise
            broken.append(error)

    threads = [threading.Thread(target=use, args=pair[::-1]) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    try:
        working = asyncio.create_task(load.run(agents))
        await asyncio.sleep(seconds / 5)
        while not load.ledger.outcomes or not all(client.counts.sent for client in clients):
            await asyncio.sleep(0.1)
        service.kill()
        began = time.monotonic()
        await asyncio.to_thread(service.start)
        back = time.monotonic() - began
        megabytes = []
        for _ in range(_LOOKS):
            await asyncio.sleep(0.8 * seconds / _LOOKS)
            megabytes.append(service.megabytes)
        load.over.set()
        await working
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert not broken, broken
        for client in clients:
            assert await asyncio.to_thread(client.flush, _WAITING)
            client.close()
    finally:
        load.over.set()
        service.stop()
    for client in clients:
        client.into(load.ledger)
    await asyncio.to_thread(load.ledger.check, folder)
    counts = [client.counts for client in clients]
    return Soaked(load.ledger, counts, max(waits), megabytes, back)


def judge(done: Soaked) -> None:
    """What holds however short it was."""
    assert not done.ledger.refused, "each request is one that a right client makes"
    assert done.ledger.lost, "the kill came between requests"
    assert done.ledger.reports and done.ledger.outcomes and done.ledger.recalls
    for counts in done.counts:
        assert counts.sent and counts.failed, "before and after the kill, and during it"


async def test_a_service_that_is_killed_at_work_has_lost_nothing(tmp_path):
    done = await soak(tmp_path / "served", agents=12, memories=200, seconds=5, think=0.2)
    judge(done)


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_64_sessions_at_once_for_ten_minutes(tmp_path, capsys):
    done = await soak(tmp_path / "served", agents=64, memories=3000, seconds=_SECONDS, think=2)
    with capsys.disabled():
        print(f"\n{_SECONDS:.0f} s: {done}")
    judge(done)
    early, late = done.growth
    assert late - early <= max(_LEAST, _GROWTH * early), "its memory grows"
