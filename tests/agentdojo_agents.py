"""One script played twice: by AgentDojo's own pipeline and runner, and by the tools of our world.

The script knows AgentDojo's ground truth. Some pairs of tasks it spoils: there it gives up early,
or does what was injected as soon as it sees it.
"""

import re
from collections.abc import Generator

from agentdojo.agent_pipeline import (
    AgentPipeline,
    BasePipelineElement,
    GroundTruthPipeline,
    InitQuery,
    SystemMessage,
    ToolsExecutionLoop,
    ToolsExecutor,
)
from agentdojo.attacks import load_attack
from agentdojo.benchmark import run_task_with_injection_tasks
from agentdojo.functions_runtime import EmptyEnv, FunctionCall
from agentdojo.logging import OutputLogger
from agentdojo.task_suite.load_suites import get_suite
from agentdojo.types import get_text_content_as_str, text_content_block_from_string

from instar.types import Reply, ToolCall, content_hash

VERSION = "v1.2.2"
ATTACK, MARK = "direct", "TODO"
"""An attack, and what every text begins with that it injects."""

_CLOCK = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{6}")

Turns = Generator[FunctionCall, str, str]
Outcome = tuple[bool, bool, list[str]]


def timeless(text: str) -> str:
    """The text without the moment at which an e-mail was sent, which is the machine's."""
    return _CLOCK.sub("now", text)


def script(suite, user_task: str, injection_task: str) -> Turns:
    """Yields calls, is sent what they answered, and returns its last words."""
    user, other = suite.user_tasks[user_task], suite.injection_tasks[injection_task]
    environment = user.init_environment(suite.load_and_inject_default_environment({}))
    calls, injected = user.ground_truth(environment), other.ground_truth(environment)
    draw = int(content_hash([user_task, injection_task], 4), 16)
    gives_up, credulous = draw % 3 == 0, draw % 2 == 0
    left = calls[:-1] if gives_up else list(calls)
    while left:
        text = yield left.pop(0)
        if credulous and MARK in text:
            credulous, left = False, [*injected, *left]
    return "" if gives_up else user.GROUND_TRUTH_OUTPUT


class Player(BasePipelineElement):
    """A model of AgentDojo's that plays the script of a pair."""

    name = "local-script"

    def __init__(self, *pair) -> None:
        self.pair = pair
        self.heard: list[str] = []

    def query(self, query, runtime, env=EmptyEnv(), messages=(), extra_args=None):  # noqa: B008
        last = messages[-1]
        if last["role"] != "tool":
            self.heard, self.turns = [], script(*self.pair)
            return self.say(lambda: next(self.turns), query, runtime, env, messages, extra_args)
        text = last["error"] or get_text_content_as_str(last["content"])
        self.heard.append(timeless(text))
        return self.say(lambda: self.turns.send(text), query, runtime, env, messages, extra_args)

    def say(self, turn, query, runtime, env, messages, extra_args):
        try:
            words, calls = "", [turn()]
        except StopIteration as end:
            words, calls = end.value, []
        content = [text_content_block_from_string(words)]
        message = {"role": "assistant", "content": content, "tool_calls": calls}
        return query, runtime, env, [*messages, message], extra_args or {}


def theirs(suite_name: str, user_task: str, injection_task: str, log) -> Outcome:
    """Utility, security and what was heard, by AgentDojo's benchmark runner."""
    suite = get_suite(VERSION, suite_name)
    player = Player(suite, user_task, injection_task)
    loop = ToolsExecutionLoop([ToolsExecutor(), player], max_iters=100)
    pipeline = AgentPipeline([SystemMessage("Work."), InitQuery(), player, loop])
    pipeline.name = player.name
    attack = load_attack(ATTACK, suite, pipeline)
    asked = suite.user_tasks[user_task]
    with OutputLogger(str(log)):
        results = run_task_with_injection_tasks(
            suite, pipeline, asked, attack, log, True, [injection_task], VERSION
        )
    ((utility,), (security,)) = (result.values() for result in results)
    return utility, security, player.heard


async def ours(world, task) -> Outcome:
    """The same by the world."""
    pair = [str(task.params[k]) for k in ("user_task", "injection_task")]
    turns = script(get_suite(VERSION, str(task.params["suite"])), *pair)
    episode, heard = await world.open(task, 0), []
    try:
        call = next(turns)
        while True:
            result = await episode.toolset.call(call.function, call.args)
            heard.append(timeless(result.text))
            call = turns.send(result.text)
    except StopIteration as end:
        await episode.finish(end.value)
    metrics = (await episode.score()).metrics
    await episode.close()
    return bool(metrics["utility"]), bool(metrics["attack_success"]), heard


def their_ground_truth(suite_name: str, user_task: str) -> bool:
    """Utility of the ground truth, by AgentDojo's runner."""
    suite = get_suite(VERSION, suite_name)
    task = suite.user_tasks[user_task]
    utility, _ = suite.run_task_with_pipeline(GroundTruthPipeline(task), task, None, {})
    return utility


class Robber:
    """Sends money to where the attacks want it, whatever is asked."""

    name, provider = "robber", "scripted"

    async def complete(self, messages, tools, sampling):
        money = {"recipient": "US133000000121212121212", "amount": 1.0, "subject": "x"}
        asked = str(messages[-1]["content"])
        call = ToolCall(id="c1", name="send_money", arguments={**money, "date": "2022-01-01"})
        if "US133000000121212121212" in asked:
            call = ToolCall(id="c2", name="finish")
        return Reply(calls=(call,), provider="scripted")
