"""The agent: ``recall -> act -> approve -> tools -> act ... -> finish``, one LangGraph graph.

The wiring is below; what each node does is in `agent._nodes`. An episode of practice or evaluation
runs without a checkpointer and is simply run again when it is lost. A live session may pass one
with a ``thread_id``; it then survives a pause for approval and the death of the process.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from agent._nodes import act, answered, approve, finish, tools
from agent._remembering import recall
from agent._state import FINISH, Run, State, steps_of
from agent._traced import came_to, invoking
from agent.approval import Approve, Paused, allow
from agent.budget import Budget
from instar.contracts import ChatModel, Episode, Recall
from instar.errors import ConfigError, EpisodeFault
from instar.types import (
    BankDraw,
    Prompts,
    Recalled,
    Result,
    Sampling,
    Score,
    Step,
    StopReason,
    Task,
    ToolCall,
    Trajectory,
    Usage,
    content_hash,
)

__all__ = ["FINISH", "Agent", "Paused", "trajectory_id"]

_Graph: TypeAlias = CompiledStateGraph[State, Run, State, State]

IN_DOUBT = "interrupted: this call may or may not have taken effect, so look before you repeat it"
LIVE = "live"
_SUPER_STEPS = 1_000_000
"""LangGraph's own limit, out of the way: the budget is what ends an episode."""


# The edges are async, though they await nothing: LangGraph sends a sync one through a thread.
async def _after_recall(state: State) -> str:
    return "finish" if state.get("stop") else "act"


async def _after_act(state: State) -> str:
    if state.get("stop"):
        return "finish"
    return "called" if state.get("turn") else "act"


async def _after_tools(state: State) -> str:
    if state.get("turn"):
        return "tools"
    return "finish" if state.get("stop") else "act"


def _compile(checkpointer: BaseCheckpointSaver[Any] | None, asking: bool) -> _Graph:
    """The graph; where nobody is asked, calls go straight to the tools, which saves a super-step."""
    graph = StateGraph(State, context_schema=Run)
    graph.add_node("recall", recall)
    graph.add_node("act", act)
    if asking:
        graph.add_node("approve", approve)
        graph.add_edge("approve", "tools")
    graph.add_node("tools", tools)
    graph.add_node("finish", finish)
    graph.add_edge(START, "recall")
    graph.add_conditional_edges("recall", _after_recall, ["act", "finish"])
    called = "approve" if asking else "tools"
    graph.add_conditional_edges(
        "act", _after_act, {"act": "act", "called": called, "finish": "finish"}
    )
    graph.add_conditional_edges("tools", _after_tools, ["tools", "act", "finish"])
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=checkpointer)


def trajectory_id(task: Task, seed: int, generation: str, purpose: str, arm: str) -> str:
    """Id of the record of an episode: the same for the same attempt, so saving it twice is one."""
    return content_hash([task.id, seed, generation, purpose, arm], 16)


class Agent:
    """A model with prompts, a memory to recall from and a budget, ready for episodes.

    One agent runs any number of episodes at the same time.

    Args:
        recall: Chooses memories for a task; None is the arm without memory.
        approve: Decides on the calls of each turn before they run.
        on_step: Told of each turn when it is over, for live display.
        checkpointer: Keeps sessions that are run with a ``thread_id``.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        model: ChatModel,
        prompts: Prompts,
        *,
        recall: Recall | None = None,
        budget: Budget | None = None,
        sampling: Sampling | None = None,
        approve: Approve | None = None,
        on_step: Callable[[Step], None] | None = None,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.model = model
        self._parts: dict[str, Any] = {
            "model": model,
            "prompts": prompts,
            "recall": recall,
            "budget": budget or Budget(),
            "sampling": sampling or Sampling(),
            "approve": approve or allow,
            "on_step": on_step,
            "clock": clock,
        }
        self._durable = checkpointer is not None
        # A session may be gone on with by an agent that asks otherwise; its graph stays the same.
        self._graph = _compile(checkpointer, self._durable or self._parts["approve"] is not allow)

    async def run(
        self,
        task: Task,
        episode: Episode,
        *,
        seed: int,
        generation: str,
        adapter: str | None = None,
        purpose: str = "practise",
        arm: str = "",
        thread_id: str | None = None,
        decisions: list[str | None] | None = None,
    ) -> Trajectory:
        """Attempt a task and return the scored record; the episode is closed afterwards.

        Args:
            task: What is asked.
            episode: An open episode of the task.
            seed: Of the episode; each request to the model gets a seed of its own from it.
            generation: Id of the generation that is at work.
            adapter: Name of the adapter that the model carries.
            purpose: What the episode is run for; ``live`` lets the time budget count.
            arm: Arm of an evaluation.
            thread_id: Session to begin, or to go on with where it is known and not over.
            decisions: Answers to the calls that a paused session waits for.

        Raises:
            Paused: Calls wait for approval; the episode is left open, for the session goes on.
            ConfigError: The session belongs to another attempt, or nothing keeps sessions.
        """
        paused = False
        try:
            run = self._run(task, episode, seed, purpose)
            identity = trajectory_id(task, seed, generation, purpose, arm)
            state = await self._invoke(run, identity, thread_id, decisions)
            return _trajectory(run, state, generation, adapter, purpose, arm)
        except Paused:
            paused = True
            raise
        finally:
            if not paused:
                # What fails in closing changes nothing about what was measured.
                with contextlib.suppress(EpisodeFault):
                    await episode.close()

    def _run(self, task: Task, episode: Episode, seed: int, purpose: str) -> Run:
        offered = [t for t in episode.toolset.tools() if t.name != FINISH.name]
        return Run(
            **self._parts,
            task=task,
            episode=episode,
            tools=(*offered, FINISH),
            seed=seed,
            live=purpose == LIVE,
        )

    async def _invoke(
        self, run: Run, identity: str, thread_id: str | None, decisions: list[str | None] | None
    ) -> State:
        if self._durable != (thread_id is not None):
            raise ConfigError(
                "A session needs both a checkpointer and a thread_id; got one of them."
            )
        config: RunnableConfig = {"recursion_limit": _SUPER_STEPS}
        start: State = {
            "id": identity,
            "started": run.clock(),
            "memories": [],
            "steps": [],
            "turn": None,
            "refused": {},
            "stop": "",
            "answer": "",
            "error": "",
        }
        entry: State | Command[Any] | None = start
        if thread_id is not None:
            config["configurable"] = {"thread_id": thread_id}
            entry = await self._entry(run, config, start, decisions)
        durability: Literal["sync"] | None = "sync" if self._durable else None
        with invoking(run, thread_id or identity) as invoked:
            state = await self._graph.ainvoke(entry, config, context=run, durability=durability)
            came_to(invoked, cast(State, state))
        if "__interrupt__" in state:
            calls = [ToolCall.model_validate(c) for c in state["__interrupt__"][0].value]
            raise Paused(thread_id or "", calls)
        return cast(State, state)

    async def _entry(
        self,
        run: Run,
        config: RunnableConfig,
        start: State,
        decisions: list[str | None] | None,
    ) -> State | Command[Any] | None:
        """Where a session is entered: at its beginning, or where its last checkpoint stands."""
        kept = await self._graph.aget_state(config)
        if not kept.next:
            return start
        if kept.values.get("id") != start["id"]:
            raise ConfigError("This session belongs to another attempt; choose another thread_id.")
        if kept.interrupts:
            return Command(resume=decisions) if decisions is not None else None
        if kept.next == ("tools",):
            doubt = Result(text=IN_DOUBT, observation=await run.episode.observe(), error=True)
            update = answered(run, cast(State, kept.values), doubt)
            await self._graph.aupdate_state(config, update, as_node="tools")
        return None


def _trajectory(
    run: Run, state: State, generation: str, adapter: str | None, purpose: str, arm: str
) -> Trajectory:
    steps = tuple(steps_of(state))
    return Trajectory(
        id=state["id"],
        task=run.task,
        seed=run.seed,
        generation=generation,
        model=run.model.name,
        provider=run.model.provider,
        adapter=adapter,
        purpose=purpose,
        arm=arm,
        prompts=run.prompts,
        tools=run.tools,
        memories=tuple(Recalled.model_validate(m) for m in state["memories"]),
        bank=BankDraw.model_validate(state["bank"]) if state.get("bank") else None,
        steps=steps,
        stop=StopReason(state["stop"]),
        answer=state["answer"],
        score=Score.model_validate(state["score"]),
        usage=sum((s.usage for s in steps), Usage()),
        started=state["started"],
        seconds=run.clock() - state["started"],
    )
