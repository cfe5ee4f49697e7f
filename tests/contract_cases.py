"""What the contract suite feeds to methods: tasks of an office, and episodes of two kinds in each.

In the first attempt at a task the office refuses and locks the order; in the second the agent does
first what the office asked for. The rest is there to be left alone: held-out tasks, and successes
that only a judge has seen.
"""

from collections.abc import Sequence
from types import SimpleNamespace

from instar.contracts import Choose, Walked
from instar.types import (
    Prompts,
    Result,
    Score,
    ScoreSource,
    Split,
    Status,
    Step,
    StopReason,
    Task,
    TaskDraft,
    ToolCall,
    ToolSpec,
    Trajectory,
    Usage,
)

PROMPTS = Prompts(name="compact", system="work")
GROUPS = ("refund/tools", "ship/tools", "cancel/tools")


def spec(name: str, *arguments: str) -> ToolSpec:
    properties = {argument: {"type": "string"} for argument in arguments}
    return ToolSpec(
        name=name,
        description=f"Do {name}.",
        parameters={"type": "object", "properties": properties, "required": list(arguments)},
    )


TOOLS = (
    *(spec(group.split("/")[0], "order") for group in GROUPS),
    spec("tag", "record", "text"),
    spec("finish", "answer"),
)


def task(number: int, split: Split = Split.PRACTISE) -> Task:
    group = GROUPS[number % len(GROUPS)]
    family = group.split("/")[0]
    return Task(
        id=f"{split.value}-{number}",
        instruction=f"{family} order {400 + number}",
        world="house_rules",
        namespace="house_rules/7",
        group=group,
        family=family,
        params={"family": family, "distractors": number % 3, "ids": [str(400 + number)]},
        split=split,
    )


def _step(name: str, arguments: dict[str, str], text: str, error: bool = False) -> Step:
    call = ToolCall(id=f"call-{name}", name=name, arguments=arguments)
    return Step(observation="back office", calls=(call,), results=(Result(text=text, error=error),))


def episode(of: Task, steps: Sequence[Step], score: Score, seed: int) -> Trajectory:
    return Trajectory(
        id=f"{of.id}/{seed}",
        task=of,
        seed=seed,
        generation="g0",
        model="scripted",
        provider="scripted",
        prompts=PROMPTS,
        tools=TOOLS,
        steps=tuple(steps),
        stop=StopReason.FINISHED,
        score=score,
        usage=Usage(calls=len(steps), prompt_tokens=100, completion_tokens=10),
    )


def refused(of: Task) -> Trajectory:
    order = of.instruction.split()[-1]
    steps = [_step(of.family, {"order": order}, 'locked: tag "red" first', error=True)]
    return episode(of, steps, Score(status=Status.FAIL, value=0.0, evidence="locked"), seed=0)


def clean(of: Task, source: ScoreSource = ScoreSource.ENVIRONMENT, seed: int = 1) -> Trajectory:
    order = of.instruction.split()[-1]
    steps = [
        _step("tag", {"record": order, "text": "red"}, f"order {order} tagged red"),
        _step(of.family, {"order": order}, f"order {order} done"),
        _step("finish", {"answer": ""}, "ok"),
    ]
    return episode(of, steps, Score(status=Status.PASS, value=1.0, source=source), seed)


POOL = [task(number) for number in range(12)]
FIRST = [t for one in POOL[:6] for t in (refused(one), clean(one))]
SECOND = [t for one in POOL[6:] for t in (refused(one), clean(one))]
HELD_OUT = [
    clean(task(number, split)) for number in (20, 21) for split in (Split.HELD_OUT, Split.GATE)
]
UNJUDGED = [
    episode(task(number), (), Score(status=Status.UNKNOWN, evidence="fault"), seed=0)
    for number in (40, 41)
]
JUDGED = [clean(task(number), ScoreSource.JUDGE) for number in (30, 31)]


def join(first: Task, second: Task) -> TaskDraft:
    """Both tasks in one, as a world would say it."""
    if first.id == second.id:
        raise ValueError("a task cannot be joined with itself")
    return TaskDraft(world=first.world, family="both", params={"parts": [first.id, second.id]})


async def walk(of: Task, seed: int, choose: Choose, limit: int) -> Walked:
    """Walk through an office where everything works, by which a task of each call comes to be."""
    if of.split is not Split.PRACTISE:
        raise ValueError("walks go through practise tasks only")
    steps: list[Step] = []
    seen = f"office {seed}, order {400 + seed % 50}"
    while len(steps) < limit:
        call = await choose(TOOLS, steps, seen)
        if call is None:
            break
        result = Result(text=f"order {500 + len(steps)} seen")
        steps.append(Step(observation=seen, calls=(call,), results=(result,)))
        seen = result.text
    done = [call for step in steps for call in step.calls]
    made = [
        TaskDraft(world=of.world, family=c.name, params=c.arguments, parents=(of.id,)) for c in done
    ]
    return Walked(tuple(steps), tuple(made))


def context(trajectories: Sequence[Trajectory]) -> SimpleNamespace:
    """What a proposer may look at."""
    return SimpleNamespace(
        failures=[t for t in trajectories if t.score.status is Status.FAIL],
        successes=[t for t in trajectories if t.score.status is Status.PASS],
        tools=TOOLS,
        recent=[t.task for t in trajectories],
        dials={"distractors": [0, 1, 2, 3]},
        content=["ids"],
        hints={},
        join=join,
    )
