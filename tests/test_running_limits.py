"""What ends a run early: time, tokens, money, hours, room, a file STOP, SIGTERM; and the GPU's queue."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stores import generation
from test_evolve import config

from benchmarks.runner import read_lines
from instar._lease import leased, wants_gpu
from instar._loop import Loop
from instar._reporting import report
from instar.compose import Workspace
from instar.config import Limits as Settings
from instar.config import load_config
from instar.errors import Busy, ConfigError, Stopped
from instar.limits import STOP, Limits
from instar.progress import Progress
from instar.types import Usage


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def limits(folder: Path, clock: Clock | None = None, hour: int = 12, **settings) -> Limits:
    now = datetime.datetime(2026, 1, 1, hour, 30)
    return Limits(Settings(**settings), folder, clock or Clock(), lambda: now)


def test_nothing_set_stops_nothing(tmp_path):
    one = limits(tmp_path)
    one.spend(Usage(prompt_tokens=10**9, completion_tokens=0, cost=1e6))
    one.check()  # raises where something is reached
    assert one.tokens == 10**9, "what is used counts all the same"


def test_time_tokens_and_money_run_out(tmp_path):
    clock = Clock()
    timed = limits(tmp_path, clock, minutes=10)
    timed.check()
    clock.now += 600
    with pytest.raises(Stopped, match=r"10 minutes of limits\.minutes"):
        timed.check()
    counted = limits(tmp_path, tokens=100)
    counted.spend(Usage(prompt_tokens=60, completion_tokens=39))
    counted.check()
    counted.spend(Usage(prompt_tokens=1, completion_tokens=0))
    with pytest.raises(Stopped, match="100 tokens were used"):
        counted.check()
    paid = limits(tmp_path, usd=0.5)
    paid.spend(Usage(prompt_tokens=1, completion_tokens=1, cost=None))
    paid.check()
    paid.spend(Usage(prompt_tokens=1, completion_tokens=1, cost=0.5))
    with pytest.raises(Stopped, match=r"\$0.50 were spent"):
        paid.check()


@pytest.mark.parametrize(
    ("window", "hour", "open_"),
    [
        ("22:00-06:00", 23, True),
        ("22:00-06:00", 3, True),
        ("22:00-06:00", 12, False),
        ("09:00-17:00", 12, True),
        ("09:00-17:00", 17, False),
    ],
)
def test_hours_may_go_over_midnight(tmp_path, window, hour, open_):
    one = limits(tmp_path, hour=hour, window=window)
    if open_:
        one.check()
        return
    with pytest.raises(Stopped, match="outside the hours"):
        one.check()


def test_a_full_disk_and_a_stop_file_end_a_run(tmp_path):
    with pytest.raises(Stopped, match=r"limits\.free_gb wants 1e"):
        limits(tmp_path, free_gb=1e9).check()
    (tmp_path / STOP).touch()
    with pytest.raises(Stopped, match="remove it to go on"):
        limits(tmp_path).check()


@pytest.mark.parametrize("hours", ["22-6", "25:00-06:00", "22:00", "06:00-06:00"])
def test_hours_written_otherwise_are_refused(hours):
    with pytest.raises(ConfigError, match="22:00-06:00"):
        load_config(None, [f"limits.window={hours}"])


def test_sigterm_asks_and_does_not_end(tmp_path):
    one = limits(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    with one.until_asked():
        one.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match="SIGTERM"):
            one.check()
    assert signal.getsignal(signal.SIGTERM) == before


async def test_the_gpu_goes_to_who_came_first(tmp_path):
    order: list[str] = []

    async def work(name: str, begun: asyncio.Event) -> None:
        begun.set()
        async with leased(1, lambda: None, name, tmp_path, again=0.001):
            order.append(name)
            await asyncio.sleep(0.01)

    waiting = []
    async with leased(0, lambda: None, "first", tmp_path):
        for name in ("second", "third", "fourth"):
            begun = asyncio.Event()
            waiting.append(asyncio.create_task(work(name, begun)))
            await begun.wait()
        with pytest.raises(Busy, match=r"in use by process \d+, first \(4 ahead\)"):
            async with leased(0, lambda: None, "impatient", tmp_path):
                raise AssertionError("two have it")
        assert not order
    await asyncio.gather(*waiting)
    assert order == ["second", "third", "fourth"]
    assert not list(tmp_path.glob("*.ticket"))


async def test_who_waits_for_the_gpu_can_be_asked_to_leave(tmp_path):
    one = limits(tmp_path)
    one.stop("enough")
    async with leased(0, lambda: None, "first", tmp_path):
        with pytest.raises(Stopped, match="enough"):
            async with leased(1, one.check, "second", tmp_path):
                raise AssertionError("two have it")


async def test_a_holder_that_was_killed_leaves_the_gpu(tmp_path):
    script = (
        "import asyncio, os, sys; from pathlib import Path; from instar._lease import leased\n"
        "async def main():\n"
        "    async with leased(0, lambda: None, 'doomed', Path(sys.argv[1])):\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9 and list(tmp_path.glob("*.ticket"))
    async with leased(0, lambda: None, "heir", tmp_path):
        pass
    assert not list(tmp_path.glob("*.ticket"))


def test_a_gpu_is_wanted_only_where_there_is_one(tmp_path):
    driver = tmp_path / "nvidiactl"
    assert not wants_gpu("cpu", driver) and not wants_gpu("auto", driver)
    driver.touch()
    assert (
        wants_gpu("auto", driver) and wants_gpu("cuda:1", driver) and not wants_gpu("cpu", driver)
    )


REPORT = "run1/report"


async def reported(folder: Path, key: str, limited: Limits | None = None, *more: str) -> dict:
    async with Workspace.open(
        config(folder, "report.tasks=3", "practise.concurrency=1", *more)
    ) as workspace:
        loop = Loop(workspace, Progress(quiet=True), limited)
        facts = (await report(loop, key, {"turn": 3})).facts
        workspace.store.finish_stage(key, facts)
        return facts


async def test_a_report_stops_at_a_limit_and_measures_no_generation_twice(tmp_path):
    async with Workspace.open(config(tmp_path)) as workspace:
        for id, parent, status in (
            ("g0", None, "retired"),
            ("g1", "g0", "retired"),
            ("g2", "g1", "active"),
        ):
            workspace.store.add_generation(generation(id, parent, status))
        for turn, before in ((1, "g0"), (2, "g1")):
            workspace.store.finish_stage(f"g{turn}/promote", {"before": before})
    (tmp_path / STOP).touch()
    with pytest.raises(Stopped, match="remove it to go on"):
        await reported(tmp_path, REPORT, limits(tmp_path))
    (tmp_path / STOP).unlink()
    folder = tmp_path / "runs" / "run1-report"
    assert not read_lines(folder)
    counted = limits(tmp_path, tokens=1)
    with pytest.raises(Stopped, match="tokens were used"):
        await reported(tmp_path, REPORT, counted)
    begun = {x.key for x in read_lines(folder)}
    assert begun and counted.tokens > 1
    first = await reported(tmp_path, REPORT)
    assert begun < {x.key for x in read_lines(folder)}
    assert {x.arm for x in read_lines(folder)} == {"base", "g1"}
    assert first["points"]["g1"]["n"] == 3

    again = await reported(tmp_path, "run2/report")
    assert {x.arm for x in read_lines(tmp_path / "runs" / "run2-report")} == {"base"}
    assert again["points"]["g1"] == first["points"]["g1"]
    await reported(tmp_path, "run3/report", None, "agent.max_steps=7")
    assert {x.arm for x in read_lines(tmp_path / "runs" / "run3-report")} == {"base", "g1"}


async def test_a_report_that_broke_off_under_other_settings_measures_anew(tmp_path):
    async with Workspace.open(config(tmp_path)) as workspace:
        workspace.store.add_generation(generation("g0", None, "active"))
    with pytest.raises(Stopped):
        await reported(tmp_path, REPORT, limits(tmp_path, tokens=1))
    facts = await reported(tmp_path, REPORT, None, "report.tasks=2")
    assert facts["summary"]["n"] == 2
