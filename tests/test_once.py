"""Turns by a clock: what was recorded is learnt from once, limits are kept, stages one at a time."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from stores import generation
from test_evolve import config

from instar._cli_stages import _run as single
from instar._lock import exclusive
from instar._loop import Loop
from instar._memory_history import changes
from instar._memory_log import UNDO
from instar._reflecting import distil
from instar._runs import unfinished
from instar.compose import Serving, Workspace
from instar.errors import Busy, Stopped, UserError, WorkspaceError
from instar.evolve import TURN, evolve, evolve_until
from instar.foreseeing import foresee
from instar.limits import STOP
from instar.once import once, unlearnt
from instar.progress import Progress
from instar.recorded import judge, said_by_a_person, unread, unscored
from instar.scheduling import cron, systemd
from instar.standing import age, standing, too_old
from instar.store import Store
from instar.types import GenerationStatus, Score, Split, Status

TINY = ["practise.tasks=8", "gate.tasks=8", "report.tasks=4"]
QUIET = Progress(quiet=True)


def listening() -> tuple[io.StringIO, Progress]:
    """Where what is said can be read, and who says it."""
    told = io.StringIO()
    return told, Progress(quiet=True, console=Console(file=told, soft_wrap=True))


def opened(folder: Path, *more: str) -> Workspace:
    return Workspace.open(config(folder, *TINY, *more))


async def record(workspace: Workspace, n: int, judged: bool = True) -> list[str]:
    """Sessions on the house's own practise tasks; unless they are judged nobody said how they went."""
    solve = workspace.solver(Serving(generation="none"), workspace.home, "live", sampled=False)
    names = []
    for task in workspace.home.tasks(Split.PRACTISE, n, 7):
        found = await solve(task, 7)
        if not judged:
            found = found.model_copy(update={"score": Score(status=Status.UNKNOWN)})
        workspace.store.save_trajectory(found, stage="live")
        names.append(found.id)
    return names


async def test_nothing_new_is_no_failure_and_counts_as_a_sign_of_life(tmp_path):
    async with opened(tmp_path) as workspace:
        found = await once(workspace, False, QUIET)
        assert found["nothing"].startswith("Nothing new: 0 recorded successes")
        assert not workspace.store.generations()
    assert standing(tmp_path)["age"] is not None


async def test_recorded_sessions_are_learnt_from_once(tmp_path):
    async with opened(tmp_path) as workspace:
        names = await record(workspace, 60)
        passed = [t for t in unread(workspace.store) if t.score.status is Status.PASS]
        assert 2 <= len(passed) < len(names)
        assert standing(tmp_path)["recorded"] == len(passed)
        found = await once(workspace, False, QUIET)
        assert "nothing" not in found
        facts = workspace.store.stage("g1/reflect_1")
        assert sorted(facts["recorded"]) == sorted(names) and facts["changes"] > 0
        assert not workspace.store.trajectories(purpose="practise")
        assert not unread(workspace.store)
        assert (await once(workspace, False, QUIET))["nothing"]
        assert (await once(workspace, True, QUIET))["run"] == "run2"
        assert workspace.store.trajectories(purpose="practise")


async def test_what_a_person_took_back_is_not_learnt_from_the_same_again(tmp_path):
    told, progress = listening()
    async with opened(tmp_path) as workspace:
        store = workspace.store
        names = await record(workspace, 30)
        loop, lived = Loop(workspace, progress), store.trajectories(ids=names)
        store.add_generation(generation("g1", status="active"))
        store.add_generation(generation("g2", "g1"))
        first = await distil(loop, "g1/reflect_1/workflow", "workflow", lived, "g1", "none")
        learnt = {i.id for i in store.items("g1")}
        assert learnt and first["refused"] == 0 and "took" not in told.getvalue()
        number = changes(store, item=min(learnt))[0].change
        workspace.bank.undo(number, "g1", UNDO)
        again = await distil(loop, "g2/reflect_1/workflow", "workflow", lived, "g2", "none")
        assert {i.id for i in store.items("g2")} == learnt - {min(learnt)}
        assert again["refused"] == 1 and "1 change refused: a person took" in told.getvalue()


async def test_too_few_successes_wait_for_more(tmp_path):
    async with opened(tmp_path, "once.successes=100") as workspace:
        await record(workspace, 4)
        found = await once(workspace, False, QUIET)
        assert "once.successes wants 100" in found["nothing"] and unread(workspace.store)


async def test_a_person_says_how_a_session_went(tmp_path):
    async with opened(tmp_path) as workspace:
        names = await record(workspace, 3, judged=False)
        assert not unread(workspace.store)
        waiting = {t.id: t for t in unscored(workspace.store)}
        assert set(waiting) == set(names)
        judge(workspace.store, waiting[names[0]], said_by_a_person(True, "it was done"))
        judge(workspace.store, waiting[names[1]], said_by_a_person(False, "it was not"))
        assert [t.id for t in unscored(workspace.store)] == names[2:]
        found = {t.id: t.score for t in unread(workspace.store)}
        assert {found[n].status for n in names[:2]} == {Status.PASS, Status.FAIL}
        assert found[names[0]].source == "user" and found[names[0]].evidence == "it was done"


async def test_a_run_that_reached_its_limit_goes_on_where_it_was(tmp_path):
    async with opened(tmp_path, "limits.tokens=2000") as workspace:
        with pytest.raises(Stopped, match=r"limits\.tokens is 2,000"):
            await evolve(workspace, 1, QUIET)
        begun = len(workspace.store.trajectories())
        assert begun and unfinished(workspace.store)
    async with opened(tmp_path) as workspace:
        found = await once(workspace, False, QUIET)
        assert found["run"] == "run1" and not unfinished(workspace.store)
        ids = [t.id for t in workspace.store.trajectories()]
        assert len(ids) == len(set(ids)) > begun
        practised = workspace.store.trajectories(stage="g1/practise_1")
        assert len({(t.task.id, t.seed) for t in practised}) == len(practised)


async def test_a_stop_file_lets_no_run_begin(tmp_path):
    async with opened(tmp_path) as workspace:
        (tmp_path / STOP).touch()
        with pytest.raises(Stopped, match="remove it"):
            await evolve(workspace, 1, QUIET)
        assert not workspace.store.generations() and standing(tmp_path)["stop"]


async def test_single_stages_go_on_from_one_another_and_end_as_a_whole_turn_does(tmp_path):
    async with opened(tmp_path / "whole") as workspace:
        whole = await evolve(workspace, 1, QUIET)
    async with opened(tmp_path / "parts") as workspace:
        reflected = await evolve_until(workspace, "reflect_2", QUIET, practise=True)
        assert reflected["turn"] == 1 and "changes" in reflected
        assert workspace.store.stage("g1/curate") is None
        with pytest.raises(UserError, match="Turn 1 has done reflect_2 already"):
            await evolve_until(workspace, "reflect_2", QUIET)
        (tmp_path / "parts" / "evolve.checkpoints").unlink()
        trained = await evolve_until(workspace, "train", QUIET)
        assert trained["reason"] and workspace.store.stage("g1/gate_memory") is None
        decided = await evolve_until(workspace, "promote", QUIET)
        assert decided["active"] == whole["active"]
        stages = [k for k in workspace.store.stages("g1/") if k.count("/") == 1]
        assert stages == [f"g1/{name}" for name in TURN]
        assert (await evolve_until(workspace, "reflect_2", QUIET, practise=True))["turn"] == 2


async def test_a_stage_by_itself_begins_no_turn_without_anything_new_and_none_after_the_gate(
    tmp_path,
):
    settings = config(tmp_path, *TINY)
    for stage in ("reflect_2", "train"):
        with pytest.raises(UserError, match=r"Nothing new.*--practise"):
            await single(stage, settings, practise=False)
    with pytest.raises(UserError, match="No turn is open"):
        await single("moult", settings, practise=None)
    assert standing(tmp_path)["open"] is None
    await single("train", settings, practise=True)
    await single("promote", settings, practise=None)
    with pytest.raises(UserError, match=r"No turn is open.*report of the last one: instar evolve"):
        await single("moult", settings, practise=None)
    with Store.open(tmp_path / "instar.db") as store:
        assert store.stage("g2/start") is None and unfinished(store)


def test_a_workspace_that_never_ran_is_overdue_and_one_that_did_is_not(tmp_path):
    Store.open(tmp_path / "instar.db").close()
    found = standing(tmp_path)
    assert found["active"] is None and "was ever finished" in too_old(found, 60)
    with Store.open(tmp_path / "instar.db", clock=lambda: 1000.0) as store:
        store.finish_stage("run1", {"run": "run1", "turn": 1, "last": 1, "finished": False})
    assert standing(tmp_path)["age"] is None
    with Store.open(tmp_path / "instar.db", clock=lambda: 2000.0) as store:
        store.finish_stage("run1", {"run": "run1", "turn": 1, "last": 1, "finished": True})
    found = standing(tmp_path, now=lambda: 2000.0 + 3 * 86400)
    assert found["age"] == 3 * 86400 and not too_old(found, age("4d"))
    assert "72.0 hours ago" in too_old(found, age("2d"))
    assert "3 minutes ago" in too_old(found | {"age": 200.0}, age("1m"))


def test_an_age_has_a_unit():
    assert [age(t) for t in ("90m", "36h", "2d", "1.5w")] == [5400, 129600, 172800, 907200]
    for wrong in ("2", "d", "two days", "-1d", ""):
        with pytest.raises(UserError, match="36h"):
            age(wrong)


def test_lines_for_cron_run_as_they_stand(tmp_path, monkeypatch):
    folder = tmp_path / "50% of my work"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (folder / "env").write_text("KEY='a b'\n")
    told = "import os, sys; print(sys.argv[1:], os.environ['KEY'])"
    command = [sys.executable, "-c", told, "evolve", "--once"]
    turn, check = cron("02:05", folder, [*command, str(folder)], "2d").splitlines()
    assert turn.startswith("5 2 * * * ") and check.startswith("5 8 * * * ")
    # What cron does with a line: a percent sign that is not escaped ends the command.
    shell = turn.split(" ", 5)[5].replace(r"\%", "%")
    assert turn.count("%") == turn.count(r"\%") > 0
    subprocess.run(["/bin/sh", "-c", shell], check=True)
    [log] = folder.glob("cron-[1-7].log")  # of the day of the week
    said = log.read_text()
    assert "evolve" in said and "50% of my work" in said and "a b" in said
    (folder / "env").unlink()
    subprocess.run(["/bin/sh", "-c", shell], env={**os.environ, "KEY": "c"}, check=True)
    assert log.read_text().endswith("c\n")
    assert "status --max-age 2d" in check


def test_units_for_systemd_quote_what_systemd_reads_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my $HOME 5%"
    units = systemd("23:00", folder, ["instar", "evolve", "--workspace", str(folder)], "36h")
    service, timer = units["instar-my-HOME-5.service"], units["instar-my-HOME-5.timer"]
    assert "OnCalendar=*-*-* 23:00:00" in timer and "Persistent=true" in timer
    line = next(x for x in service.splitlines() if x.startswith("ExecStart="))
    plain = line.partition("=")[2].replace("%%", "%").replace("$$", "$")
    assert shlex.split(plain) == ["instar", "evolve", "--workspace", str(folder)]
    assert "$$HOME 5%%" in line and "SuccessExitStatus=3 4" in service
    with pytest.raises(UserError, match="02:30"):
        systemd("25:00", folder, [], "2d")
    check, later = units["instar-my-HOME-5-check.service"], units["instar-my-HOME-5-check.timer"]
    assert "status --max-age 36h --workspace" in check and "SuccessExitStatus" not in check
    assert "OnCalendar=*-*-* 05:00:00" in later


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path):
    folder = tmp_path / "my $HOME 5%"
    folder.mkdir()
    units = systemd("23:00", folder, [sys.executable, "--workspace", str(folder)], "2d")
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in units]
    told = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")


async def test_a_refused_model_leaves_the_workspace_as_it_was(tmp_path):
    async with opened(tmp_path, "model.name=nope") as workspace:
        for ask in (lambda: evolve(workspace, 1, QUIET), lambda: once(workspace, False, QUIET)):
            with pytest.raises(UserError, match="nope"):
                await ask()
    async with opened(tmp_path) as workspace:
        assert (await evolve(workspace, 1, QUIET))["generations"]
    async with opened(tmp_path, "seed=9") as workspace:
        with pytest.raises(WorkspaceError, match="belongs to"):
            await once(workspace, False, QUIET)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("curriculum.select=foo", "Unknown selector 'foo'"),
        ('methods.rft.sources=["bogus"]', r"methods\.rft\.sources"),
        ("methods.workflow.nonsense=1", r"methods\.workflow\.nonsense"),
    ],
)
async def test_a_night_without_sessions_still_refuses_what_a_turn_would(tmp_path, setting, said):
    async with opened(tmp_path, setting) as workspace:
        with pytest.raises(UserError, match=said):
            await once(workspace, False, QUIET)


async def test_what_was_let_serve_during_a_turn_is_not_replaced_by_what_was_compared_with_another(
    tmp_path,
):
    told, progress = listening()
    async with opened(tmp_path, "practise.tasks=24", "gate.tasks=40") as workspace:
        store = workspace.store
        await evolve_until(workspace, "gate_memory", QUIET, practise=True)
        (first, candidate) = store.generations()
        gated = (candidate.verdict or {})["decision"]
        other = candidate.model_copy(update={"id": "by-hand", "parent": first.id, "verdict": None})
        store.add_generation(other)
        store.activate("by-hand")
        await evolve(workspace, 1, progress)
        assert store.active().id == "by-hand" and gated == "promote"
        assert store.generation(candidate.id).status is GenerationStatus.CANDIDATE
        kept = store.stage("g1/promote")
        assert kept["active"] == kept["before"] == "by-hand"
        assert standing(tmp_path)["promoted"] == 0
    assert f"by-hand serves since this turn began and stays; {first.id}" in told.getvalue()


async def test_a_run_that_was_begun_without_practice_says_so(tmp_path):
    told, progress = listening()
    async with opened(tmp_path) as workspace:
        await record(workspace, 2)
        await evolve_until(workspace, "reflect_2", QUIET, practise=False)
        await once(workspace, True, progress)
    assert "run1 was begun without practice" in told.getvalue()


async def test_what_would_be_done_is_said_and_nothing_is_begun(tmp_path):
    async with opened(tmp_path) as workspace:
        store = workspace.store
        nothing = foresee(workspace, 1, practise=False, once=True)
        assert nothing["turns"] == [] and "nothing: 0 recorded" in nothing["would"]
        await record(workspace, 2, judged=False)
        async with opened(tmp_path, "memory.judge=judge") as judging:
            told = foresee(judging, 1, practise=False, once=True)["would"]
            assert told.endswith("a judge would be asked about 2 sessions.")
        for waiting in unscored(store):
            judge(store, waiting, said_by_a_person(True, "it was done"))
        assert len(unlearnt(workspace)) == 2
        night = foresee(workspace, 1, practise=False, once=True)
        assert night["turns"] == [1] and night["recorded"] == 2
        assert night["would"] == "Would begin turn 1, learning from 2 recorded successes."
        begun = foresee(workspace, 3, practise=True, once=False)
        assert begun["turns"] == [1, 2, 3] and "8 tasks" in begun["would"]
        assert not store.generations() and unfinished(store) is None
        await evolve_until(workspace, "reflect_2", QUIET, practise=False)
        assert foresee(workspace, 3, practise=True, once=False)["would"] == (
            "Would go on with run1, turn 1, learning from 0 recorded successes."
        )
        await evolve(workspace, 1, QUIET)
        assert foresee(workspace, 1, practise=True, once=True)["turns"] == [2]
        (tmp_path / STOP).touch()
        with pytest.raises(Stopped, match="remove it"):
            foresee(workspace, 1, practise=True, once=True)
        (tmp_path / STOP).unlink()
        with exclusive(tmp_path), pytest.raises(Busy):
            foresee(workspace, 1, practise=True, once=True)
