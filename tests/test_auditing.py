"""A judge beside the truth: what it gets wrong is counted, and one that errs teaches nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from episodes import task, trajectory
from test_evolve import config

from instar._curating import curated
from instar._lock import exclusive
from instar.auditing import _precision, audit, confusion, judge_sessions, trusted
from instar.compose import Workspace
from instar.config import Audit
from instar.errors import Busy, Stopped
from instar.limits import STOP
from instar.once import once
from instar.progress import Progress
from instar.recorded import unread, unscored
from instar.types import Reply, Score, ScoreSource, Split, Status, Usage

QUIET = Progress(quiet=True)


class Judging:
    """A model that judges by a word that only failed episodes have in their answer, and may err."""

    name, provider = "judging", "scripted"
    lenient = False
    asked = 0

    async def complete(self, messages, tools, sampling):
        type(self).asked += 1
        failed = "gave up" in messages[-1]["content"]
        verdict = "pass" if self.lenient or not failed else "fail"
        return Reply(
            content=f"I looked.\nverdict: {verdict}", usage=Usage(calls=1, prompt_tokens=100)
        )


class Lenient(Judging):
    lenient = True


def opened(folder: Path, model: str = "Judging", *more: str) -> Workspace:
    own = [f"memory.model=test_auditing.{model}", "memory.judge=judge", "audit.episodes=40"]
    own.append("audit.precision=0.75")
    small = ["practise.tasks=8", "gate.tasks=8", "report.tasks=4"]
    return Workspace.open(config(folder, *own, *small, *more))


def lived(name: str, passed: bool, **changes):
    status = Status.PASS if passed else Status.FAIL
    score = Score(status=status, source=ScoreSource.PROGRAM)
    answer = "done" if passed else "I gave up"
    return trajectory(
        task(name, Split.PRACTISE),
        id=name,
        score=score,
        answer=answer,
        **{"purpose": "practise", **changes},
    )


def fill(workspace: Workspace, passes: int = 30, failures: int = 30, sessions: int = 6) -> None:
    for i in range(passes + failures):
        workspace.store.save_trajectory(lived(f"p{i}", i < passes), stage="g1/practise_1")
    for i in range(sessions):
        one = lived(f"s{i}", i % 2 == 0, purpose="live")
        nobody = one.model_copy(update={"score": Score(status=Status.UNKNOWN)})
        workspace.store.save_trajectory(nobody, stage="live")


async def test_a_judge_that_is_right_is_believed_and_asked_once(tmp_path):
    async with opened(tmp_path) as workspace:
        fill(workspace)
        before = Judging.asked
        found = await audit(workspace, QUIET)
        assert found["matrix"] == {
            "pass": {"pass": 20, "fail": 0, "unknown": 0},
            "fail": {"pass": 0, "fail": 20, "unknown": 0},
        }
        assert found["precision"] == 1 and found["interval"][0] > 0.75 and found["trusted"]
        assert Judging.asked == before + 40
        assert await audit(workspace, QUIET) == found and Judging.asked == before + 40
        done = await judge_sessions(workspace, QUIET)
        assert done["judged"] == 6 and not unscored(workspace.store)
        scores = {t.id: t.score for t in unread(workspace.store)}
        assert scores["s0"].status is Status.PASS and scores["s1"].status is Status.FAIL
        assert {s.source for s in scores.values()} == {ScoreSource.JUDGE}


async def test_a_judge_that_passes_everything_teaches_nothing(tmp_path):
    async with opened(tmp_path, "Lenient") as workspace:
        fill(workspace)
        done = await judge_sessions(workspace, QUIET)
        assert not done["trusted"] and done["precision"] == 0.5 and done["judged"] == 0
        assert len(unscored(workspace.store)) == 6
        assert "Nothing new" in (await once(workspace, False, QUIET))["nothing"]


class Slips(Judging):
    """Passes every twentieth failure that it is asked about."""

    failures = 0

    async def complete(self, messages, tools, sampling):
        if "gave up" in messages[-1]["content"]:
            type(self).failures += 1
            if self.failures % 20 == 0:
                return Reply(content="verdict: pass", usage=Usage(calls=1))
        return await super().complete(messages, tools, sampling)


@pytest.mark.parametrize(
    ("passes", "precision", "believed"), [(200, 0.95, True), (20, 0.51, False)]
)
async def test_how_far_a_pass_is_believed_depends_on_how_rare_passes_are(
    tmp_path, passes, precision, believed
):
    Slips.failures = 0
    async with opened(tmp_path, "Slips", "audit.episodes=240") as workspace:
        fill(workspace, passes=passes, failures=400 - passes)
        found = await audit(workspace, QUIET)
        assert found["share"] == passes / 400 and found["trusted"] is believed
        assert found["precision"] == pytest.approx(precision, abs=0.02)
        low, high = found["interval"]
        assert low < found["precision"] < high


@pytest.mark.parametrize(
    ("episodes", "share", "enough"), [(60, 0.5, True), (300, 0.1, False), (400, 0.1, True)]
)
def test_how_many_a_judge_that_never_errs_is_asked_until_it_is_believed(episodes, share, enough):
    half = episodes // 2
    right, low_high = _precision({"pass": half, "fail": 0}, {"pass": 0, "fail": half}, share)
    assert right == 1 and (low_high.low >= Audit().precision) is enough


class Tiring(Judging):
    """Right until it is tired; then it passes everything."""

    tired = False

    @property
    def lenient(self):
        return self.tired


async def test_one_that_has_become_careless_is_found_out(tmp_path):
    async with opened(tmp_path, "Tiring", "audit.episodes=60") as workspace:
        fill(workspace, sessions=0)
        Tiring.tired = False
        assert (await audit(workspace, QUIET))["trusted"]
        Tiring.tired = True
        assert (await audit(workspace, QUIET))["trusted"], "nothing was practised since"
        for turn in range(2, 5):
            for i in range(40):
                one = lived(f"t{turn}.{i}", i % 2 == 0, started=float(turn))
                workspace.store.save_trajectory(one, stage=f"g{turn}/practise_1")
            found = await audit(workspace, QUIET)
            assert found["asked"] == 60
        assert not found["trusted"] and found["matrix"]["fail"]["pass"] == 15


async def test_nobody_is_asked_against_a_limit_or_while_another_is_at_work(tmp_path):
    async with opened(tmp_path) as workspace:
        fill(workspace)
        before = Judging.asked
        (tmp_path / STOP).touch()
        with pytest.raises(Stopped):
            await once(workspace, False, QUIET)
        (tmp_path / STOP).unlink()
        with exclusive(tmp_path), pytest.raises(Busy):
            await once(workspace, False, QUIET)
        assert Judging.asked == before and len(unscored(workspace.store)) == 6


async def test_what_a_judge_uses_counts_against_the_limits_and_what_it_said_is_kept(tmp_path):
    async with opened(tmp_path, "Judging", "limits.tokens=1500") as workspace:
        fill(workspace)
        before = Judging.asked
        for asked in (15, 30):
            with pytest.raises(Stopped, match=r"limits\.tokens"):
                await once(workspace, False, QUIET)
            assert Judging.asked == before + asked
        assert confusion(workspace.store, workspace.config)["asked"] == 30
    # 10 episodes are left of the audit and 6 sessions; what that used is used for the turn too.
    async with opened(tmp_path, "Judging", "limits.tokens=1600", "once.successes=3") as workspace:
        with pytest.raises(Stopped, match="1,600 tokens"):
            await once(workspace, False, QUIET)
        assert Judging.asked == before + 46 and not unscored(workspace.store)


async def test_too_few_known_episodes_are_not_enough_to_believe(tmp_path):
    async with opened(tmp_path) as workspace:
        fill(workspace, passes=5, failures=5)
        found = await audit(workspace, QUIET)
        assert found["precision"] == 1 and not found["trusted"]


async def test_who_is_no_longer_believed_no_longer_teaches(tmp_path):
    async with opened(tmp_path) as workspace:
        fill(workspace)
        await judge_sessions(workspace, QUIET)
        assert len(unread(workspace.store, trusted(workspace.store, workspace.config))) == 6
    trusting = 'methods.rft.sources=["judge"]'
    async with opened(tmp_path, "Judging", trusting, "audit.precision=0.99") as workspace:
        assert not trusted(workspace.store, workspace.config)
        assert not unread(workspace.store, believe=False)
        assert "s0" not in curated(workspace, "rft").dropped
    async with opened(tmp_path, "Judging", trusting) as workspace:
        rows = curated(workspace, "rft")
        assert "s0" in {row["trajectory"] for row in rows.rows} | set(rows.dropped)


async def test_another_model_is_another_judge(tmp_path):
    async with opened(tmp_path) as workspace:
        fill(workspace)
        assert (await audit(workspace, QUIET))["asked"] == 40
    async with opened(tmp_path, "Lenient") as workspace:
        assert confusion(workspace.store, workspace.config)["asked"] == 0


@pytest.mark.parametrize("asked", [True, False])
def test_the_command_shows_where_it_errs(tmp_path, capsys, monkeypatch, asked):
    import asyncio

    from instar import cli

    async def prepared():
        async with opened(tmp_path) as workspace:
            fill(workspace)

    asyncio.run(prepared())
    monkeypatch.setenv("INSTAR_WORKSPACE", str(tmp_path))
    named = ["-o", "memory.judge=judge"] if asked else []
    with pytest.raises(SystemExit) as exited:
        cli.main(
            [
                "audit",
                *named,
                "-o",
                "memory.model=test_auditing.Judging",
                "-o",
                "audit.precision=0.75",
            ]
        )
    out, err = capsys.readouterr()
    if not asked:
        assert exited.value.code == 2 and "memory.judge=judge" in err
        return
    assert exited.value.code == 0 and "may write memories" in out
