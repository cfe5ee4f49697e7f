"""The nodes of the agent's graph: what an agent does in a turn, and at the end.

The node `tools` runs *one* call and is entered again for the next: what a checkpoint has seen done
is never done again.
"""

from __future__ import annotations

import json
from typing import Any

from langgraph.runtime import Runtime

from agent._remembering import recall_again
from agent._state import FINISH, Run, State, steps_of, utf8
from agent._traced import executing
from agent.approval import Refusal
from agent.loops import looping
from instar import tracing
from instar.errors import EpisodeFault, ModelFault
from instar.render import messages, split_citation
from instar.types import (
    Recalled,
    Reply,
    Result,
    Sampling,
    Score,
    Status,
    Step,
    StopReason,
    ToolCall,
    Usage,
    content_hash,
)

__all__ = ["act", "answered", "approve", "finish", "tools"]

NUDGE = "no call: answer with one call of a tool"
OVER = "not run: the episode is over"
TOO_MANY = "not run: too many calls in one turn"
_CALLS_A_TURN = 16
_SILENT_TURNS = 2


async def act(state: State, runtime: Runtime[Run]) -> State:
    """Ask the model for one turn, unless a budget is spent."""
    run, done = runtime.context, steps_of(state)
    usage = sum((s.usage for s in done), Usage())
    spent = run.budget.spent(len(done), usage, sum(s.seconds for s in done), run.live)
    if spent:
        return {"stop": spent.value}
    new = await recall_again(run, state, done)
    memories = [Recalled.model_validate(m) for m in new.get("memories", state["memories"])]
    prompt = messages(run.prompts, memories, run.task, done, state["observation"], run.tools)
    began = run.clock()
    try:
        reply = await tracing.chat(run.model, prompt, run.tools, _sampling(run, len(done)))
    except ModelFault as fault:
        return {"stop": StopReason.FAULT.value, "error": str(fault)}
    step = _step(_plain(reply), state["observation"], memories, run.clock() - began)
    if not step.calls:
        return {**new, **_closed(run, state, _with(step, _own(NUDGE, state["observation"])))}
    return {**new, "turn": step.model_dump(mode="json"), "refused": {}}


async def approve(state: State, runtime: Runtime[Run]) -> State:
    """Collect one decision for each call of the turn; nothing runs here."""
    step = Step.model_validate(state["turn"])
    decisions = await runtime.context.approve(step.calls)
    if len(decisions) != len(step.calls):
        raise ValueError(f"{len(decisions)} decisions for {len(step.calls)} calls")
    calls = [
        call if isinstance(decision, Refusal) else decision
        for call, decision in zip(step.calls, decisions, strict=True)
    ]
    refused = {str(i): d.reason for i, d in enumerate(decisions) if isinstance(d, Refusal)}
    step = step.model_copy(update={"calls": tuple(calls)})
    return {"turn": step.model_dump(mode="json"), "refused": refused}


async def tools(state: State, runtime: Runtime[Run]) -> State:
    """Answer the next call of the turn."""
    run = runtime.context
    step = Step.model_validate(state["turn"])
    index, before = len(step.results), _observed(step, state["observation"])
    call = step.calls[index]
    began = run.clock()
    if state.get("stop") or run.episode.done():
        return answered(run, state, _own(OVER, before))
    if index >= _CALLS_A_TURN:
        return answered(run, state, _own(TOO_MANY, before))
    if str(index) in state["refused"]:
        return answered(run, state, _own(f"refused: {state['refused'][str(index)]}", before))
    try:
        result = await _call(run, call, before)
    except EpisodeFault as fault:
        update = answered(run, {**state, "stop": StopReason.FAULT.value}, _own(str(fault), before))
        return {**update, "stop": StopReason.FAULT.value, "error": str(fault)}
    ended: State = {}
    if call.name == FINISH.name:
        ended = {"stop": StopReason.FINISHED.value, "answer": _answer(call)}
    update = answered(run, {**state, **ended}, result, run.clock() - began)
    return {**ended, **update}


async def finish(state: State, runtime: Runtime[Run]) -> State:
    """Judge the final state; what broke on the way cannot be judged."""
    if state["stop"] in {StopReason.FAULT, StopReason.INTERRUPTED}:
        return {"score": _unknown(state.get("error", ""))}
    try:
        score = await runtime.context.episode.score()
    except Exception as error:  # noqa: BLE001  A verifier that raises has measured nothing.
        return {"score": _unknown(f"the verifier failed: {error!r}")}
    return {"score": score.model_dump(mode="json")}


async def _call(run: Run, call: ToolCall, before: str) -> Result:
    if call.name == FINISH.name:
        return await run.episode.finish(_answer(call))
    with executing(call) as ran:
        try:
            result = await run.episode.toolset.call(call.name, call.arguments)
        except EpisodeFault:
            raise
        except Exception as error:  # noqa: BLE001  A mistake in a tool is text for the model.
            ran.failed(type(error).__name__)
            return _own(f"{call.name} failed: {error!r}", before)
        if result.error:
            ran.failed("tool_error")
        ran.tell(
            {"gen_ai.tool.call.arguments": call.arguments, "gen_ai.tool.call.result": result.text}
        )
    return result


def answered(run: Run, state: State, result: Result, seconds: float = 0.0) -> State:
    """The state after one more call of the turn has its result."""
    step = _with(Step.model_validate(state["turn"]), result, seconds)
    if len(step.results) < len(step.calls):
        return {"turn": step.model_dump(mode="json")}
    return _closed(run, state, step)


def _closed(run: Run, state: State, step: Step) -> State:
    """The state after a turn: what there is to see next, and whether there is a next."""
    done = [*steps_of(state), step]
    if run.on_step:
        run.on_step(step)
    update: State = {
        "steps": [s.model_dump(mode="json") for s in done],
        "turn": None,
        "observation": _observed(step, state["observation"]),
    }
    stop = None if state.get("stop") else _stop(run, done)
    return {**update, "stop": stop.value} if stop else update


def _stop(run: Run, done: list[Step]) -> StopReason | None:
    if run.episode.done():
        return StopReason.WORLD_DONE
    silent = done[-_SILENT_TURNS:]
    if len(silent) == _SILENT_TURNS and not any(s.calls for s in silent):
        return StopReason.GARBAGE
    return StopReason.LOOP if looping(done, run.tools, run.budget.loop) else None


def _step(reply: Reply, observation: str, memories: list[Recalled], seconds: float) -> Step:
    citation, content, label = split_citation(reply.content)
    return Step(
        observation=observation,
        content=content,
        citation=citation,
        cited=tuple(m.item for m in memories if m.shown and m.label == label),
        calls=reply.calls,
        usage=reply.usage,
        seconds=seconds,
    )


def _plain(reply: Reply) -> Reply:
    """The reply as JSON and UTF-8 can hold it; what they cannot hold at all is an empty reply."""
    try:
        text = json.dumps(reply.model_dump(), default=str, ensure_ascii=False)
        return Reply.model_validate(json.loads(utf8(text), parse_constant=str))
    except (ValueError, RecursionError):
        return reply.model_copy(update={"content": "", "calls": ()})


def _with(step: Step, result: Result, seconds: float = 0.0) -> Step:
    seen = None if result.observation is None else utf8(result.observation)
    kept = result.model_copy(update={"text": utf8(result.text), "observation": seen})
    more = {"results": (*step.results, kept), "seconds": step.seconds + seconds}
    return step.model_copy(update=more)


def _observed(step: Step, before: str) -> str:
    """What there is to see after the results so far."""
    if not step.results:
        return before
    last = step.results[-1]
    return last.text if last.observation is None else last.observation


def _own(text: str, before: str) -> Result:
    """An error of ours; what was there to see stays in sight below it."""
    seen = before.removeprefix(f"{text}\n")
    return Result(text=text, observation=f"{text}\n{seen}", error=True, misuse=True)


def _sampling(run: Run, step: int) -> Sampling:
    """Sampling with a seed of its own for each request of the episode."""
    seed = int(content_hash([run.seed, step], 8), 16) & 0x7FFFFFFF
    return run.sampling.model_copy(update={"seed": seed})


def _answer(call: ToolCall) -> str:
    return str(call.arguments.get("answer") or "")


def _unknown(evidence: str) -> dict[str, Any]:
    return Score(status=Status.UNKNOWN, evidence=evidence).model_dump(mode="json")
