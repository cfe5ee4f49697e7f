"""Figures of learning, on lists made by hand; and any agent's way into House Rules."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.houses.case import Case, naive, solution
from benchmarks.houses.figure import draw_learning
from benchmarks.houses.learning import cost_of_false_memory, learning
from benchmarks.houses.levels import LEVELS
from benchmarks.houses.play import play
from benchmarks.perf.house_steps import measure
from benchmarks.worlds.house_rules import HouseRules
from instar.types import (
    Prompts,
    Score,
    Split,
    Status,
    Step,
    StopReason,
    Task,
    Trajectory,
    Usage,
)

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "house_rules_agent.py"


def lived(
    family: str,
    passed: bool | None,
    steps: int = 2,
    tokens: int = 0,
    number: int = 0,
    era: int = 0,
    **metrics: float,
) -> Trajectory:
    """An episode; ``kept_before=1`` stands for the metric ``kept/before``."""
    status = {True: Status.PASS, False: Status.FAIL, None: Status.UNKNOWN}[passed]
    named = {k.replace("kept_", "kept/"): v for k, v in metrics.items()}
    task = Task(
        id=f"{family}{number}",
        instruction=family,
        world="house_rules",
        namespace="house_rules/1",
        group=family,
        family=family,
        params={"era": era} if era else {},
    )
    return Trajectory(
        id=f"{family}{number}",
        task=task,
        seed=0,
        generation="g",
        model="m",
        provider="p",
        prompts=Prompts(name="p", system=""),
        steps=(Step(observation=""),) * steps,
        stop=StopReason.FINISHED,
        score=Score(status=status, value=None if passed is None else float(passed), metrics=named),
        usage=Usage(calls=steps if tokens else 0, prompt_tokens=tokens),
    )


# Learning


def test_episodes_until_a_rule_is_kept_and_relapses():
    found = learning(
        [
            lived("ship", False),  # never came so far: says nothing of the rule
            lived("refund", False, kept_before=0),
            lived("ship", True, kept_code=1),
            lived("refund", False, kept_before=0),
            lived("refund", True, kept_before=1),
            lived("refund", True, kept_before=1),
            lived("refund", False, kept_before=0),
            lived("close", False, kept_after=0),
        ]
    )
    before, code, after = found.rules
    assert before.rule == "house_rules/1 refund before"
    assert (before.met, before.first_kept, before.episodes) == (5, 3, 4)
    assert (before.later, before.relapses) == (2, 1)
    assert (code.met, code.first_kept, code.episodes, code.later) == (1, 1, 1, 0)
    assert (after.first_kept, after.episodes) == (None, None)
    assert (found.episodes_until_kept, found.met_until_kept) == (2.5, 2.0)
    assert (found.never_kept, found.relapse_rate) == (1, 0.5)


def test_the_rule_of_the_second_era_is_another_rule():
    found = learning(
        [
            lived("refund", True, kept_before=1),
            lived("refund", False, era=1, kept_before=0),
            lived("refund", True, era=1, kept_before=1),
        ]
    )
    assert [(r.rule.endswith("later"), r.first_kept) for r in found.rules] == [
        (False, 1),
        (True, 2),
    ]
    assert found.relapse_rate is None


def test_cost_of_a_success_counts_the_failures_too():
    found = learning(
        [
            lived("ship", True, steps=3, tokens=100),
            lived("ship", False, steps=5, tokens=300, recovered=1.0),
            lived("ship", None, steps=50, tokens=900),
        ]
    )
    assert (found.episodes, found.known, found.clean, found.recovered) == (3, 2, 0.5, 1.0)
    assert (found.steps_per_success, found.tokens_per_success) == (8.0, 400.0)


def test_what_was_not_measured_is_none():
    nothing = learning([])
    assert nothing.clean is nothing.relapse_rate is nothing.steps_per_success is None
    assert nothing.misled is nothing.tokens_per_success is nothing.episodes_until_kept is None
    uncounted = learning([lived("ship", True)])
    assert (uncounted.steps_per_success, uncounted.tokens_per_success) == (2.0, None)
    assert learning([lived("ship", False)]).steps_per_success is None
    assert learning([lived("ship", None, kept_before=1)]).rules == ()


def test_the_cost_of_a_false_memory_is_a_paired_difference():
    good = [lived("ship", True, 2, 10, n, broken=0.0) for n in range(8)]
    bad = [
        lived("ship", n < 2, 4, 25, n, broken=float(n >= 2), misled=float(n >= 2)) for n in range(8)
    ]
    found = cost_of_false_memory(good, [*reversed(bad), lived("ship", True, number=99)])
    assert found.clean and (found.clean.difference, found.clean.n) == (-0.75, 8)
    assert found.clean.interval and found.clean.interval.high < 0
    assert (found.broken, found.steps, found.tokens, found.misled) == (0.75, 2.0, 15.0, 0.75)
    none = cost_of_false_memory(good, [])
    assert none.clean is none.broken is none.steps is none.tokens is none.misled is None


def test_an_unknown_episode_counts_against_the_planted_arm_and_costs_no_steps():
    found = cost_of_false_memory(
        [lived("ship", True, number=n) for n in range(2)],
        [lived("ship", True, number=0), lived("ship", None, steps=90, number=1)],
    )
    assert found.clean and (found.clean.difference, found.clean.unknown) == (-0.5, 1)
    assert found.steps == 0.0


async def test_the_picture_shows_runs_and_levels(tmp_path):
    world = HouseRules(house=3, web_share=0.0)
    levels = await world.levels(world.tasks(Split.GATE, 13, 0))
    assert tuple(levels) == LEVELS
    assert levels["do_nothing"] == 0.0 <= levels["rule_blind"] <= levels["recovering"] + 1
    run = [lived("ship", n > 5 or None) for n in range(12)]
    draw_learning(tmp_path / "learning.png", "house 3", {"mine": run, "none": []}, levels)
    assert (tmp_path / "learning.png").read_bytes().startswith(b"\x89PNG")


# Any agent


async def test_an_agent_of_ones_own_plays_and_is_judged():
    world = HouseRules(house=3, web_share=0.0)
    tasks = world.tasks(Split.PRACTISE, 13, 0)
    plans = {}
    for task in tasks:
        case = Case(world.house, task, 0)
        plans[task.instruction] = solution(case.house, case.dials, case.start)

    async def knows(request, seen, tools, call):
        assert seen == "back office of house 3"
        for step in plans[request]:
            assert step.name in {t.name for t in tools}
            assert not (await call(step.name, step.arguments)).error
        return "done"

    told: list[Trajectory] = []
    found = await play(world, knows, tasks, after=told.append, name="oracle")
    assert found == told and [t.task for t in found] == tasks
    assert {t.score.status for t in found} == {Status.PASS}
    first = found[0]
    assert (first.answer, first.stop, first.model) == ("done", StopReason.FINISHED, "oracle")
    assert first.steps[-1].calls[0].name == "finish"
    assert first.steps[1].observation == first.steps[0].results[0].text
    assert Trajectory.model_validate_json(first.model_dump_json()) == first
    assert learning(found).clean == 1.0 and learning(found).tokens_per_success is None


async def test_an_agent_that_never_stops_is_stopped_and_judged_as_it_stands():
    world = HouseRules(house=3, web_share=0.0, free=True)
    task = world.tasks(Split.PRACTISE, 1, 0, {"family": "refund"})[0]
    case = Case(world.house, task, 0)

    async def eager(request, seen, tools, call):
        for step in naive(case.house, case.dials):
            await call(step.name, step.arguments)
        while True:
            await call("look", {"record": case.dials.ids[0]})

    (found,) = await play(world, eager, [task], limit=9)
    assert (len(found.steps), found.stop, found.score.status) == (9, StopReason.STEPS, Status.PASS)


async def test_an_agent_that_breaks_a_rule_is_out_and_an_error_of_its_own_is_raised():
    worlds = (HouseRules(house=n, web_share=0.0) for n in range(40))
    world, family = next(
        (w, f) for w in worlds for f, r in w.house.rules.items() if r.kind == "before"
    )
    task = world.tasks(Split.PRACTISE, 1, 0, {"family": family})[0]
    case = Case(world.house, task, 0)
    step = naive(case.house, case.dials)[0]

    async def blind(request, seen, tools, call):
        while True:
            await call(step.name, step.arguments)

    (found,) = await play(world, blind, [task])
    assert (len(found.steps), found.stop) == (1, StopReason.WORLD_DONE)
    assert found.score.metrics["kept/before"] == 0.0

    async def fails(request, seen, tools, call):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        await play(world, fails, [task])


def test_the_example_runs_as_it_is_printed_and_learns():
    child = subprocess.run(
        [sys.executable, str(EXAMPLE)], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert child.returncode == 0, child.stderr
    rates = [float(word) for word in child.stdout.split() if word.replace(".", "").isdigit()]
    assert rates[1] > rates[0] + 15, child.stdout


def test_the_example_and_the_page_show_the_same_ten_lines():
    text = EXAMPLE.read_text()
    shown = text[text.index("async def agent") : text.index("async def main")].strip()
    assert len(shown.splitlines()) <= 16
    assert shown in (ROOT / "benchmarks" / "houses" / "README.md").read_text()
    assert "agent.graph" not in text and "instar.compose" not in text
    assert importlib.util.spec_from_file_location("example", EXAMPLE)


async def test_speed_is_measured_over_whole_episodes():
    found = await measure(0.05)
    assert found["steps"] >= found["episodes"] >= 1
    assert found["steps_per_second"] == pytest.approx(found["steps"] / found["seconds"])
