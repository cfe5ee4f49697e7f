"""The outer loop: one LangGraph graph.

    start -> practise -> reflect -> practise -> reflect -> curate -> train
          -> gate (memory) -> evolve prompts -> gate (prompts) -> gate (adapter) -> moult -> gate (moult) -> promote -> start ... -> report

One node a stage, one function a node. The state holds names only; the store is the truth. Each node
asks the store whether its output exists, so a run that was killed anywhere goes on at the stage,
and a run over something finished does nothing. Checkpoints live in a file of their own, which says
only where the graph stood; it goes when the run is finished, and may be lost without loss.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from instar._checkpoints import checkpoints, forget
from instar._gate_cost import usage_of
from instar._gating import gate_adapter, gate_memory, promote
from instar._giving_up import give_up
from instar._lease import leased, wants_gpu
from instar._lock import exclusive
from instar._loop import Loop, Output, State
from instar._methods import require
from instar._moulting import gate_moult, moult
from instar._prompting import evolve_prompts, gate_prompts
from instar._rebasing import leave_adapter
from instar._reporting import report
from instar._runs import begin, close, current_turn, open_turn, runs
from instar._stages import curate, practise, reflect, start
from instar._training import train, trained
from instar.answers import last_answers
from instar.compose import Workspace
from instar.errors import WorkspaceError
from instar.failpoints import reach
from instar.limits import Limits
from instar.progress import Progress

__all__ = ["TURN", "check", "evolve", "evolve_until", "summary"]

_CHECKPOINTS = "evolve.checkpoints"
_IDENTITY = "workspace"

Stage: TypeAlias = Callable[[Loop, str, State], Coroutine[Any, Any, Output]]
_Graph: TypeAlias = CompiledStateGraph[State, None, State, State]


class _Node(Protocol):
    """A node as LangGraph calls it."""

    async def __call__(self, state: State) -> State:
        """Changes of the state."""
        ...


TURN: dict[str, Stage] = {
    "start": start,
    "practise_1": practise,
    "reflect_1": reflect,
    "practise_2": practise,
    "reflect_2": reflect,
    "curate": curate,
    "train": train,
    "gate_memory": gate_memory,
    "evolve_prompts": evolve_prompts,
    "gate_prompts": gate_prompts,
    "gate_adapter": gate_adapter,
    "moult": moult,
    "gate_moult": gate_moult,
    "promote": promote,
}
"""The stages of a turn, in order."""


def _node(loop: Loop, name: str, stage: Stage) -> _Node:
    """A stage as a node: skipped where its output exists, else run, timed and recorded."""

    async def node(state: State) -> State:
        key = f"{state['run']}/{name}" if stage is report else f"g{state['turn']}/{name}"
        kept = loop.store.stage(key)
        if kept is not None:
            loop.progress.skip(key)
            found: State = kept["state"]
            return found
        loop.may_go_on()
        began = time.monotonic()
        # In a context of its own: a graph that runs inside a node would inherit our checkpoints.
        work = asyncio.create_task(stage(loop, key, state), context=contextvars.Context())
        output = await work
        reach(f"stage.{name}")
        loop.store.finish_stage(key, _record(output, time.monotonic() - began))
        return output.state

    return node


def _record(output: Output, seconds: float) -> dict[str, Any]:
    cost = {"episodes": len(output.episodes), **usage_of(output.episodes)}
    return {**output.facts, **cost, "seconds": round(seconds, 3), "state": dict(output.state)}


def _compile(loop: Loop, checkpointer: BaseCheckpointSaver[Any]) -> _Graph:
    graph = StateGraph(State)
    names = list(TURN)
    for name, stage in TURN.items():
        graph.add_node(name, _node(loop, name, stage))
    graph.add_node("report", _node(loop, "report", report))
    graph.add_edge(START, names[0])
    for pair in pairwise(names):
        graph.add_edge(*pair)
    graph.add_conditional_edges("promote", _another_turn, ["start", "report"])
    graph.add_edge("report", END)
    return graph.compile(checkpointer=checkpointer)


def _another_turn(state: State) -> str:
    return "start" if state["turn"] <= state["last"] else "report"


async def evolve(
    workspace: Workspace,
    generations: int,
    progress: Progress,
    practise: bool = True,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Go on with the run that was interrupted, or begin one of so many generations.

    Args:
        practise: Whether a new run practises, or learns from what was recorded alone.
        limits: Those of the settings, where something counts against them already.

    Returns:
        What ``instar evolve --json`` prints.

    Raises:
        WorkspaceError: The workspace belongs to another world or model.
        Busy: Another process has the workspace, or the GPU.
        Stopped: A limit was reached; the same call goes on.
    """
    began = time.monotonic()
    with exclusive(workspace.path):
        limits = _ready(workspace, progress, limits)
        run, new = begin(workspace.store, generations, practise)
        if not new:
            progress.say(f"Going on with {run['run']}, up to turn {run['last']}.")
        await _go(Loop(workspace, progress, limits), run)
        close(workspace.store, run)
        forget(workspace.path / _CHECKPOINTS)
    return summary(workspace, run["run"]) | {"seconds": round(time.monotonic() - began, 1)}


async def evolve_until(
    workspace: Workspace, stage: str, progress: Progress, practise: bool = False
) -> dict[str, Any]:
    """Go on with the open turn up to a stage, or begin a turn; what is done already is not done again.

    Args:
        stage: One of `TURN`.
        practise: Whether a new turn practises, or learns from what was recorded alone.

    Returns:
        Facts of that stage, with ``turn`` and ``generations``.

    Raises:
        UserError: The open turn has done this stage.
        WorkspaceError: As `evolve`, and so are the others.
    """
    with exclusive(workspace.path):
        limits, store = _ready(workspace, progress), workspace.store
        run = open_turn(store, 1, practise, stage)
        turn = current_turn(store, run)
        await _go(Loop(workspace, progress, limits), run, f"g{turn}/{stage}")
        found = {k: v for k, v in (store.stage(f"g{turn}/{stage}") or {}).items() if k != "state"}
    return {"turn": turn, "stage": stage, **found}


def _ready(workspace: Workspace, progress: Progress, limits: Limits | None = None) -> Limits:
    """See that the workspace can evolve, before anything is begun; its limits begin to count, or go on."""
    check(workspace)
    limits = limits or Limits(workspace.config.limits, workspace.path)
    limits.check()
    workspace.store.finish_stage(_IDENTITY, _identity(workspace))
    give_up(workspace, progress)
    leave_adapter(workspace, progress)
    return limits


def check(workspace: Workspace) -> None:
    """See that all that a turn asks for is there and that it fits the workspace; nothing is written.

    Raises:
        UserError: A method or a model is none, or a setting does not fit.
        WorkspaceError: The workspace belongs to another world or model, or the adapter that serves is damaged.
    """
    _belongs(workspace)
    require(workspace.config)
    # All are refused here rather than in the middle of a turn.
    for model in (workspace.models, workspace.model(workspace.config.memory.model)):
        model.require()
    _require_adapter(workspace)


def _require_adapter(workspace: Workspace) -> None:
    """See that the adapter in use can be served, if it is one over the weights that are here."""
    active = workspace.store.active()
    if active is None or active.adapter is None:
        return
    if workspace.base(active.model) == workspace.store.adapter(active.adapter).base:
        workspace.registry.get(active.adapter)


async def _go(loop: Loop, run: State, until: str | None = None) -> None:
    """Let the graph go on with a run, to its end or until a stage is done."""
    workspace, limits = loop.workspace, loop.limits
    assert limits is not None
    async with checkpoints(workspace.path / _CHECKPOINTS) as saver:
        graph = _compile(loop, saver)
        turns = run["last"] - run["turn"] + 1
        config: RunnableConfig = {
            "configurable": {"thread_id": run["run"]},
            "recursion_limit": 20 * len(TURN) * (1 + turns),
        }
        stops = [until.partition("/")[2]] if until else None
        with limits.until_asked():
            async with _gpu(workspace, limits):
                while True:
                    kept = await graph.aget_state(config)
                    begun = None if kept.next else run
                    await graph.ainvoke(begun, config, interrupt_after=stops)
                    # Without its checkpoints the graph goes through earlier turns again.
                    if until is None or loop.store.stage(until) is not None:
                        return


def _identity(workspace: Workspace) -> dict[str, str]:
    """What a workspace learns in, and with: what it holds would mean nothing elsewhere."""
    now = {"namespace": workspace.home.namespace, "model": workspace.config.model.name}
    if workspace.config.agent.outside:
        now["agent"] = "an agent of yours"
    return now


def _belongs(workspace: Workspace) -> None:
    now, before = _identity(workspace), workspace.store.stage(_IDENTITY)
    if before is not None and before != now and runs(workspace.store):
        was = " with ".join(before.values())
        raise WorkspaceError(
            f"{workspace.path} belongs to {was}, not to {' with '.join(now.values())}. "
            "Type --workspace with another folder, or the seed and model it was begun with."
        )


def _gpu(workspace: Workspace, limits: Limits) -> AbstractAsyncContextManager[None]:
    """The lease of the GPU, where the model and its training are here and would use it."""
    here = workspace.models.folder is not None
    if not here or not wants_gpu(workspace.config.model.device):
        return contextlib.nullcontext()
    return leased(workspace.config.limits.wait, limits.check, str(workspace.path))


def summary(workspace: Workspace, run: str) -> dict[str, Any]:
    """Where a workspace stands after a run."""
    active = workspace.store.active()
    reported = workspace.store.stage(f"{run}/report") or {}
    fields = {"id", "seq", "parent", "status", "verdict"}
    found = [g.model_dump(mode="json", include=fields) for g in workspace.store.generations()]
    return {
        "generations": found,
        "active": active.id if active else None,
        "report": reported.get("html"),
        "run": run,
        "summary": reported.get("summary"),
        "answers": last_answers(workspace.store.stages("g")),
        "trained": trained(workspace.store, run),
    }
