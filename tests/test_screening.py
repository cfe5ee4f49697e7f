"""Drafts are attempted before they are practised, where the band leaves rates of success out."""

from __future__ import annotations

from test_proposing import lived, opened, proposed

from instar.errors import EpisodeFault
from instar.types import Score, ScoreSource, Status

MANY = "curriculum.proposals=24"
HARD = "too hard: done in less than 50% of the attempts"
EASY = "too easy: done in more than 50% of the attempts"
UNKNOWN = "its difficulty is not known: no attempt could be judged"


async def test_what_lies_outside_the_band_is_left_out_by_its_attempts(tmp_path):
    band = (MANY, "curriculum.attempts=2")
    async with opened(tmp_path, *band) as workspace:
        await lived(workspace)
        every = {t.id for t in (await proposed(workspace)).tasks}
        assert not workspace.store.trajectories(purpose="difficulty"), "no rate is left out"
    async with opened(tmp_path, *band, "curriculum.low=0.5") as workspace:
        found = await proposed(workspace)
        tried = workspace.store.trajectories(purpose="difficulty")
        assert len(tried) == 2 * len(every) and set(found.difficulty) == every
        done = {id for id, rate in found.difficulty.items() if rate >= 0.5}
        assert {t.id for t in found.tasks} == done and 0 < len(done) < len(every)
        assert found.refused[HARD] == len(every - done)
    async with opened(tmp_path, *band, "curriculum.high=0.5") as workspace:
        found = await proposed(workspace)
        assert {t.id for t in found.tasks} == every - done
        assert found.refused[EASY] == len(done)
        assert workspace.store.trajectories(purpose="difficulty") == tried, "asked once"


async def test_what_nobody_could_judge_is_of_no_known_difficulty(tmp_path, monkeypatch):
    async with opened(tmp_path, MANY, "curriculum.attempts=1", "curriculum.high=0.9") as workspace:
        await lived(workspace)
        opens, broken = workspace.home.open, []

        async def breaks_for_one(task, seed):
            if task.origin != "world" and (not broken or task.id in broken):
                broken.append(task.id)
                raise EpisodeFault("gone")
            return await opens(task, seed)

        async def passes(task, seed):
            return Score(status=Status.PASS, source=ScoreSource.PROGRAM)

        monkeypatch.setattr(workspace.home, "oracle", passes)
        monkeypatch.setattr(workspace.home, "open", breaks_for_one)
        found = await proposed(workspace)
        assert found.refused[UNKNOWN] == 1 and not {t.id for t in found.tasks} & set(broken)
