"""House Rules by the tool door: tasks, rules, verdicts, baseline agents, and what must not leak."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.health import check
from benchmarks.houses.agents import AGENTS, do_nothing, oracle, recovering, replay, rule_blind
from benchmarks.houses.alterations import alterations
from benchmarks.houses.case import Case, naive, solution
from benchmarks.houses.dials import parse, split_of
from benchmarks.houses.grammar import KINDS, compatible
from benchmarks.houses.house import House, Shape, draw
from benchmarks.houses.machine import apply, finish
from benchmarks.houses.offices.back_office import BACK_OFFICE
from benchmarks.houses.offices.library import LIBRARY
from benchmarks.houses.records import Call, Entry, State
from benchmarks.worlds.house_rules import HouseRules
from benchmarks.worlds.library_desk import LibraryDesk
from finetune import pocket
from instar.contracts import Episode, Toolset, World
from instar.errors import UserError
from instar.types import Score, Split, Status, Task, TaskDraft

FAMILIES = tuple(BACK_OFFICE.families)
FREE = House(0, {}, BACK_OFFICE)


def house(number: int = 3, **settings) -> HouseRules:
    return HouseRules(house=number, web_share=0.0, **settings)


def world_with(kind: str) -> tuple[HouseRules, str]:
    """The first house that has a rule of a kind, and the family that it governs."""
    for number in range(100):
        for family, rule in draw(number, BACK_OFFICE).rules.items():
            if rule.kind == kind:
                return house(number), family
    raise AssertionError(kind)


def secrets(world: HouseRules) -> set[str]:
    return {word for rule in world.house.rules.values() for word in rule.secrets()}


def bites(world: HouseRules, task: Task) -> bool:
    """Whether a rule asks for something else here than the words of the request."""
    case = Case(world.house, task, 0)
    return solved(case) != naive(case.house, case.dials)


def solved(case: Case) -> list[Call]:
    return solution(case.house, case.dials, case.start)


# Contract, tasks, splits


async def test_world_and_episode_fulfil_the_contracts():
    world = house()
    task = world.tasks(Split.PRACTISE, 1, 0)[0]
    episode = await world.open(task, 0)
    assert isinstance(world, World)
    assert isinstance(episode, Episode)
    assert isinstance(episode.toolset, Toolset)
    assert await episode.observe() == "back office of house 3"
    await world.close()


def test_config_and_settings_make_the_same_world():
    config = HouseRules.Config(house=5, free=True)
    assert HouseRules(config).namespace == HouseRules(house=5, free=True).namespace
    assert HouseRules(house=5).namespace == "house_rules/5"


def test_tasks_are_distinct_repeatable_and_cover_all_families():
    tasks = house().tasks(Split.PRACTISE, 64, 1)
    assert tasks == house().tasks(Split.PRACTISE, 64, 1)
    assert tasks != house().tasks(Split.PRACTISE, 64, 2)
    assert len({t.id for t in tasks}) == 64
    assert {t.family for t in tasks} == set(FAMILIES)
    assert all(t.group == t.family for t in tasks)


def test_splits_share_no_content_whatever_house_and_wording():
    seen: dict[Split, set[str]] = {}
    for split in Split:
        tasks = [t for n in (1, 2) for t in house(n).tasks(split, 150, 0)]
        keys = ("wording", "distractors", "door")
        seen[split] = {
            json.dumps({k: v for k, v in t.params.items() if k not in keys}) for t in tasks
        }
    assert not seen[Split.PRACTISE] & seen[Split.GATE]
    assert not seen[Split.PRACTISE] & seen[Split.HELD_OUT]
    assert not seen[Split.GATE] & seen[Split.HELD_OUT]


def test_share_of_web_tasks_and_fixed_dials():
    tasks = HouseRules(house=1, web_share=0.5).tasks(Split.PRACTISE, 100, 0)
    assert 30 <= sum(t.params["door"] == "web" for t in tasks) <= 70
    fixed = house().tasks(Split.GATE, 8, 0, {"family": "refund", "large": True, "records": 2})
    assert len(fixed) == 8
    assert all(t.instruction.count("large order") == 2 for t in fixed)


def test_every_dial_that_a_proposer_may_turn_stands_in_the_parameters():
    for task in house().tasks(Split.PRACTISE, 13, 0):
        assert set(HouseRules.dials) <= set(task.params)
    assert set(HouseRules.content) == {"ids", *BACK_OFFICE.values}


def test_instructions_read_as_agreed():
    def words(family: str, **params) -> str:
        draft = TaskDraft(world="house_rules", family=family, params={"wording": 0, **params})
        return house().draft(draft).instruction

    assert words("refund", records=1, large=True).startswith("refund large order ")
    item, quantity = next(
        (t.params["ids"][0], t.params["quantity"])
        for t in house().tasks(Split.PRACTISE, 20, 0, {"family": "restock", "records": 1})
    )
    assert words("restock", records=1, ids=[item], quantity=quantity) == (
        f"restock item {item} with quantity {quantity}"
    )
    assert words("exchange", large=True).split()[:3] == ["fetch", "large", "order"]
    assert " and then ship order " in words("exchange")
    assert " with text " in words("reply")
    assert words("reply", wording=4).startswith("today reply to ticket ")
    assert words("close", wording=4).endswith(" today")


# Drafts


def test_draft_keeps_what_it_is_given_and_draws_the_rest():
    draft = TaskDraft(
        world="house_rules",
        family="ship",
        params={"records": 2, "wording": 0},
        proposer="p",
        parents=("a",),
    )
    task = house().draft(draft)
    assert (task.split, task.origin, task.parents) == (Split.PRACTISE, "p", ("a",))
    assert task.params["records"] == len(task.params["ids"]) == 2
    assert task == house().draft(draft)


async def test_two_practise_tasks_become_one_that_can_be_done():
    world = house()
    tasks = world.tasks(Split.PRACTISE, 30, 5, {"door": "tools"})
    joined = []
    for first, second in zip(tasks[::2], tasks[1::2], strict=True):
        try:
            draft = world.join(first, second)
        except ValueError as error:
            assert "\n" not in str(error)
            continue
        task = world.draft(draft.model_copy(update={"parents": (first.id, second.id)}))
        assert task.split is Split.PRACTISE and task.parents == (first.id, second.id)
        assert len(task.instruction) > len(first.instruction)
        assert (await world.oracle(task, 1)).status is Status.PASS
        joined.append((first, second, task))
    assert len(joined) >= 5
    # Who does only the first part has not done the task.
    first, _, task = joined[0]
    case = Case(world.house, task, 1)
    part = case.dials.model_copy(update={"jobs": case.dials.jobs[:1]})
    half = solution(world.house, part, case.start)
    assert (await replay(world, task, 1, half)).status is Status.FAIL


def test_only_practise_tasks_of_one_house_are_joined():
    world = house()
    (first, second) = world.tasks(Split.PRACTISE, 2, 5, {"door": "tools"})
    (held,) = world.tasks(Split.HELD_OUT, 1, 5, {"door": "tools"})
    with pytest.raises(ValueError, match="no practise task"):
        world.join(first, held)
    with pytest.raises(ValueError, match="only tasks of"):
        world.join(first, second.model_copy(update={"namespace": "house_rules/99"}))
    (web,) = world.tasks(Split.PRACTISE, 1, 5, {"door": "web"})
    with pytest.raises(ValueError, match="differ in door"):
        world.join(first, web)


@pytest.mark.parametrize(
    ("family", "params", "said"),
    [
        ("bake", {}, "no family"),
        ("update", {"records": 2}, "takes one record"),
        ("reply", {"large": True}, "no large"),
        ("refund", {"records": 3}, "1 or 2"),
        ("refund", {"ids": ["x"], "records": 1}, "must name"),
        ("refund", {"text": "kolu"}, "belongs to reply"),
        ("restock", {"quantity": 0}, "quantity"),
        ("refund", {"spell": 1}, "spell"),
    ],
)
def test_a_draft_that_does_not_fit_is_refused_in_one_line(family, params, said):
    with pytest.raises(ValueError, match=said) as caught:
        house().draft(TaskDraft(world="house_rules", family=family, params=params))
    assert "\n" not in str(caught.value)


def test_a_draft_with_content_of_another_split_is_refused():
    params = house().tasks(Split.HELD_OUT, 1, 0)[0].params
    with pytest.raises(ValueError, match="another split"):
        house().draft(TaskDraft(world="house_rules", family=str(params["family"]), params=params))


# Houses and rules


def test_each_house_has_one_free_family_and_fitting_rules():
    for number in range(50):
        rules = draw(number, BACK_OFFICE).rules
        assert len(rules) == len(FAMILIES) - 1
        for family, rule in rules.items():
            assert type(rule) in compatible(BACK_OFFICE, family)
        assert draw(number, BACK_OFFICE) == draw(number, BACK_OFFICE)
    assert draw(7, BACK_OFFICE, Shape(free=True)).rules == {}


def test_at_least_half_of_the_kinds_are_irreversible_and_half_are_novel():
    assert len(KINDS) == 18
    assert sum(kind.manner != "rejected" for kind in KINDS.values()) >= 9
    assert sum(kind.novel for kind in KINDS.values()) == 9


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_rule_of_each_kind_bites_the_ignorant_and_spares_who_knows(kind):
    world, family = world_with(kind)
    fixed = {"family": family} | ({"large": True} if kind == "approval" else {})
    tasks = [t for t in world.tasks(Split.PRACTISE, 40, 0, fixed) if bites(world, t)][:6]
    assert len(tasks) == 6
    for task in tasks:
        right, blind = await oracle(world, task, 0), await rule_blind(world, task, 0)
        assert (right.status, right.metrics["ruled"]) == (Status.PASS, 1.0)
        assert blind.status == Status.FAIL
        assert blind.metrics["broken"] >= 1
        assert blind.metrics["novel"] == float(KINDS[kind].novel)
        mended = await recovering(world, task, 0)
        assert mended.status == Status.FAIL
        reversible = KINDS[kind].manner == "rejected"
        assert mended.metrics["recovered"] == float(reversible)


async def test_an_irreversible_break_ends_the_episode_with_a_terse_refusal():
    world, family = world_with("before")
    task = world.tasks(Split.PRACTISE, 1, 0, {"family": family})[0]
    episode = await world.open(task, 0)
    case = Case(world.house, task, 0)
    call = naive(case.house, case.dials)[0]
    result = await episode.toolset.call(call.name, call.arguments)
    word = world.house.rules[family].word
    assert result.error
    assert result.text.endswith(f': tag "{word}" first')
    assert episode.done()
    again = await episode.toolset.call("log", {"record": task.params["ids"][0]})
    assert again.error and "over" in again.text


def test_a_small_order_needs_no_approval_and_must_not_get_one():
    world, family = world_with("approval")
    task = world.tasks(Split.PRACTISE, 1, 0, {"family": family, "large": False})[0]
    case = Case(world.house, task, 0)
    for name in case.dials.ids:
        case.act("approve", {"record": name})
    for call in solved(case):
        case.act(call.name, call.arguments)
    score = case.score()
    assert (score.status, score.metrics["ruled"]) == (Status.FAIL, 0.0)
    assert score.metrics["collateral"] >= 1


def test_sealing_before_the_work_is_not_sealing_last():
    world, family = world_with("after")
    task = world.tasks(Split.PRACTISE, 1, 0, {"family": family, "records": 1})[0]
    case = Case(world.house, task, 0)
    for call in reversed(solved(case)):
        case.act(call.name, call.arguments)
    assert case.score().status == Status.FAIL
    assert case.finish().error
    assert case.score().metrics["recovered"] == 0.0


async def test_a_run_cut_off_by_its_budget_is_scored_by_its_final_state():
    world = house()
    task = world.tasks(Split.PRACTISE, 1, 0)[0]
    case = Case(world.house, task, 0)
    for call in solved(case):
        case.act(call.name, call.arguments)
    assert case.score().status == Status.PASS


# The machine


def test_calls_are_pure_and_logged():
    state = State({"417": Entry("order", "417", {"status": "paid", "size": "small"})})
    after, result = apply(FREE, state, "ship", {"order": 417})
    assert result.text == "order 417 shipped"
    assert state.entries["417"].trail == ()
    assert after.events == ((Call("ship", {"order": "417"}), "order 417 shipped"),)
    assert not finish(FREE, after)[1].error


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("bake", {}, "no tool bake"),
        ("ship", {"order": "999"}, "no order 999"),
        ("close", {"ticket": "417"}, "no ticket 417"),
        ("ship", {}, "order is missing"),
        ("ship", {"order": "417", "speed": "1"}, "no argument speed"),
        ("restock", {"item": "plum", "quantity": "many"}, "not a number"),
        ("desk", {"record": "417", "action": "refund"}, "does not take"),
        ("ship", {"order": {"id": 417}}, "no order"),
    ],
)
def test_a_mistake_of_the_caller_is_an_answer_and_changes_nothing(name, arguments, said):
    entries = (Entry("order", "417"), Entry("item", "plum", {"stock": "3"}))
    state = State({e.name: e for e in entries})
    after, result = apply(FREE, state, name, arguments)
    assert result.error and said in result.text
    assert after.content() == state.content()
    assert not after.broken


def test_work_is_done_once():
    state = State({"417": Entry("order", "417", {"status": "paid"})})
    state, _ = apply(FREE, state, "cancel", {"order": "417"})
    _, again = apply(FREE, state, "cancel", {"order": "417"})
    assert again.error and "already cancelled" in again.text


# Verdicts and baselines


async def test_every_spoilt_run_of_the_oracle_fails():
    for number in range(4):
        world = house(number)
        for task in world.tasks(Split.PRACTISE, 16, 1):
            runs = alterations(world.house, task, 0)
            assert len(runs) >= 3
            for name, calls in runs:
                score = await replay(world, task, 0, calls)
                assert score.status == Status.FAIL, (number, task.instruction, name)


async def test_the_ends_of_the_scale():
    async def mean(agent, world: HouseRules) -> float:
        tasks = world.tasks(Split.HELD_OUT, 26, 0)
        scores: list[Score] = [await agent(world, task, 0) for task in tasks]
        return sum(s.value or 0.0 for s in scores) / len(scores)

    worlds = [house(number) for number in range(20)]
    assert all([await mean(oracle, w) == 1.0 for w in worlds])
    assert all([await mean(do_nothing, w) == 0.0 for w in worlds])
    for ignorant in (rule_blind, recovering):
        assert sum([await mean(ignorant, w) for w in worlds]) / len(worlds) <= 0.3
    assert await mean(rule_blind, house(2, free=True)) == 1.0


async def test_health_finds_a_healthy_world_and_a_sick_one():
    world = house(4)
    tasks = world.tasks(Split.PRACTISE, 24, 0)
    report = await check(world, tasks)
    assert report.healthy, report.problems
    assert report.rates["oracle"] == 1.0
    assert report.spoilt > 60

    class Blind(HouseRules):
        async def oracle(self, task, seed):
            return await rule_blind(self, task, seed)

    sick = await check(Blind(house=4, web_share=0.0), tasks)
    assert not sick.healthy
    assert "the oracle fails" in sick.problems[0]


async def test_many_episodes_at_once_do_not_touch_each_other():
    world = house(6)
    tasks = world.tasks(Split.PRACTISE, 64, 0)
    scores = await asyncio.gather(*(oracle(world, task, i) for i, task in enumerate(tasks)))
    assert {s.status for s in scores} == {Status.PASS}


async def test_a_task_of_another_house_is_refused():
    task = house(1).tasks(Split.PRACTISE, 1, 0)[0]
    with pytest.raises(UserError, match="house_rules/1"):
        await house(2).open(task, 0)


# What must not leak


async def test_no_rule_shows_before_it_is_broken():
    """Constants of rules stand in no instruction, parameter, tool, observation or record."""
    for number in range(12):
        world = house(number)
        hidden = secrets(world)
        assert hidden
        for task in [t for split in Split for t in world.tasks(split, 16, 0)]:
            episode = await world.open(task, 0)
            names = list(Case(world.house, task, 0).start.entries)
            looks = [await episode.toolset.call("look", {"record": n}) for n in names]
            shown = [task.model_dump_json(), await episode.observe(), *(r.text for r in looks)]
            shown += [spec.model_dump_json() for spec in episode.toolset.tools()]
            words = set(
                " ".join(shown).replace('"', " ").replace(".", " ").replace("@", " ").split()
            )
            assert not words & hidden
            assert not {"first", "instead", "last", "ending"} & words


async def test_tools_are_the_same_in_every_house_and_their_refusals_tell_no_rule():
    specs = [
        (await house(n, free=n == 2).open(house(n, free=n == 2).tasks(Split.GATE, 1, 0)[0], 0))
        for n in range(3)
    ]
    assert len({json.dumps([s.model_dump() for s in e.toolset.tools()]) for e in specs}) == 1


async def test_the_oracles_answers_tell_no_rule_beyond_its_own_words():
    world = house(9)
    for task in world.tasks(Split.PRACTISE, 16, 0):
        case = Case(world.house, task, 0)
        for call in solved(case):
            said = set(case.act(call.name, call.arguments).text.split())
            assert not said & (secrets(world) - set(call.arguments.values()))


def test_split_of_a_task_is_that_of_its_content():
    for split in Split:
        for task in house().tasks(split, 20, 3):
            assert split_of(BACK_OFFICE, parse(BACK_OFFICE, task.params)) == split == task.split


# For small models


@pytest.mark.parametrize("office", [BACK_OFFICE, LIBRARY], ids=["shop", "library"])
def test_the_tools_of_any_episode_fit_into_250_tokens_of_pocket(office):
    tokenizers = pytest.importorskip("tokenizers", reason="pip install 'instar[local]'")
    file = Path(pocket.__file__).parent / "model" / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(file))

    def tokens(kinds: frozenset[str]) -> int:
        lines = []
        for tool in office.offered(kinds):
            optional = {p: f"{p}?" for p in tool.optional}
            lines.append(" ".join([tool.name, *(optional.get(p, p) for p in tool.parameters)]))
        text = "<|tools|>" + "\n".join([*lines, "finish answer?"])
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    departments = [tokens(frozenset(d)) for d in office.departments]
    assert max(departments) <= 200
    assert max(departments) < tokens(frozenset(office.kinds)) <= 250


@pytest.mark.soak
@pytest.mark.parametrize("begin", range(0, 200, 20))
@pytest.mark.parametrize("kind", [HouseRules, LibraryDesk], ids=lambda w: w.id)
async def test_two_hundred_houses_hold_what_the_few_promise(kind, begin):
    rates: dict[str, list[float]] = {"oracle": [], "do_nothing": [], "rule_blind": []}
    for number in range(begin, begin + 20):
        world = kind(house=number, web_share=0.0)
        tasks = world.tasks(Split.HELD_OUT, 39, 0)
        for name, values in rates.items():
            values += [(await AGENTS[name](world, task, 0)).value or 0.0 for task in tasks]
        for task in tasks[:13]:
            for name, score in (await world.spoilt(task, 0)).items():
                assert score.status == Status.FAIL, (number, task.instruction, name)
    means = {name: sum(values) / len(values) for name, values in rates.items()}
    assert (means["oracle"], means["do_nothing"]) == (1.0, 0.0)
    assert means["rule_blind"] <= 0.2
