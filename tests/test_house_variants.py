"""The variants of House Rules, over both offices: drift, poison, transfer, long, free, and their mix."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.houses.agents import do_nothing, oracle, replay, rule_blind
from benchmarks.houses.alterations import alterations
from benchmarks.houses.case import Case, naive, solution
from benchmarks.houses.scene import NOTE, advised
from benchmarks.houses.tasks import LONG
from benchmarks.houses.world import HouseConfig, HouseWorld
from benchmarks.worlds.house_rules import HouseRules
from benchmarks.worlds.library_desk import LibraryDesk
from instar.errors import UserError
from instar.types import Score, Split, Status, Task, TaskDraft

WORLDS = pytest.mark.parametrize("kind", [HouseRules, LibraryDesk], ids=lambda w: w.id)
VARIANTS = ("", "drift", "poison", "transfer", "long", "free")


def make(kind: type[HouseWorld], number: int = 3, **settings) -> HouseWorld:
    return kind(house=number, web_share=0.0, **settings)


def secrets(world: HouseWorld) -> set[str]:
    rules = [*world.house.rules.values(), *world.house.later.values()]
    return {word for rule in rules for word in rule.secrets()}


async def mean(agent, world: HouseWorld, tasks: list[Task]) -> float:
    scores: list[Score] = [await agent(world, task, 0) for task in tasks]
    return sum(s.value or 0.0 for s in scores) / len(scores)


# Every variant


@WORLDS
@pytest.mark.parametrize("variant", VARIANTS)
async def test_the_oracle_passes_and_nobody_else_does(kind, variant):
    for number in (0, 5, 100_004):
        world = make(kind, number, variant=variant)
        tasks = world.tasks(Split.GATE, 60 if variant == "drift" else 14, 0)
        assert await mean(oracle, world, tasks) == 1.0
        assert await mean(do_nothing, world, tasks) == 0.0
        assert await mean(rule_blind, world, tasks) <= (1.0 if variant == "free" else 0.4)


@WORLDS
@pytest.mark.parametrize("variant", VARIANTS)
async def test_every_spoilt_run_fails(kind, variant):
    world = make(kind, 2, variant=variant, **({"drift": 3} if variant == "drift" else {}))
    for task in world.tasks(Split.PRACTISE, 3 if variant == "long" else 8, 1):
        for name, calls in alterations(world.house, task, 0):
            score = await replay(world, task, 0, calls)
            assert score.status == Status.FAIL, (task.instruction, name, score)


@WORLDS
@pytest.mark.parametrize("variant", VARIANTS)
async def test_no_rule_is_told_before_it_is_broken(kind, variant):
    world = make(kind, 7, variant=variant)
    hidden = secrets(world)
    assert bool(hidden) is (variant != "free")
    for task in world.tasks(Split.PRACTISE, 50 if variant == "drift" else 12, 0):
        episode = await world.open(task, 0)
        case = Case(world.house, task, 0)
        look = world.office.roles["look"]
        shown = [task.model_dump_json(), await episode.observe()]
        shown += [spec.model_dump_json() for spec in episode.toolset.tools()]
        for name in case.start.entries:
            shown.append((await episode.toolset.call(look.name, {look.parameters[0]: name})).text)
        for mark in '",.@:\\':
            shown = [text.replace(mark, " ") for text in shown]
        assert not set(" ".join(shown).split()) & hidden


@WORLDS
def test_each_variant_has_a_namespace_of_its_own(kind):
    names = [make(kind, variant=v).namespace for v in VARIANTS]
    names += [
        make(kind, **more).namespace for more in ({"relative": 9}, {"rules": 2}, {"drift": 9})
    ]
    names.append(make(kind, wording="rich").namespace)
    assert len(set(names)) == len(names)
    assert names[0] == f"{kind.id}/3"
    assert make(kind, variant="free").namespace == make(kind, free=True).namespace


@WORLDS
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_request_stands_in_two_splits(kind, variant):
    world = make(kind, variant=variant)
    other = ("wording", "distractors", "door", "era", "advice")

    def asked(task: Task) -> str:
        return json.dumps({k: v for k, v in task.params.items() if k not in other}, sort_keys=True)

    seen = [{asked(t) for t in world.tasks(split, 40, 0)} for split in Split]
    assert all(seen)
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_variants_are_the_same_in_another_process():
    code = (
        "from benchmarks.worlds.house_rules import HouseRules\n"
        "from instar.types import Split, content_hash\n"
        "for v in ('', 'drift', 'poison', 'transfer', 'long', 'free'):\n"
        "    w = HouseRules(house=11, variant=v)\n"
        "    tasks = [t.model_dump(mode='json') for t in w.tasks(Split.GATE, 8, 2)]\n"
        "    print(content_hash([tasks, [str(r) for r in w.house.rules.values()]]))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] and len(set(runs[0].split())) == 6


@pytest.mark.parametrize(
    "settings", [{"variant": "storm"}, {"poison": 2}, {"unseen": 9}, {"drift": -1}, {"rules": -1}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        HouseConfig(**settings)


# Drift


@WORLDS
async def test_rules_change_at_an_episode_and_no_word_tells(kind):
    world = make(kind, drift=5)
    tasks = world.tasks(Split.PRACTISE, 60, 0)
    assert [t.params.get("era", 0) for t in tasks] == [0] * 5 + [1] * 55
    before, after = world.house.rules, world.house.later
    changed = {f for f in before if before[f].content() != after[f].content()}
    assert set(before) == set(after)
    assert len(before) / 3 < len(changed) < len(before)
    plain = make(kind).tasks(Split.PRACTISE, 60, 0)
    assert {t.instruction.split()[0] for t in tasks} <= {t.instruction.split()[0] for t in plain}
    for task in [t for t in tasks if t.params.get("era") and t.family in changed][:6]:
        episode = await world.open(task, 0)
        assert await episode.observe() == world.office.title.format(house=3)
        old = Case(
            world.house.at(0), task.model_copy(update={"params": {**task.params, "era": 0}}), 0
        )
        calls = solution(old.house, old.dials, old.start)
        case = Case(world.house, task, 0)
        if calls != solution(case.house, case.dials, case.start):
            assert (await replay(world, task, 0, calls)).status == Status.FAIL


def test_a_draft_does_not_bring_change_or_advice_where_there_is_none():
    for params, said in (({"era": 1}, "do not change"), ({"advice": True}, "nobody gives")):
        draft = TaskDraft(world="house_rules", family="refund", params=params)
        with pytest.raises(ValueError, match=said):
            make(HouseRules).draft(draft)
    draft = TaskDraft(world="house_rules", family="refund", params={"era": 1})
    assert make(HouseRules, variant="drift").draft(draft).params["era"] == 1


# Poison


@WORLDS
async def test_false_advice_is_shown_and_following_it_is_counted(kind):
    world = make(kind, variant="poison")
    tasks = world.tasks(Split.PRACTISE, 60, 0)
    told = [t for t in tasks if t.params.get("advice")]
    assert 15 < len(told) < 45
    for task in told[:20]:
        case = Case(world.house, task, 0)
        episode = await world.open(task, 0)
        assert await episode.observe() == (
            f"{world.office.title.format(house=3)}\nnotice: {case.notice}"
        )
        assert task.family in case.notice
        noted = {e.name for e in case.start.entries.values() if NOTE in e.facts}
        written = {
            e.name for e in case.start.entries.values() if world.office.kinds[e.kind].written
        }
        assert noted == written | set(case.dials.ids)
        false = advised(case.house, case.dials, case.start)
        believed = await replay(world, task, 0, false)
        blind = await replay(world, task, 0, naive(case.house, case.dials))
        right = await oracle(world, task, 0)
        assert (right.status, right.metrics["misled"]) == (Status.PASS, 0.0)
        assert believed.metrics["misled"] == 1.0
        # A code that nothing asks for does no harm.
        assert believed.status == Status.FAIL or world.house.advice[task.family].kind == "code"
        assert blind.metrics["misled"] == 0.0
    untold = next(t for t in tasks if not t.params.get("advice"))
    assert "misled" not in (await oracle(world, untold, 0)).metrics


@WORLDS
def test_advice_never_happens_to_be_true(kind):
    for number in range(40):
        house = make(kind, number).house
        assert set(house.advice) == set(kind.office.families)
        words = {word for rule in house.advice.values() for word in rule.secrets()}
        assert not words & secrets(make(kind, number))


def test_advice_can_be_had_to_plant_as_a_false_memory():
    world = make(HouseRules)
    word = next(iter(world.house.advice["ship"].secrets()))
    assert word in world.advice("ship") and "ship" in world.advice("ship")
    for house, family in ((world, "bake"), (make(HouseRules, free=True), "ship")):
        with pytest.raises(UserError, match="No advice"):
            house.advice(family)


# Transfer


@WORLDS
def test_families_held_out_of_practise_are_governed_by_rules_of_others(kind):
    for number in range(12):
        world = make(kind, number, variant="transfer")
        unseen = set(world.house.unseen)
        assert len(unseen) == 3
        seen = {t.family for t in world.tasks(Split.PRACTISE, 40, 0)}
        assert {t.family for t in world.tasks(Split.HELD_OUT, 12, 0)} == unseen
        assert seen == set(world.office.families) - unseen
        known = {r.content() for f, r in world.house.rules.items() if f not in unseen}
        assert all(world.house.rules[f].content() in known for f in unseen)
    family = next(iter(unseen))
    with pytest.raises(ValueError, match="no family"):
        world.draft(TaskDraft(world=world.id, family=family, params={}))


@WORLDS
async def test_a_relative_shares_the_share_of_rules_that_was_asked_for(kind):
    for share, low, high in ((0.0, 0, 1), (0.5, 3, 8), (1.0, 9, 13)):
        world, other = make(kind, 4, relative=9, shared=share), make(kind, 9)
        kin = world.house.kin
        assert low <= len(kin) <= high
        assert all(world.house.rules[f] == other.house.rules[f] for f in kin)
    scores = [await oracle(world, t, 0) for t in world.tasks(Split.GATE, 30, 0)]
    assert {s.metrics.get("shared") for s in scores} >= {1.0}
    far = make(kind, 100_004, relative=9, shared=1.0)
    assert not secrets(far) & secrets(other)


# Long


@WORLDS
async def test_a_long_task_asks_for_twenty_calls_and_more_in_one_request(kind):
    world = make(kind, variant="long")
    for task in world.tasks(Split.HELD_OUT, 6, 0):
        case = Case(world.house, task, 0)
        right = solution(case.house, case.dials, case.start)
        assert len(right) >= len(naive(case.house, case.dials)) >= LONG
        assert task.family == task.group == "long"
        assert all(name in task.instruction for name in case.dials.ids)
        assert task.instruction.count(world.office.joint) == len(case.dials.jobs) - 1
        half = await replay(world, task, 0, right[: len(right) // 2])
        assert half.status == Status.FAIL
        assert 0.2 < half.metrics["progress"] < 0.8


async def test_long_tasks_offer_the_tools_of_all_their_departments():
    world = make(HouseRules, variant="long")
    task = world.tasks(Split.GATE, 1, 0)[0]
    offered = {t.name for t in (await world.open(task, 0)).toolset.tools()}
    case = Case(world.house, task, 0)
    assert {c.name for c in solution(case.house, case.dials, case.start)} <= offered


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([], "jobs|at least 1"),
        ([{"family": "ship", "ids": ["312"]}, {"family": "close", "ids": ["312"]}], "share"),
        ([{"family": "bake", "ids": ["312"]}, {"family": "ship", "ids": ["313"]}], "no family"),
        ([{"family": "ship", "ids": ["312"], "speed": "1"}], "speed"),
        (["ship"], "jobs|valid"),
    ],
)
def test_jobs_that_do_not_fit_are_refused_in_one_line(jobs, said):
    from benchmarks.houses.dials import parse

    with pytest.raises(ValueError, match=said) as caught:
        parse(HouseRules.office, {"family": "long", "door": "tools", "jobs": jobs})
    assert "\n" not in str(caught.value)


# Dials and mixes


async def test_variants_combine():
    world = make(HouseRules, long=True, poison=1.0, drift=1)
    tasks = world.tasks(Split.PRACTISE, 2, 0)
    assert [t.params.get("era", 0) for t in tasks] == [0, 1]
    assert all(t.params["advice"] for t in tasks)
    assert await mean(oracle, world, tasks) == 1.0


def test_the_number_of_steps_can_be_set():
    for steps in (4, 9, 45):
        world = make(HouseRules, long=True, steps=steps)
        case = Case(world.house, world.tasks(Split.GATE, 1, 0)[0], 0)
        assert steps <= len(naive(case.house, case.dials)) <= steps + 1
        assert len(case.dials.jobs) > 1


def test_rules_in_play_can_be_set():
    for number in (0, 1, 5, 13):
        assert len(make(HouseRules, rules=number).house.rules) == number


async def test_lists_grow_to_the_length_asked_for():
    world = make(HouseRules)
    for family, kind in (("close", "ticket"), ("restock", "item")):
        task = world.tasks(Split.PRACTISE, 1, 0, {"family": family, "length": 30})[0]
        entries = Case(world.house, task, 0).start.entries.values()
        assert sum(e.kind == kind for e in entries) >= 30
        assert (await oracle(world, task, 0)).status == Status.PASS


async def test_rich_wording_says_the_same_in_other_words():
    world = make(HouseRules, wording="rich")
    tasks = world.tasks(Split.PRACTISE, 130, 0)
    plain = [t for t in tasks if t.instruction.split()[0] == t.family]
    assert len(plain) < 80
    for task in tasks:
        case = Case(world.house, task, 0)
        said = task.instruction
        values = [v for job in case.dials.jobs for v in job.values.values()]
        assert all(part in said for part in (*case.dials.ids, *values)), said
    assert await mean(oracle, world, tasks[:30]) == 1.0


async def test_a_tool_of_another_department_is_not_at_hand():
    world = make(HouseRules, free=True)
    task = world.tasks(Split.PRACTISE, 1, 0, {"family": "refund"})[0]
    episode = await world.open(task, 0)
    names = {t.name for t in episode.toolset.tools()}
    assert {"refund", "restock", "tag"} <= names and not {"close", "book"} & names
    result = await episode.toolset.call("book", {"slot": "312", "customer": "417"})
    assert (result.text, result.error, result.misuse) == ("no tool book", True, True)
