"""The proposer that walks about, on both offices: what a walk did becomes a task that was done once."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from test_evolve import config

from benchmarks.leakage import check_store
from benchmarks.worlds.house_rules import HouseRules
from benchmarks.worlds.library_desk import LibraryDesk
from curriculum.checks import Admitted, check
from curriculum.propose.base import Context
from curriculum.propose.explore import Explore
from curriculum.select.band import Band
from instar._curating import curated
from instar._exploring import LONGEST, Ground
from instar._loop import Loop
from instar._proposing import propose
from instar.compose import Serving, Workspace
from instar.config import Config
from instar.contracts import Explorable
from instar.progress import Progress
from instar.types import Split, Status, ToolCall

BARE = Serving(generation="none")
KEY, EARLIER = "g1/practise_2", "g1/practise_1"
OFFICES = pytest.mark.parametrize("office", [HouseRules, LibraryDesk])


def ground(world):
    loop = SimpleNamespace(config=Config(), may_go_on=lambda: None, store=None)
    return Ground(loop, world, KEY, "g0")


def plain(world, n=24):
    return world.tasks(Split.PRACTISE, n, 3, {"door": "tools"})


def scripted(*calls):
    """Makes these calls, then no other."""
    left = [ToolCall(id=str(i), name=n, arguments=a) for i, (n, a) in enumerate(calls)]

    async def choose(tools, steps, seen):
        return left.pop(0) if left else None

    return choose


async def explored(world, rounds=1, seed=1):
    """Drafts of several rounds, each with its ground."""
    method, found = Explore(), []
    for number in range(rounds):
        there = ground(world)
        context = Context(recent=plain(world))
        rng = random.Random(seed + number)
        found += [(d, there) for d in await method.explore(there.walk, context, 8, rng)]
    return method, found


@OFFICES
async def test_what_a_walk_did_is_a_practise_task_with_the_walk_as_its_witness(office):
    world = office(house=7)
    known, done = plain(world), []
    _, found = await explored(world, rounds=2)
    for draft, there in found:
        assert draft.proposer == "explore" and draft.reason.startswith("walk ")
        verdict = check(draft, world.draft, known)
        if isinstance(verdict, Admitted) and await there.witness(draft, verdict.task):
            done.append(verdict.task)
    assert len(done) >= 3 and {t.split for t in done} == {Split.PRACTISE}
    assert {t.parents[0] for t in done} <= {t.id for t in known}
    assert all([(await world.oracle(t, 5)).status is Status.PASS for t in done])


@OFFICES
async def test_walks_are_the_same_for_the_same_seed_and_go_on_after_a_stop(office):
    world = office(house=7)
    first, found = await explored(world)
    again, same = await explored(world)
    assert [d for d, _ in found] == [d for d, _ in same] and found
    other = Explore()
    other.load_state_dict(first.state_dict())
    context = Context(recent=plain(world))
    rest = [
        await m.explore(ground(world).walk, context, 4, random.Random(9)) for m in (again, other)
    ]
    assert rest[0] == rest[1]
    assert not {d.model_dump_json() for d in rest[0]} & {d.model_dump_json() for d, _ in found}


async def test_a_walk_ends_after_thirty_calls_and_says_then_that_it_is_done():
    world = HouseRules(house=7, free=True)
    there = ground(world)
    (task,) = plain(world, 1)
    people = [("become", {"person": f"p{n}"}) for n in range(99)]
    walked = await there.walk(task, 1, scripted(*people), 500)
    assert len(walked.steps) == LONGEST + 1 and walked.steps[-1].calls[0].name == "finish"
    assert walked.drafts == ()


@pytest.mark.parametrize("split", [Split.GATE, Split.HELD_OUT])
async def test_nobody_walks_through_what_measures(split):
    world = HouseRules(house=7)
    (theirs,) = world.tasks(split, 1, 3, {"door": "tools"})
    with pytest.raises(ValueError, match="practise tasks only"):
        await ground(world).walk(theirs, 1, scripted(), 3)
    drafts = await Explore().explore(
        ground(world).walk, Context(recent=[theirs]), 4, random.Random(1)
    )
    assert drafts == []


async def test_work_of_another_split_is_not_read_off_a_walk():
    world = HouseRules(house=7, free=True)
    tasks = world.tasks(Split.PRACTISE, 40, 3, {"door": "tools", "family": "refund", "records": 1})
    gave = 0
    for task in tasks:
        (order,) = task.params["ids"]
        walked = await ground(world).walk(task, 1, scripted(("cancel", {"order": order})), 9)
        gave += len(walked.drafts)
        assert all(world.draft(d).split is Split.PRACTISE for d in walked.drafts)
    assert 0.4 < gave / len(tasks) < 0.8, "all splits of the house, or none"


async def test_doing_what_was_asked_is_no_new_task_and_two_works_are_two():
    world = HouseRules(house=7, free=True)
    for task in world.tasks(Split.PRACTISE, 40, 3, {"family": "close", "door": "tools"}):
        (ticket, *_) = task.params["ids"]
        calls = [("close", {"ticket": ticket}), ("reply", {"ticket": ticket, "text": "hello"})]
        walked = await ground(world).walk(task, 1, scripted(*calls), 9)
        families = [d.family for d in walked.drafts]
        assert len(families) == len(set(families))
        assert "close" not in families or task.params["records"] == 2
        if "reply" in families:
            (reply,) = (d for d in walked.drafts if d.family == "reply")
            assert reply.params["text"] == "hello" and reply.params["ids"] == [ticket]
            break
    else:
        pytest.fail("no reply for practice in forty tasks")


async def test_a_walk_that_strayed_is_cut_to_the_calls_that_the_task_wants():
    """A stray mark on the record, a place opened for nothing, and the work: only the work is right."""
    world = HouseRules(house=7, free=True)
    for task in world.tasks(Split.PRACTISE, 40, 3, {"family": "refund", "records": 1}):
        if not world.walkable(task):
            continue
        there, order = ground(world), task.params["ids"][0]
        calls = [
            ("open", {"place": "vault"}),
            ("tag", {"record": order, "text": "red"}),
            ("refund", {"order": order, "code": ""}),
            ("ship", {"order": order}),
        ]
        walked = await there.walk(task, 1, scripted(*calls), 9)
        for draft in walked.drafts:
            verdict = check(draft.model_copy(update={"proposer": "me"}), world.draft, [task])
            assert isinstance(verdict, Admitted)
            assert await there.witness(draft, verdict.task)
            (reference, _) = there._kept[-1]
            assert [s.calls[0].name for s in reference.steps] == ["ship", "finish"]
            return
    pytest.fail("no other work for practice in forty tasks")


async def test_a_rule_that_the_walk_did_not_keep_to_the_end_leaves_the_draft_without_witness():
    world = LibraryDesk(house=7)  # who shelves a copy there has to verify it at once
    found = []
    for task in world.tasks(Split.PRACTISE, 60, 3, {"door": "tools", "family": "mend"}):
        copy = task.params["ids"][0]
        for more in ([], [("verify", {"card": copy})]):
            there = ground(world)
            walked = await there.walk(task, 1, scripted(("shelve", {"copy": copy}), *more), 9)
            for draft in walked.drafts:
                made = world.draft(draft)
                found.append((bool(more), await there.witness(draft, made)))
    assert found and all(kept == passed for kept, passed in found)


def opened(folder, *more):
    return Workspace.open(config(folder, "curriculum.proposals=6", *more))


async def lived(workspace, n=24):
    solve = workspace.solver(BARE, workspace.home, "practise", sampled=True)
    for task in workspace.home.tasks(Split.PRACTISE, n, 7):
        workspace.store.save_trajectory(await solve(task, 7), stage=EARLIER)


async def proposed(workspace):
    loop = Loop(workspace, Progress(quiet=True))
    return await propose(loop, KEY, EARLIER, BARE, Band(), random.Random(1))


async def test_in_a_round_walks_are_kept_and_neither_trained_on_nor_measured(tmp_path, monkeypatch):
    async with opened(tmp_path, 'curriculum.propose=["explore"]') as workspace:
        await lived(workspace)

        async def never(task, seed):
            raise AssertionError("the walk is the witness, not the oracle")

        monkeypatch.setattr(workspace.home, "oracle", never)
        found = await proposed(workspace)
        assert found.tasks and {t.origin for t in found.tasks} == {"explore"}
        assert found.states["explore"]["walked"]
        kept = workspace.store.trajectories(purpose="explore")
        walks = [t for t in kept if t.score.status is Status.UNKNOWN]
        references = {t.task.id for t in kept if t.score.status is Status.PASS}
        assert walks and references == {t.id for t in found.tasks}
        assert not workspace.store.trajectories(stage=KEY)
        rows = curated(workspace, "rft")
        assert not {t.id for t in kept} & ({r["trajectory"] for r in rows.rows} | set(rows.dropped))
        workspace.store.save_tasks(found.tasks)
        guarded = workspace.home.tasks(Split.GATE, 20, 1)
        assert check_store(workspace.store, guarded, None, {}).clean


class Mute:
    """A world that makes tasks of drafts and reads no walks."""

    def __init__(self, world):
        self.namespace, self.draft, self.tasks = world.namespace, world.draft, world.tasks


async def test_a_world_that_cannot_read_walks_says_so(tmp_path, monkeypatch):
    async with opened(tmp_path, 'curriculum.propose=["explore"]') as workspace:
        await lived(workspace, 4)
        mute = Mute(workspace.home)
        monkeypatch.setattr(Workspace, "home", mute)
        assert not isinstance(mute, Explorable)
        found = await proposed(workspace)
        assert not found.tasks
        assert found.refused == {"this world cannot say which of its tasks a walk did": 6}
