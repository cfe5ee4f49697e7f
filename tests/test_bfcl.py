"""BFCL multi-turn: verdicts beside those of the wheel's own checker, and what an agent can do."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import itertools
import sys
from collections.abc import Iterator, Sequence

import pytest
from pydantic import ValidationError

from agent.budget import Budget
from agent.graph import Agent
from agent.prompts import load_prompts
from benchmarks.health import check
from benchmarks.worlds import _bfcl_wheel as wheel
from benchmarks.worlds._bfcl_episode import Attempt, functions
from benchmarks.worlds._bfcl_runs import altered, play
from benchmarks.worlds._bfcl_simulators import Simulators
from benchmarks.worlds._bfcl_wheel import CATEGORIES, Call, Entry, entries
from benchmarks.worlds.bfcl import Bfcl
from instar import doctor
from instar.contracts import World
from instar.errors import MissingExtra, UnknownName, UserError
from instar.llm import Scripted
from instar.types import Score, Split, Status, StopReason, Task, Trajectory

needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("bfcl_eval") is None, reason=f"needs: {wheel.INSTALL}"
)
EVAL = "bfcl_eval.eval_checker.multi_turn_eval"
Turns = Sequence[Sequence[Call]]


def entry(name: str) -> Entry:
    category = name.rpartition("_")[0].removeprefix("multi_turn_")
    return next(e for e in entries(category) if e.id == name)


def written(call: Call) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return f"{call.name}({values})"


def by_the_wheel(of: Entry, turns: Turns, number: Iterator[int]) -> dict:
    """What BFCL's own checker says of the calls; turns that are missing were not reached."""
    if len(turns) < len(of.requests):
        return {"valid": False, "error_message": "not dealt with"}
    utils = importlib.import_module(f"{EVAL}.multi_turn_utils")
    checker = importlib.import_module(f"{EVAL}.multi_turn_checker")
    raw = {"id": of.id, "initial_config": of.config, "involved_classes": list(of.simulators)}
    made = [[[written(call)] for call in turn] for turn in turns]
    right = [[written(call) for call in turn] for turn in of.answers]
    try:
        return checker.multi_turn_checker(made, right, raw, of.category, f"m{next(number)}")
    finally:
        for name in [n for n in vars(utils) if n.endswith("_instance")]:
            del vars(utils)[name]


def variants(of: Entry) -> Iterator[Turns]:
    """Right and wrong runs: altered, idle, in another order, with detours, one turn too early."""
    yield of.answers
    yield from (turns for _, turns in altered(of))
    yield [[] for _ in of.answers]
    yield [list(reversed(turn)) for turn in of.answers]
    yield [[*turn, *turn] for turn in of.answers]
    yield [*of.answers[1:], of.answers[0]]
    yield [[call for turn in of.answers for call in turn], *([[]] * (len(of.answers) - 1))]
    first = functions(of, 0)
    for name in ("ls", "displayCarStatus", "get_stock_info", "list_all_airports", "lockDoors"):
        if name in first:
            stray = Call(name=name, arguments={"unlock": True, "door": ["driver"]})
            stray = stray if name == "lockDoors" else Call(name=name, arguments={})
            yield [[*turn, stray] for turn in of.answers]


def usable(of: Entry, turns: Turns) -> bool:
    """Whether each function is there when it is called; BFCL would run the others too."""
    return all(call.name in functions(of, at) for at, turn in enumerate(turns) for call in turn)


async def agree(found: Sequence[Entry]) -> tuple[int, int]:
    """How many runs pass and fail, after comparing each verdict and each reason with the wheel's."""
    number, passed, failed = itertools.count(), 0, 0
    for one in found:
        for turns in (run for run in variants(one) if usable(one, run)):
            ours, theirs = await play(one, turns), by_the_wheel(one, turns, number)
            assert (ours.status is Status.PASS) == theirs["valid"], (one.id, turns, theirs)
            if not theirs["valid"] and "is empty for turn" not in theirs["error_message"]:
                assert theirs["error_message"] in ours.evidence, (one.id, turns)
            passed, failed = passed + theirs["valid"], failed + (not theirs["valid"])
    return passed, failed


async def idle(world: Bfcl, task: Task) -> Score:
    """Close each request without a call."""
    episode = await world.open(task, 0)
    while not episode.done():
        await episode.toolset.call("next_request", {})
    return await episode.score()


def everything(world: Bfcl) -> list[Task]:
    return [task for split in Split for task in world.tasks(split, 9999, 0)]


class Without:
    """An import system in which a package and what imports it are not there yet."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {self.name!r}", name=self.name)


@pytest.mark.parametrize("package", ["bfcl_eval", pytest.param("mpmath", marks=needs_wheel)])
def test_without_the_wheel_one_line_says_what_to_type(monkeypatch, package):
    for name in [n for n in sys.modules if n.partition(".")[0] in {"bfcl_eval", package}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without(package), *sys.meta_path])
    for cached in (wheel.entries, wheel.specs, wheel.simulator):
        cached.cache_clear()
    with pytest.raises(MissingExtra, match="pip install --no-deps bfcl-eval mpmath -c") as missing:
        Bfcl().tasks(Split.PRACTISE, 1, 0)
    assert "\n" not in str(missing.value)


@needs_wheel
def test_another_wheel_is_named_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "bfcl_eval.constants.executable_backend_config", None)
    wheel.specs.cache_clear()
    with pytest.raises(UserError, match=r"does not fit\. Type: pip install"):
        wheel.specs("TicketAPI")
    with pytest.raises(UserError, match=r"has no possible_answer/BFCL_v4_multi_turn_other"):
        wheel.entries("other")


async def test_the_doctor_knows_the_wheel(monkeypatch):
    (finding,) = await doctor._bfcl()
    assert finding.name.startswith("bfcl-eval") and not finding.needed
    monkeypatch.setattr(wheel, "REQUIREMENT", "bfcl-eval>=9999")
    (finding,) = await doctor._bfcl()
    assert finding.remedy == wheel.INSTALL


def test_categories_are_checked():
    with pytest.raises(UnknownName, match="miss_func"):
        Bfcl(categories=("miss_fun",))
    with pytest.raises(ValidationError):
        Bfcl.Config(categories=())


@needs_wheel
def test_a_story_is_in_one_split_whoever_tells_it():
    world = Bfcl(categories=CATEGORIES)
    assert isinstance(world, World)
    found = {split: world.tasks(split, 9999, 3) for split in Split}
    ids = [task.id for tasks in found.values() for task in tasks]
    assert len(ids) == len(set(ids)) == 799
    stories = {s: {str(t.params["entry"]).rpartition("_")[2] for t in found[s]} for s in Split}
    assert not any(stories[a] & stories[b] for a, b in itertools.combinations(Split, 2))
    assert min(map(len, stories.values())) >= 30
    assert {t.family for t in found[Split.GATE]} == {"files", "vehicle", "trading", "travel"}


@needs_wheel
def test_tasks_are_drawn_by_seed():
    one, two = Bfcl(), Bfcl()
    assert one.tasks(Split.GATE, 5, 1) == two.tasks(Split.GATE, 5, 1) != one.tasks(Split.GATE, 5, 2)
    task = one.tasks(Split.GATE, 1, 1)[0]
    assert task.params["category"] == "base"
    right = str([[written(c) for c in turn] for turn in entry(str(task.params["entry"])).answers])
    assert right not in task.model_dump_json() and "ground_truth" not in task.model_dump_json()


@needs_wheel
def test_a_telling_whose_answer_comes_too_early_is_left_out():
    told = {t.params["entry"] for t in everything(Bfcl(categories=("miss_func",)))}
    assert len(told) == 199 and "multi_turn_miss_func_49" not in told
    assert "tail" not in functions(entry("multi_turn_miss_func_49"), 1)


@needs_wheel
@pytest.mark.parametrize("category", CATEGORIES)
async def test_health(category):
    world = Bfcl(categories=(category,))
    report = await check(world, world.tasks(Split.PRACTISE, 5, 0))
    assert report.healthy, report.problems
    assert report.rates == {"nothing": 0.0, "oracle": 1.0} and report.spoilt > 10


@needs_wheel
@pytest.mark.parametrize("category", CATEGORIES)
async def test_verdicts_are_those_of_the_wheel(category):
    told = {t.params["entry"] for t in everything(Bfcl(categories=(category,)))}
    passed, failed = await agree([e for e in entries(category)[3::40] if e.id in told])
    assert passed > 5 and failed > 20


@needs_wheel
@pytest.mark.parametrize("text", ["__import__('os').getcwd()", "ls(a=open('x'))", "ls", "1 + 1"])
def test_an_answer_is_read_and_never_run(text):
    with pytest.raises(ValueError):
        wheel._call(text, {"ls": lambda self, a=False: None})


@needs_wheel
async def test_turns_one_after_the_other():
    told = entry("multi_turn_base_0")
    attempt = Attempt(told)
    assert told.requests[0] in await attempt.observe()
    assert told.requests[1] not in await attempt.observe()
    for call in told.answers[0]:
        result = await attempt.toolset.call(call.name, call.arguments)
        assert not result.error
    assert result.text in (result.observation or "")
    after = await attempt.toolset.call("next_request", {"reply": "moved"})
    assert after.text == told.requests[1]
    assert told.requests[0] in (after.observation or "") and result.text not in after.observation
    await attempt.finish("")
    assert attempt.done()
    score = await attempt.score()
    assert score.status is Status.FAIL and score.metrics == {"turns": 1 / len(told.requests)}
    late = await attempt.toolset.call("next_request", {})
    assert late.error and (await attempt.score()) == score


@needs_wheel
async def test_finish_stands_for_the_last_request():
    told = entry("multi_turn_base_0")
    attempt = Attempt(told)
    for number, turn in enumerate(told.answers):
        for call in turn:
            await attempt.toolset.call(call.name, call.arguments)
        if number + 1 < len(told.answers):
            await attempt.toolset.call("next_request", {})
    assert (await attempt.score()).status is Status.FAIL and not attempt.done()
    await attempt.finish("done")
    await attempt.finish("done")
    score = await attempt.score()
    assert (score.status, score.value, score.metrics) == (Status.PASS, 1.0, {"turns": 1.0})


@needs_wheel
async def test_mistakes_of_the_caller_are_texts():
    attempt = Attempt(entry("multi_turn_base_0"))
    tools = attempt.toolset
    unknown = await tools.call("sudo", {})
    assert unknown.error and unknown.misuse and "next_request" in unknown.text
    wrong = await tools.call("ls", {"colour": "red"})
    assert wrong.error and wrong.misuse and "colour" in wrong.text
    refused = await tools.call("cd", {"folder": "nowhere"})
    assert refused.error and not refused.misuse and "nowhere" in refused.text
    assert (await tools.call("cd", {"folder": 7})).error
    assert (await tools.call("_load_scenario", {"scenario": {}})).misuse
    assert (await tools.call("call_added", {"function": "ls", "arguments": {}})).misuse
    stays = await tools.call("next_request", {"turn": 3})
    assert stays.misuse and not (await attempt.score()).metrics["turns"]
    assert "request 1:" in await attempt.observe()


@needs_wheel
async def test_a_function_that_is_added_later():
    told = entry("multi_turn_miss_func_0")
    assert told.added == {3: ("sort",)}
    attempt = Attempt(told)
    listed = {spec.name for spec in attempt.toolset.tools()}
    assert "sort" not in listed and {"mv", "call_added", "next_request"} <= listed
    for call in told.answers[0]:
        await attempt.toolset.call(call.name, call.arguments)
    await attempt.toolset.call("next_request", {})
    await attempt.toolset.call("cd", {"folder": "temp"})
    given = {"file_name": "final_report.pdf"}
    added = {"function": "sort", "arguments": given}
    for early in (("sort", given), ("call_added", added)):
        assert (await attempt.toolset.call(*early)).misuse
    assert (await attempt.toolset.call("call_added", {"function": "sort"})).misuse
    assert (await attempt.toolset.call("call_added", {"function": "ls", "arguments": 1})).misuse
    await attempt.toolset.call("next_request", {})
    offered = await attempt.toolset.call("next_request", {})
    assert "new: sort(file_name): " in offered.text
    assert "sort" in {spec.name for spec in attempt.toolset.tools()}
    texts = [
        (await attempt.toolset.call(*late)) for late in (("sort", given), ("call_added", added))
    ]
    assert texts[0].text == texts[1].text and not texts[0].error
    later = await attempt.toolset.call("next_request", {})
    assert "new: sort(file_name): " in later.observation


@needs_wheel
async def test_a_request_that_expects_nothing_accepts_everything_but_its_effects_stay():
    told = entry("multi_turn_miss_param_2")
    assert not told.answers[0]
    stray = Call(name="mkdir", arguments={"dir_name": "stray"})
    score = await play(told, [[stray], *told.answers[1:]])
    assert "request 1:" not in score.evidence and "request 2: Model instance" in score.evidence
    look = Call(name="ls", arguments={})
    assert (await play(told, [[look], *told.answers[1:]])).status is Status.PASS


@needs_wheel
def test_attempts_share_nothing():
    told = next(e for e in entries("long_context") if e.simulators == ("TravelAPI",))
    records = importlib.import_module(f"{EVAL}.func_source_code.long_context")
    card = next(iter(records.CREDIT_CARD_EXTENSION))
    first, second = Simulators(told), Simulators(told)
    held = first.instances["TravelAPI"].credit_card_list[card]
    held["balance"] -= 1
    for other in (second, Simulators(told)):
        assert other.instances["TravelAPI"].credit_card_list[card]["balance"] != held["balance"]
    given = {"content": "hello", "tags": ["#a"], "mentions": []}
    posting = Simulators(next(e for e in entries("base") if "TwitterAPI" in e.simulators))
    posting.call("authenticate_twitter", {"username": "x", "password": "y"})
    posting.instances["TwitterAPI"].authenticated = True
    posting.call("post_tweet", given)
    given["tags"].append("#b")
    assert [t["tags"] for t in posting.instances["TwitterAPI"].tweets.values()][-1] == ["#a"]


@needs_wheel
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("power", {"base": 9, "exponent": 10**9}),
        ("square_root", {"number": 2, "precision": 10**9}),
        ("logarithm", {"value": 2, "base": 3, "precision": 10**9}),
        ("round_number", {"number": 5, "decimal_places": -(10**9)}),
    ],
)
def test_sums_without_end_are_refused(name, arguments):
    told = next(e for e in entries("base") if "MathAPI" in e.simulators)
    outcome = Simulators(told).call(name, arguments)
    assert outcome.error and "must not be beyond" in outcome.text
    small = {key: min(abs(value), 3) for key, value in arguments.items()}
    assert not Simulators(told).call(name, small).error


async def run(world: Bfcl, task: Task, replies: list[dict]) -> Trajectory:
    agent = Agent(Scripted(replies), load_prompts("compact"), budget=Budget(steps=40))
    return await agent.run(task, await world.open(task, 0), seed=0, generation="g0")


@needs_wheel
async def test_our_agent_gets_through_all_requests():
    world = Bfcl(categories=("miss_func",))
    task = world.tasks(Split.PRACTISE, 1, 0)[0]
    told = entry(str(task.params["entry"]))
    late = {name for names in told.added.values() for name in names}
    replies = []
    for turn in told.answers:
        for call in turn:
            added = {"function": call.name, "arguments": call.arguments}
            name, given = (
                ("call_added", added) if call.name in late else (call.name, call.arguments)
            )
            replies.append({"calls": [{"name": name, "arguments": given}]})
        replies.append({"calls": [{"name": "next_request", "arguments": {}}]})
    done = await run(world, task, replies)
    assert done.stop is StopReason.WORLD_DONE and done.score.status is Status.PASS
    assert len(done.steps) == len(replies)
    assert Trajectory.model_validate_json(done.model_dump_json()) == done


@needs_wheel
async def test_our_agent_in_a_circle_is_noticed():
    world = Bfcl()
    task = next(t for t in world.tasks(Split.PRACTISE, 99, 0) if t.family == "files")
    stuck = await run(world, task, [{"calls": [{"name": "pwd", "arguments": {}}]}] * 5)
    assert stuck.stop is StopReason.LOOP and len(stuck.steps) == 3


@needs_wheel
async def test_what_an_agent_sees_is_bounded_but_for_the_latest():
    told = next(e for e in entries("long_context") if e.simulators == ("GorillaFileSystem",))
    attempt = Attempt(told)
    first, long = "a" * 1000, "y" * 9000
    await attempt.toolset.call("echo", {"content": first})
    seen = await attempt.toolset.call("echo", {"content": long})
    assert seen.text in seen.observation and first not in seen.observation
    seen = await attempt.toolset.call("pwd", {})
    assert seen.text in seen.observation and long not in seen.observation


@needs_wheel
async def test_user_mistakes():
    world = Bfcl()
    task = world.tasks(Split.PRACTISE, 1, 0)[0]
    with pytest.raises(UserError, match="house_rules"):
        await world.open(task.model_copy(update={"world": "house_rules"}), 0)
    for change in ({"id": "bf-0"}, {"params": {"entry": "x", "category": "y"}}):
        with pytest.raises(UserError, match="Draw tasks anew"):
            await world.open(task.model_copy(update=change), 0)


@needs_wheel
@pytest.mark.soak
@pytest.mark.parametrize(
    ("category", "requests", "none"),
    [("base", 734, 3), ("miss_func", 929, 202), ("miss_param", 934, 203), ("long_context", 734, 3)],
)
async def test_soak_all_tasks(category, requests, none):
    world = Bfcl(categories=(category,))
    tasks = everything(world)
    told = [entry(str(task.params["entry"])) for task in tasks]
    assert sum(len(e.answers) for e in told) == requests
    assert sum(not turn for e in told for turn in e.answers) == none
    report = await check(world, tasks)
    assert report.healthy, report.problems
    assert report.rates == {"nothing": 0.0, "oracle": 1.0} and report.spoilt > 4 * len(tasks)
    scores = await asyncio.gather(*(idle(world, task) for task in tasks))
    assert not any(score.value for score in scores)
    share = sum(sum(not turn for turn in e.answers) / len(e.answers) for e in told)
    assert sum(s.metrics["turns"] for s in scores) == pytest.approx(share)


@needs_wheel
@pytest.mark.soak
@pytest.mark.parametrize("category", CATEGORIES)
async def test_soak_all_verdicts_are_those_of_the_wheel(category):
    told = {t.params["entry"] for t in everything(Bfcl(categories=(category,)))}
    passed, failed = await agree([e for e in entries(category) if e.id in told])
    # Both verdicts were there to be agreed on, many times.
    assert passed > 300 and failed > 1000
