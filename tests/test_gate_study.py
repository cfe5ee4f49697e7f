"""The study of the gate: what it draws is what it says, and its rates come from the gate itself."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from benchmarks.studies import gate as study
from finetune.gate import GateConfig


@pytest.mark.parametrize("candidate", study.CANDIDATES, ids=lambda c: c.name)
def test_what_is_drawn_is_what_is_said(candidate):
    drawn = study.pairs(candidate, 4_000, random.Random(1))
    active, ours = (fmean(getattr(p, side) for p in drawn) for side in ("active", "candidate"))
    gain = candidate.gain - (0.08 if candidate.lost else 0)
    assert ours - active == pytest.approx(gain, abs=0.03)
    lost = [p for p in drawn if p.group == "g0" and p.candidate]
    assert bool(lost) is not candidate.lost
    if candidate.saving:
        used = [p.tokens for p in drawn]
        left = fmean(c for _, c in used) / fmean(a for a, _ in used)
        assert left == pytest.approx(1 - candidate.saving, abs=0.02)


def test_a_large_gain_is_found_and_a_loss_is_not_promoted():
    config = GateConfig(test="spending")
    better = study.measure(study.Candidate("", 0.4), 60, config, 10, 0)
    assert better.promoted == 10 and better.pairs < 60
    worse = study.measure(study.Candidate("", -0.4), 60, config, 10, 0)
    assert (worse.promoted, worse.rejected) == (0, 10)


def test_a_life_is_the_same_again_and_asks_three_gates_a_turn(monkeypatch):
    asked = []
    real = study.weigh
    monkeypatch.setattr(study, "weigh", lambda p, c: asked.append(c.alpha) or real(p, c))
    config = GateConfig(test="once")
    first = study.life(3, 60, config, 0.1, random.Random(4))
    assert len(asked) == 9 and max(asked) <= 0.05 and len(set(asked)) > 3
    assert study.life(3, 60, config, 0.1, random.Random(4)) == first


def test_the_tables_are_printed(capsys, monkeypatch):
    few = [one._replace(sizes=(20,)) for one in study.CANDIDATES]
    monkeypatch.setattr(study, "CANDIDATES", few)
    monkeypatch.setattr(study, "_LIVED", 20)
    monkeypatch.setattr(study, "_TURNS", 2)
    assert study.main(["--runs", "2", "--lives", "1", "--test", "spending"]) == 0
    told = capsys.readouterr().out
    assert "| 10 points better | 20 | spending |" in told
    assert "| spending | 1 |" in told
    with pytest.raises(SystemExit):
        study.main(["--runs", "0"])
