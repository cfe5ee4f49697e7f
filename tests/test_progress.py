"""What a log is told while something long runs."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from instar import progress
from instar.types import Status


class _Log(io.StringIO):
    """Lets a test wait for a line."""

    def __init__(self):
        super().__init__()
        self.told = threading.Event()

    def write(self, text):
        written = super().write(text)
        if "of" in text or "at work" in text:
            self.told.set()
        return written


@pytest.mark.parametrize(("total", "line"), [(4, "practise: 1 of 4\n"), (0, "practise: at work\n")])
def test_a_log_hears_of_a_stage_in_which_nothing_gets_finished(monkeypatch, total, line):
    monkeypatch.setattr(progress, "_SILENCE", 0.01)
    log = _Log()
    shown = progress.Progress(console=Console(file=log, width=80))
    with shown.stage("practise", total) as tally:
        tally.done = min(1, total)
        assert log.told.wait(20)
    assert line in log.getvalue()
    assert log.getvalue().splitlines()[-1].endswith(" s")


def test_a_log_hears_how_far_a_training_is(monkeypatch):
    monkeypatch.setattr(progress, "_SILENCE", 0.01)
    log = _Log()
    shown = progress.Progress(console=Console(file=log, width=80))
    with shown.stage("train") as tally:
        tally.at(3, 100, "loss 0.512")
        for _ in range(2):  # the second line at least comes from the beat
            log.told.clear()
            assert log.told.wait(20)
    assert log.getvalue().count("train: 3 of 100 loss 0.512\n") >= 2


def test_a_quiet_one_says_nothing_and_a_busy_one_not_every_episode(monkeypatch):
    quiet, busy = _Log(), _Log()
    with progress.Progress(quiet=True, console=Console(file=quiet)).stage("practise", 2) as tally:
        tally.add(Status.PASS)
    assert quiet.getvalue() == ""
    with progress.Progress(console=Console(file=busy, width=80)).stage("practise", 2) as tally:
        tally.add(Status.PASS)
        tally.add(Status.FAIL)
    (line,) = busy.getvalue().splitlines()
    assert "2 episodes   50 % clean" in line
