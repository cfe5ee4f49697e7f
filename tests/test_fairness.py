"""Planted violations of fairness: each must be seen, and a fair run must pass."""

import pytest
from episodes import task, trajectory

from benchmarks.fairness import Limits, examine
from benchmarks.runner import Line, Settings
from instar.types import MemoryKind, Prompts, Recalled, Usage

TASKS = [task(str(i)) for i in range(4)]
SETTINGS = Settings(
    run="r1",
    benchmark="toy",
    namespace="toy/0",
    generation="g0-000000",
    model="toy",
    n=4,
    seed=7,
    arms=("base", "memory"),
)
LIMITS = Limits(steps=3, tokens=1000)


def lines(**changed):
    """A fair run; what is ``changed`` goes into the third episode of the arm with memory."""
    made = [
        Line(arm=arm, trajectory=trajectory(t, seed=int(t.id)))
        for arm in SETTINGS.arms
        for t in TASKS
    ]
    odd = made[6].trajectory.model_copy(update=changed)
    return [*made[:6], made[6].model_copy(update={"trajectory": odd}), *made[7:]]


def look(made, settings=SETTINGS, sources=frozenset(), written=0):
    return examine(settings, made, LIMITS, lambda item, version: sources, written)


def recalled(shown=True):
    return Recalled(
        label="m1",
        item="i1",
        version=1,
        title="t",
        when="w",
        content="c",
        kind=MemoryKind.LESSON,
        shown=shown,
    )


def test_a_fair_run_passes():
    found = look(lines(memories=(recalled(),)), sources=frozenset({"another"}))
    assert found.fair and found.problems == ()


STEP = trajectory(TASKS[0]).steps[0]
DEAR = STEP.model_copy(update={"usage": Usage(calls=1, prompt_tokens=1001)})


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"seed": 99}, "different seeds"),
        ({"prompts": Prompts(name="compact", system="work harder")}, "different prompts"),
        ({"steps": (STEP,) * 4}, "more than 3 steps"),
        ({"steps": (DEAR, STEP)}, "went on after 1000 tokens"),
    ],
)
def test_another_seed_prompt_or_budget_is_seen(changed, problem):
    found = look(lines(**changed))
    assert not found.fair
    assert len(found.problems) == 1 and problem in found.problems[0]


def test_a_memory_of_the_same_task_is_seen():
    own = frozenset({TASKS[2].id})
    assert "learnt from it" in look(lines(memories=(recalled(),)), sources=own).problems[0]
    assert look(lines(memories=(recalled(shown=False),)), sources=own).fair


def test_an_arm_with_other_tasks_is_seen():
    made = lines()
    strange = Line(arm="memory", trajectory=trajectory(task("9"), seed=9))
    found = look([*made[:7], strange])
    assert {p.partition(":")[0] for p in found.problems} == {
        "task 3, attempt 0",
        "task 9, attempt 0",
    }


def test_writes_are_seen_where_nothing_may_be_learnt():
    assert "2 changes" in look(lines(), written=2).problems[0]
    stream = SETTINGS.model_copy(update={"protocol": "stream"})
    assert look(lines(), stream, written=2).fair
