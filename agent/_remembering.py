"""What an episode recalls: once at its beginning, and once more when it is stuck."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agent._state import Run, State, utf8
from agent.loops import stuck
from instar.errors import EpisodeFault
from instar.types import Recalled, Step, StopReason

__all__ = ["recall", "recall_again"]


async def recall(state: State, runtime: Runtime[Run]) -> State:
    """Choose memories once, and look for the first time."""
    run = runtime.context
    try:
        observation = utf8(await run.episode.observe())
    except EpisodeFault as fault:
        return {"stop": StopReason.FAULT.value, "error": str(fault)}
    if run.recall is None:
        return {"memories": [], "observation": observation}
    found = await run.recall(run.task, run.tools, run.seed)
    told = found.model_dump(mode="json")
    return {"memories": told["memories"], "bank": told["bank"], "observation": observation}


async def recall_again(run: Run, state: State, done: list[Step]) -> State:
    """What a second recall adds, once in an episode that is stuck."""
    about = "" if run.recall is None or state.get("again") else stuck(done)
    if run.recall is None or not about:
        return {}
    before = [Recalled.model_validate(m) for m in state["memories"]]
    found = await run.recall(run.task, run.tools, run.seed, about, before)
    more = [
        m.model_copy(update={"since": len(done)}).model_dump(mode="json") for m in found.memories
    ]
    bank = found.bank.model_dump(mode="json") if found.bank else None
    return {
        "again": True,
        "memories": [*state["memories"], *more],
        "bank": state.get("bank") or bank,
    }
