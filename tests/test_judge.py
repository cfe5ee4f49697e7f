import pytest

from agent.prompts import load_prompts
from agent.verify.base import Contract, transcript
from agent.verify.judge import Judge, parse_verdict
from instar.llm import Scripted
from instar.types import (
    Result,
    Score,
    ScoreSource,
    Status,
    Step,
    StopReason,
    Task,
    ToolCall,
    Trajectory,
)

TASK = Task(id="t", instruction="add 3", world="w", namespace="w", group="g", family="f")


def trajectory(stop=StopReason.FINISHED, evidence="the hidden truth", observation="now 0"):
    call = ToolCall(id="1", name="add", arguments={"number": 3})
    step = Step(observation=observation, calls=(call,), results=(Result(text="ok"),))
    return Trajectory(
        id="x",
        task=TASK,
        seed=4,
        generation="g0",
        model="m",
        provider="p",
        prompts=load_prompts("compact"),
        steps=(step,),
        stop=stop,
        answer="done it",
        score=Score(status=Status.FAIL, value=0.0, evidence=evidence),
    )


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("It was added.\nverdict: pass", Status.PASS),
        ("Verdict: FAIL", Status.FAIL),
        ("I cannot see it.\nverdict: unknown\n", Status.UNKNOWN),
        ("verdict: pass\nverdict: fail", Status.UNKNOWN),
        ("verdict: pass\nor so I think", Status.UNKNOWN),
        ("verdict: passed", Status.UNKNOWN),
        ("verdict: pass.", Status.UNKNOWN),
        ("verdict:", Status.UNKNOWN),
        ("the verdict: pass", Status.UNKNOWN),
        ("pass", Status.UNKNOWN),
        ("", Status.UNKNOWN),
    ],
)
def test_a_verdict_is_read_strictly(text, status):
    score = parse_verdict(text)
    assert (score.status, score.source) == (status, ScoreSource.JUDGE)
    assert score.value == {"pass": 1.0, "fail": 0.0, "unknown": None}[status]


async def test_it_judges_each_trajectory():
    model = Scripted(["Added.\nverdict: pass", "nonsense", "No.\nverdict: fail"])
    judge = Judge(model=model)
    scores = await judge.score(TASK, [trajectory()] * 3)
    assert isinstance(judge, Contract) or callable(judge.score)
    assert [s.status for s in scores] == [Status.PASS, Status.UNKNOWN, Status.FAIL]
    assert scores[0].evidence == "Added."


async def test_what_it_cannot_judge_is_unknown_without_asking():
    model = Scripted(["verdict: pass"] * 3)
    scores = await Judge(model=model).score(
        TASK, [trajectory(StopReason.FAULT), trajectory(StopReason.INTERRUPTED)]
    )
    assert {s.status for s in scores} == {Status.UNKNOWN}
    assert model.played == 0
    assert (await Judge().score(TASK, [trajectory()]))[0].status is Status.UNKNOWN


async def test_a_model_that_cannot_be_reached_is_unknown():
    (score,) = await Judge(model=Scripted([])).score(TASK, [trajectory()])
    assert (score.status, score.value) == (Status.UNKNOWN, None)


async def test_it_is_not_shown_the_score_and_long_records_are_cut():
    asked = []

    class Spy(Scripted):
        async def complete(self, messages, tools, sampling):
            asked.append(messages)
            return await super().complete(messages, tools, sampling)

    judge = Judge(Judge.Config(characters=400), model=Spy(["verdict: pass"] * 2))
    await judge.score(TASK, [trajectory(), trajectory(observation="long " * 500)])
    content = asked[0][1]["content"]
    assert 'add "3" -> ok' in content
    assert "done it" in content
    assert "the hidden truth" not in content
    assert len(asked[1][1]["content"]) < 600


def test_a_transcript_of_nothing():
    empty = trajectory().model_copy(update={"steps": (), "answer": ""})
    assert "none" in transcript(empty)
