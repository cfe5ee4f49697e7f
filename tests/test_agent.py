import asyncio
import json

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent.approval import Refusal, pause
from agent.budget import Budget
from agent.graph import FINISH, Agent, Paused, trajectory_id
from agent.loops import looping
from agent.prompts import load_prompts, prompt_sets
from instar.errors import ConfigError, EpisodeFault, ModelFault, UnknownName
from instar.llm import Scripted
from instar.render import row
from instar.types import (
    BankDraw,
    MemoryKind,
    Recalled,
    Recollection,
    Reply,
    Result,
    Sampling,
    Score,
    Status,
    Step,
    StopReason,
    Task,
    ToolCall,
    ToolSpec,
    Trajectory,
    Usage,
)

ADD = ToolSpec(
    name="add",
    description="Add to the sum.",
    parameters={"type": "object", "properties": {"number": {"type": "integer"}}},
)
LOOK = ToolSpec(name="look", description="Say the sum.")
TASK = Task(
    id="t1",
    instruction="bring the sum to 3",
    world="sums",
    namespace="sums",
    group="sum",
    family="sum",
)
COMPACT = load_prompts("compact")


class Sums:
    """An episode whose state is a sum: really added to, scored by its final value."""

    def __init__(self, target=3, end_at=None, faults=()):
        self.toolset = self
        self.sum = 0
        self.log = []
        self.closed = 0
        self.answer = None
        self._target = target
        self._end_at = end_at
        self._faults = set(faults)

    def tools(self):
        return [ADD, LOOK]

    async def call(self, name, arguments):
        self.log.append((name, dict(arguments)))
        if "call" in self._faults:
            raise EpisodeFault("the machine is gone")
        if name == "look":
            return Result(text=f"sum {self.sum}")
        if name != "add":
            return Result(text=f"no tool {name}: there are add, look", error=True)
        if set(arguments) != {"number"}:
            return Result(text="add takes a number", error=True)
        self.sum += arguments["number"] + (1 // 0 if arguments["number"] == 99 else 0)
        return Result(text="ok", observation=f"now {self.sum}")

    async def observe(self):
        if "observe" in self._faults:
            raise EpisodeFault("nothing to see")
        return f"now {self.sum}"

    def done(self):
        return self._end_at is not None and self.sum >= self._end_at

    async def finish(self, answer):
        self.answer = answer
        return Result(text="thank you")

    async def score(self):
        if "score" in self._faults:
            raise ZeroDivisionError("a verifier with a bug")
        right = self.sum == self._target
        return Score(status=Status.PASS if right else Status.FAIL, value=float(right))

    async def close(self):
        self.closed += 1
        if "close" in self._faults:
            raise EpisodeFault("cannot close")


class Killed(BaseException):
    """What ends a process, as far as anything below can see."""


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now += 1.0
        return self.now


def say(*calls, content="", **usage):
    made = tuple(ToolCall(id=f"c{i}", name=n, arguments=a) for i, (n, a) in enumerate(calls))
    return Reply(content=content, calls=made, usage=Usage(calls=1, **usage))


def add(number):
    return say(("add", {"number": number}))


DONE = say(("finish", {"answer": "3"}))


def agent(replies, **more):
    more = {"clock": Clock()} | more
    return Agent(Scripted(replies), COMPACT, **more)


async def run(replies, episode=None, seed=1, purpose="practise", **more):
    episode = episode or Sums()
    trajectory = await agent(replies, **more).run(
        TASK, episode, seed=seed, generation="g0", purpose=purpose
    )
    assert episode.closed == 1
    assert Trajectory.model_validate_json(trajectory.model_dump_json()) == trajectory
    return trajectory


async def test_an_episode_from_recall_to_score():
    seen = []
    episode = Sums()
    trajectory = await run([add(1), add(2), DONE], episode, on_step=seen.append)
    assert trajectory.stop is StopReason.FINISHED
    assert trajectory.score.status is Status.PASS
    assert trajectory.answer == episode.answer == "3"
    assert [s.observation for s in trajectory.steps] == ["now 0", "now 1", "now 3"]
    assert trajectory.steps[-1].results[0].text == "thank you"
    assert tuple(seen) == trajectory.steps
    assert trajectory.tools == (ADD, LOOK, FINISH)
    assert trajectory.usage.calls == 3
    assert trajectory.seconds > 0
    assert trajectory.started > 1000
    assert trajectory.id == trajectory_id(TASK, 1, "g0", "practise", "")


async def test_what_the_model_is_served():
    served = []

    class Spy(Scripted):
        async def complete(self, messages, tools, sampling):
            served.append((messages, tools, sampling))
            return await super().complete(messages, tools, sampling)

    for seed in (1, 1, 2):
        one = Agent(Spy([add(3), DONE]), COMPACT, sampling=Sampling(temperature=0.7, seed=9))
        await one.run(TASK, Sums(), seed=seed, generation="g0")
    seeds = [s.seed for _, _, s in served]
    assert seeds[:2] == seeds[2:4]
    assert len(set(seeds)) == 4
    assert {s.temperature for _, _, s in served} == {0.7}
    system, user = served[1][0]
    assert system["content"] == COMPACT.system
    assert user["content"] == 'now 3\ndone:\nadd "3" -> ok\ntask: bring the sum to 3'
    assert [t.name for t in served[0][1]] == ["add", "look", "finish"]


async def test_memories_are_recalled_once_and_citations_kept_apart():
    asked = []

    async def recall(task, tools, seed):
        asked.append((task.id, [t.name for t in tools], seed))
        make = {"version": 1, "title": "", "when": "sum", "kind": MemoryKind.WORKFLOW}
        memories = (
            Recalled(label="m1", item="i-1", content="add 3", **make),
            Recalled(label="m2", item="i-2", content="secret", shown=False, **make),
        )
        return Recollection(memories=memories, bank=BankDraw(shown=True, propensity=0.85))

    line = "task: sum [m1] -> add 3"
    replies = [
        say(("add", {"number": 1}), content=f"{line}\nso one"),
        say(("add", {"number": 2}), content="from [m2]"),
        DONE,
    ]
    trajectory = await run(replies, recall=recall)
    assert asked == [("t1", ["add", "look", "finish"], 1)]
    assert trajectory.bank == BankDraw(shown=True, propensity=0.85)
    first, second, _ = trajectory.steps
    assert (first.citation, first.content, first.cited) == (line, "so one", ("i-1",))
    assert second.cited == ()
    assert [m.shown for m in trajectory.memories] == [True, False]


@pytest.mark.parametrize(
    ("budget", "usage", "stop", "turns"),
    [
        (Budget(steps=3, loop=9), {}, StopReason.STEPS, 3),
        (Budget(tokens=20, loop=9), {"prompt_tokens": 9, "completion_tokens": 1}, "tokens", 2),
        (Budget(cost=0.2, loop=9), {"cost": 0.1}, StopReason.COST, 2),
        (Budget(cost=0.2, steps=4, loop=9), {}, StopReason.STEPS, 4),
    ],
)
async def test_a_spent_budget_is_scored_by_the_final_state(budget, usage, stop, turns):
    replies = [say(("add", {"number": 3 if i == 0 else 0}), **usage) for i in range(9)]
    trajectory = await run(replies, budget=budget)
    assert trajectory.stop == stop
    assert len(trajectory.steps) == turns
    assert trajectory.score.status is Status.PASS


async def test_wall_time_counts_in_live_sessions_only():
    budget = Budget(seconds=5, steps=6, loop=9)
    live = await run([add(0)] * 9, budget=budget, purpose="live")
    assert live.stop is StopReason.TIME
    assert 1 < len(live.steps) < 6
    assert (await run([add(0)] * 9, budget=budget)).stop is StopReason.STEPS


async def test_the_world_ends_the_episode_and_the_rest_of_the_turn_does_not_run():
    episode = Sums(end_at=3)
    both = say(("add", {"number": 3}), ("add", {"number": 1}), ("look", {}))
    trajectory = await run([both], episode)
    assert trajectory.stop is StopReason.WORLD_DONE
    assert episode.log == [("add", {"number": 3})]
    (step,) = trajectory.steps
    assert [r.error for r in step.results] == [False, True, True]
    assert trajectory.score.status is Status.PASS


async def test_nothing_runs_after_finish():
    episode = Sums()
    trajectory = await run([say(("finish", {}), ("add", {"number": 3}))], episode)
    assert (trajectory.stop, episode.log) == (StopReason.FINISHED, [])
    assert "not run" in trajectory.steps[0].results[1].text


async def test_the_same_call_with_the_same_result_is_a_loop():
    trajectory = await run([say(("look", {}))] * 9)
    assert trajectory.stop is StopReason.LOOP
    assert len(trajectory.steps) == 3


async def test_the_same_call_that_changes_something_is_none():
    trajectory = await run([add(1), add(1), add(1), DONE])
    assert trajectory.stop is StopReason.FINISHED


def test_loops_are_seen_through_references_drawn_anew():
    click = ToolSpec(
        name="click",
        parameters={
            "type": "object",
            "properties": {"element": {"type": "string"}, "ref": {"type": "string"}},
        },
        volatile=("ref",),
    )

    def step(ref, page, text="ok"):
        call = ToolCall(id="1", name="click", arguments={"element": "go", "ref": ref})
        seen = f'page: {page}\nbutton "go" {ref}'
        return Step(observation=seen, calls=(call,), results=(Result(text=text, observation=seen),))

    same = [step("e1", "a"), step("e2", "a"), step("e30", "a")]
    assert looping(same, [click])
    assert not looping(same, [click], times=4)
    assert not looping([step("e1", "a"), step("e2", "b"), step("e3", "c")], [click])
    assert looping([step("e1", "a", "x"), step("e2", "a", "y"), step("e3", "a", "z")], [click])
    assert not looping([Step(observation="a")] * 3, [click])


async def test_silence_is_nudged_once_and_then_garbage():
    trajectory = await run([say(content="hm"), say(content="well"), DONE])
    assert trajectory.stop is StopReason.GARBAGE
    assert trajectory.steps[0].results[0].error
    assert trajectory.steps[1].observation.endswith("\nnow 0")
    assert trajectory.score.status is Status.FAIL
    again = await run([say(content="hm"), add(3), say(content="hm"), DONE])
    assert again.stop is StopReason.FINISHED


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "reply",
    [
        say(("fly", {"to": "the moon"})),
        say(("add", {"undecodable_arguments": "{oops"})),
        say(("add", {"number": "three"})),
        say(("add", {"number": 99})),
        say(("add", {"number": float("nan"), "more": {1, 2}})),
        say(("", {})),
        say(("add", {"number": nested(3000)})),
        say(("add", {"\ud800": "\udfff"}), content="\ud800 lone"),
        say(*[("look", {})] * 40),
        '<tool_call>{"name": "add"',
        "\x00",
        "",
    ],
)
async def test_garbage_is_data_and_never_a_crash(reply):
    trajectory = await run([reply, add(3), DONE])
    assert trajectory.stop is StopReason.FINISHED
    assert trajectory.score.status is Status.PASS
    json.dumps(trajectory.model_dump(mode="json")).encode()


async def test_a_tool_with_a_bug_is_text_for_the_model():
    trajectory = await run([add(99), DONE])
    first = trajectory.steps[0].results[0]
    assert first.error
    assert "ZeroDivisionError" in first.text
    assert trajectory.steps[1].observation.endswith("now 0")


@pytest.mark.parametrize("fault", ["call", "observe"])
async def test_a_fault_of_the_episode_is_unknown_and_keeps_the_steps(fault):
    trajectory = await run([add(1), add(2), DONE], Sums(faults=[fault]))
    assert trajectory.stop is StopReason.FAULT
    assert trajectory.score.status is Status.UNKNOWN
    assert trajectory.score.value is None
    assert trajectory.score.evidence in {"the machine is gone", "nothing to see"}
    assert len(trajectory.steps) == (fault == "call")


async def test_a_fault_of_the_model_is_unknown_and_keeps_the_steps():
    trajectory = await run([add(1)])
    assert trajectory.stop is StopReason.FAULT
    assert trajectory.score.status is Status.UNKNOWN
    assert "1 replies" in trajectory.score.evidence
    assert len(trajectory.steps) == 1


async def test_a_verifier_that_raises_is_unknown_and_closing_may_fail():
    trajectory = await run([DONE], Sums(faults=["score", "close"]))
    assert trajectory.stop is StopReason.FINISHED
    assert trajectory.score.status is Status.UNKNOWN
    assert "ZeroDivisionError" in trajectory.score.evidence


async def test_an_agent_that_is_stuck_recalls_once_more():
    asked = []
    make = {"version": 1, "title": "", "kind": MemoryKind.LESSON, "content": "numbers only"}

    async def recall(task, tools, seed, about="", before=()):
        asked.append((about, [m.label for m in before]))
        label = f"m{len(before) + 1}"
        return Recollection(memories=(Recalled(label=label, item=label, when="sum", **make),))

    wrong = say(("add", {"number": "x"}))
    trajectory = await run([wrong, wrong, say(("add", {"number": 3})), DONE], recall=recall)
    assert [about.split("\n")[0] for about, _ in asked] == ["", trajectory.steps[1].results[0].text]
    assert asked[1][1] == ["m1"]
    assert [(m.label, m.since) for m in trajectory.memories] == [("m1", 0), ("m2", 2)]
    prompts = [row(trajectory, i, memories=True)["prompt"][0]["content"] for i in range(4)]
    assert ["[m2]" in p for p in prompts] == [False, False, True, True]


async def test_the_episode_is_closed_when_our_own_code_breaks_or_is_cancelled():
    async def recall(task, tools, seed):
        raise KeyError("a bug")

    async def hang(task, tools, seed):
        await asyncio.sleep(60)

    episode = Sums()
    with pytest.raises(KeyError):
        await agent([], recall=recall).run(TASK, episode, seed=1, generation="g0")
    assert episode.closed == 1
    episode = Sums()
    running = asyncio.create_task(
        agent([], recall=hang).run(TASK, episode, seed=1, generation="g0")
    )
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert episode.closed == 1


async def test_one_agent_runs_many_episodes_at_once():
    class Adder(Scripted):
        async def complete(self, messages, tools, sampling):
            await asyncio.sleep(0)
            seen = messages[1]["content"].split("\n")[0]
            return DONE if seen == "now 3" else add(1)

    one = Agent(Adder([]), COMPACT)
    runs = [one.run(TASK, Sums(), seed=i, generation="g0") for i in range(12)]
    trajectories = await asyncio.gather(*runs)
    assert {t.score.status for t in trajectories} == {Status.PASS}
    assert len({t.id for t in trajectories}) == 12


async def test_a_refused_call_is_told_and_not_run():
    async def approve(calls):
        return [Refusal(reason="too much") if c.arguments["number"] > 2 else c for c in calls]

    both = say(("add", {"number": 5}), ("add", {"number": 1}))
    episode = Sums()
    trajectory = await run([both], episode, approve=approve, budget=Budget(steps=1))
    assert episode.log == [("add", {"number": 1})]
    assert [r.text for r in trajectory.steps[0].results] == ["refused: too much", "ok"]


async def test_an_approver_may_edit_a_call():
    async def approve(calls):
        return [c.model_copy(update={"arguments": {"number": 3}}) for c in calls]

    episode = Sums()
    trajectory = await run([add(7)], episode, approve=approve, budget=Budget(steps=1))
    assert episode.log == [("add", {"number": 3})]
    assert trajectory.steps[0].calls[0].arguments == {"number": 3}


async def session(saver, replies, episode, **more):
    decisions = more.pop("decisions", None)
    one = agent(replies, checkpointer=saver, **more)
    return await one.run(
        TASK, episode, seed=1, generation="g0", purpose="live", thread_id="s", decisions=decisions
    )


async def test_a_session_pauses_for_approval_and_goes_on_in_another_process(tmp_path):
    path = str(tmp_path / "sessions.db")
    episode = Sums()
    both = say(("add", {"number": 1}), ("add", {"number": 9}))
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        with pytest.raises(Paused) as paused:
            await session(saver, [both], episode, approve=pause)
    assert [c.arguments["number"] for c in paused.value.calls] == [1, 9]
    assert (episode.log, episode.closed) == ([], 0)
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        with pytest.raises(Paused):
            await session(saver, [], episode, approve=pause)
        with pytest.raises(Paused) as paused:
            await session(saver, [add(2)], episode, approve=pause, decisions=[None, "no"])
        assert episode.log == [("add", {"number": 1})]
        with pytest.raises(Paused):
            await session(saver, [DONE], episode, approve=pause, decisions=[None])
        done = await session(saver, [], episode, approve=pause, decisions=[None])
    assert episode.log == [("add", {"number": 1}), ("add", {"number": 2})]
    assert episode.closed == 1
    assert done.stop is StopReason.FINISHED
    assert done.score.status is Status.PASS
    assert [r.text for s in done.steps for r in s.results] == [
        "ok",
        "refused: no",
        "ok",
        "thank you",
    ]


async def test_a_session_that_died_between_two_calls_repeats_none(tmp_path):
    class Dies(Sums):
        async def call(self, name, arguments):
            result = await super().call(name, arguments)
            if arguments.get("number") == 2 and len(self.log) == 2:
                raise Killed
            return result

    episode = Dies()
    three = say(*(("add", {"number": n}) for n in (1, 2, 0)))
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "s.db")) as saver:
        with pytest.raises(Killed):
            await session(saver, [three], episode)
        done = await session(saver, [DONE], episode)
    assert [a["number"] for _, a in episode.log] == [1, 2, 0]
    texts = [r.text for r in done.steps[0].results]
    assert (texts[0], texts[2]) == ("ok", "ok")
    assert "look before you repeat" in texts[1]
    assert done.score.status is Status.PASS


async def test_a_session_that_died_in_the_model_asks_again(tmp_path):
    class Dies(Scripted):
        async def complete(self, messages, tools, sampling):
            if self.played == 1:
                raise Killed
            return await super().complete(messages, tools, sampling)

    episode = Sums()
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "s.db")) as saver:
        one = Agent(Dies([add(3)]), COMPACT, checkpointer=saver)
        with pytest.raises(Killed):
            await one.run(TASK, episode, seed=1, generation="g0", purpose="live", thread_id="s")
        done = await session(saver, [DONE], episode)
        assert len(done.steps) == 2
        assert episode.log == [("add", {"number": 3})]
        with pytest.raises(ConfigError, match="another attempt"):
            episode = Sums()
            with pytest.raises(Paused):
                await session(saver, [add(1)], episode, approve=pause)
            two = agent([], checkpointer=saver)
            await two.run(TASK, episode, seed=2, generation="g0", thread_id="s")


async def test_a_session_needs_a_checkpointer_and_a_thread():
    with pytest.raises(ConfigError, match="thread_id"):
        await agent([]).run(TASK, Sums(), seed=1, generation="g0", thread_id="s")


def test_prompt_sets():
    assert prompt_sets() == ["compact", "standard"]
    assert COMPACT.system == "act with one call"
    assert (COMPACT.memory_open, COMPACT.memory_close) == ("<memory>", "</memory>")
    assert len(COMPACT.after_memory.split()) <= 4
    standard = load_prompts("standard")
    assert "finish" in standard.system
    assert "data" in standard.after_memory
    with pytest.raises(UnknownName, match="compact"):
        load_prompts("compat")


def test_prompt_variables_are_strict(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('system = "you serve {{ firm }}"')
    assert load_prompts(str(path), {"firm": "Plum"}).system == "you serve Plum"
    with pytest.raises(ConfigError, match="need a value for: firm"):
        load_prompts(str(path))
    with pytest.raises(ConfigError, match="no variable: colour"):
        load_prompts(str(path), {"firm": "Plum", "colour": "red"})
    for bad in ("sytem = 'x'", "system = '{{ oops'", "system ="):
        path.write_text(bad)
        with pytest.raises(ConfigError, match="no set of prompts"):
            load_prompts(str(path))


async def test_a_model_fault_names_itself():
    with pytest.raises(ModelFault):
        await Scripted([]).complete([], [], Sampling())
