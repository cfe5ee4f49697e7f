"""Proposals in a real round: who is asked, what is refused and why, and that nothing unproven gets in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from test_evolve import config

from curriculum.select.band import Band
from curriculum.select.base import Hint
from instar._loop import Loop
from instar._practice import Plan, _selector, choose, learn
from instar._proposing import _last_states, propose
from instar.compose import Serving, Workspace
from instar.config import Limits as Settings
from instar.errors import EpisodeFault, Stopped
from instar.limits import Limits
from instar.progress import Progress
from instar.types import Score, ScoreSource, Split, Status, TaskDraft

BARE = Serving(generation="none")
KEY, EARLIER = "g1/practise_2", "g1/practise_1"


def opened(folder: Path, *more: str) -> Workspace:
    return Workspace.open(config(folder, "curriculum.proposals=8", *more))


async def lived(workspace: Workspace, n: int = 40) -> None:
    """A first round, by an agent without memories: some tasks are solved, most are not."""
    solve = workspace.solver(BARE, workspace.home, "practise", sampled=True)
    for task in workspace.home.tasks(Split.PRACTISE, n, 7):
        workspace.store.save_trajectory(await solve(task, 7), stage=EARLIER)


async def proposed(workspace: Workspace, selector=None):
    loop = Loop(workspace, Progress(quiet=True))
    return await propose(loop, KEY, EARLIER, BARE, selector or Band(), random.Random(1))


async def test_each_proposer_gives_its_share_with_its_name(tmp_path):
    async with opened(tmp_path, 'curriculum.propose=["neighbours", "compose"]') as workspace:
        await lived(workspace)
        found = await proposed(workspace)
        origins = [t.origin for t in found.tasks]
        assert 1 <= origins.count("neighbours") <= 4 and 1 <= origins.count("compose") <= 4
        known = {t.id for t in workspace.store.tasks()}
        assert all(set(t.parents) <= known and t.split is Split.PRACTISE for t in found.tasks)
        joined = [t for t in found.tasks if t.origin == "compose"]
        assert all(len(t.parents) == 2 and len(t.params["jobs"]) >= 2 for t in joined)
        assert set(found.states) == {"neighbours", "compose"}


@pytest.mark.parametrize(("anchors", "world"), [(0.5, 3), (1.0, 6), (0.0, 0)])
async def test_practice_stays_anchored_in_the_world_however_many_are_proposed(
    tmp_path, anchors, world
):
    own = ("practise.tasks=6", "practise.foreign_share=0", f"methods.uniform.anchors={anchors}")
    async with opened(tmp_path, *own) as workspace:
        await lived(workspace)
        plan = await choose(Loop(workspace, Progress(quiet=True)), KEY, {"turn": 1}, BARE)
        origins = [t.origin for t in plan.home]
        assert len(origins) == 6 and origins.count("world") == world


async def test_what_nobody_can_do_is_not_practised(tmp_path, monkeypatch):
    async with opened(tmp_path) as workspace:
        await lived(workspace)
        asked = []

        async def fails(task, seed):
            asked.append(task.id)
            return Score(status=Status.FAIL)

        monkeypatch.setattr(workspace.home, "oracle", fails)
        found = await proposed(workspace)
        assert not found.tasks and asked
        assert found.refused == {"nobody has done it: no witness that it can be solved": len(asked)}


async def test_a_page_that_hangs_under_the_oracle_costs_the_draft_and_not_the_round(
    tmp_path, monkeypatch
):
    async with opened(tmp_path) as workspace:
        await lived(workspace)
        does, asked = workspace.home.oracle, []

        async def hangs_first(task, seed):
            asked.append(task.id)
            if len(asked) == 1:
                raise EpisodeFault("the page does not answer")
            return await does(task, seed)

        monkeypatch.setattr(workspace.home, "oracle", hangs_first)
        found = await proposed(workspace)
        assert [t.id for t in found.tasks] == asked[1:] and len(asked) > 1
        assert found.refused == {"nobody has done it: no witness that it can be solved": 1}


async def test_without_an_oracle_the_agent_itself_is_the_witness(tmp_path, monkeypatch):
    async with opened(tmp_path) as workspace:
        await lived(workspace)
        monkeypatch.setattr(workspace.home, "oracle", None)
        found = await proposed(workspace)
        tried = workspace.store.trajectories(purpose="witness")
        done = {t.task.id for t in tried if t.score.status is Status.PASS}
        assert tried and {t.id for t in found.tasks} == done
        assert not workspace.store.trajectories(stage=KEY)
        again = await proposed(workspace)
        assert again == found, "a round that was broken off is asked again"


async def test_a_judge_is_no_witness(tmp_path, monkeypatch):
    async with opened(tmp_path) as workspace:
        await lived(workspace)

        async def nodding(task, seed):
            return Score(status=Status.PASS, source=ScoreSource.JUDGE)

        monkeypatch.setattr(workspace.home, "oracle", nodding)
        assert not (await proposed(workspace)).tasks


async def test_proposers_go_on_from_the_last_round_in_which_they_were_asked(tmp_path):
    async with opened(tmp_path) as workspace:
        for key, state in (("g1/practise_2", {"neighbours": {"asked": 3}}), ("g2/practise_1", {})):
            workspace.store.finish_stage(f"{key}/plan", {"proposers": state})
        found = _last_states(Loop(workspace, Progress(quiet=True)))
        assert found == {"neighbours": {"asked": 3}}


async def test_witnesses_are_asked_within_the_limits_and_not_twice(tmp_path, monkeypatch):
    async with opened(tmp_path, "practise.concurrency=1") as workspace:
        await lived(workspace)
        monkeypatch.setattr(workspace.home, "oracle", None)
        limits = Limits(Settings(tokens=1), tmp_path)
        loop = Loop(workspace, Progress(quiet=True), limits)
        with pytest.raises(Stopped):
            await propose(loop, KEY, EARLIER, BARE, Band(), random.Random(1))
        (once,) = workspace.store.trajectories(purpose="witness")
        assert limits.tokens == once.usage.tokens
        await proposed(workspace)
        tried = [(t.task.id, t.seed) for t in workspace.store.trajectories(purpose="witness")]
        assert len(tried) == len(set(tried)) > 1


async def test_hints_of_the_selector_reach_the_proposers(tmp_path):
    async with opened(tmp_path) as workspace:
        await lived(workspace)
        fails = [t.task for t in workspace.store.trajectories() if t.score.status is Status.FAIL]
        group = fails[0].group
        band = Band()
        lost = [Score(status=Status.FAIL)] * 2
        band.update({t.id: lost for t in fails if t.group == group}, {t.id: t.group for t in fails})
        assert band.hints() == {group: Hint.SIMPLIFY}
        found = await proposed(workspace, band)
        families = [t.family for t in found.tasks]
        first = families[: families.count(group)]
        assert group in families and set(first) == {group}


@pytest.mark.parametrize(("one", "other"), [("sec", "band"), ("band", "sec"), ("sec", "uniform")])
async def test_a_selector_goes_on_from_its_own_state_and_never_from_that_of_another(
    tmp_path, one, other
):
    async with opened(tmp_path, f"curriculum.select={one}") as workspace:
        await lived(workspace, 4)
        done = [t for t in workspace.store.trajectories() for _ in range(2)]
        loop = Loop(workspace, Progress(quiet=True))
        fresh = _selector(loop, KEY).state_dict()
        facts = learn(loop, EARLIER, done, Plan([t.task for t in done], [], {}))
        workspace.store.finish_stage(EARLIER, facts)
        learnt = _selector(loop, KEY).state_dict()
        assert learnt == facts["selector"] != fresh
    async with opened(tmp_path, f"curriculum.select={other}") as workspace:
        loop = Loop(workspace, Progress(quiet=True))
        anew = _selector(loop, KEY).state_dict()
        assert not any(anew.values())
        workspace.store.finish_stage(KEY, {"selector": anew, "selected_by": other})
        unnamed = {"selector": facts["selector"]}  # as an older workspace has it
        workspace.store.finish_stage("g2/practise_1", unnamed)
        assert _selector(loop, "g2/practise_2").state_dict() == anew
    async with opened(tmp_path, f"curriculum.select={one}") as workspace:
        assert _selector(Loop(workspace, Progress(quiet=True)), KEY).state_dict() == learnt


@pytest.mark.parametrize("split", [Split.GATE, Split.HELD_OUT])
async def test_a_planted_child_of_a_later_split_is_refused(tmp_path, monkeypatch, split):
    class Planted:
        """Proposes from a task that it must not know."""

        def propose(self, context, n, rng):
            return [
                TaskDraft(
                    world="house_rules",
                    family=theirs.family,
                    params={"distractors": 2},
                    parents=(theirs.id,),
                    proposer="planted",
                )
            ]

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    async with opened(tmp_path) as workspace:
        await lived(workspace, 4)
        (theirs,) = workspace.home.tasks(split, 1, 3, {"door": "tools"})
        workspace.store.save_tasks([theirs])
        monkeypatch.setattr("instar._proposing.build", lambda kind, name, config: Planted())
        found = await proposed(workspace)
        assert not found.tasks
        assert found.refused == {f"its parent {theirs.id} is a {split} task": 1}
