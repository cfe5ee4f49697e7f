"""Records of made-up episodes, for tests of what reads them."""

from instar.types import (
    Prompts,
    Result,
    Score,
    Split,
    Status,
    Step,
    StopReason,
    Task,
    ToolCall,
    Trajectory,
    Usage,
)


def task(name: str, split: Split = Split.HELD_OUT, **changes) -> Task:
    values = {
        "id": name,
        "instruction": f"refund order {name}",
        "world": "toy",
        "namespace": "toy/0",
        "group": "refund/tools",
        "family": "refund",
        "split": split,
    }
    return Task(**{**values, **changes})


def trajectory(of: Task, status: Status = Status.PASS, seed: int = 0, **changes) -> Trajectory:
    call = ToolCall(id="c1", name="refund", arguments={"order": of.id})
    step = Step(observation="office", calls=(call,), results=(Result(text="ok"),))
    value = None if status is Status.UNKNOWN else float(status is Status.PASS)
    values = {
        "id": f"{of.id}-{seed}",
        "task": of,
        "seed": seed,
        "generation": "g0-000000",
        "model": "toy",
        "provider": "scripted",
        "prompts": Prompts(name="compact", system="work"),
        "steps": (step,),
        "stop": StopReason.FINISHED,
        "score": Score(status=status, value=value, metrics={"recovered": 0.0}),
        "usage": Usage(calls=1, prompt_tokens=90, completion_tokens=10),
        "seconds": 0.5,
    }
    return Trajectory(**{**values, **changes})
