"""The stages of prompts: rewritten from what failed in practice, measured by a gate of their own.

They come after the gate of the memory, so that a text is written for an agent that remembers what was
just let in. Episodes of a search are tasks of practice, greedy and with one seed a task; they are
neither learnt from nor trained on. A search that was killed is done again from its beginning: episodes
and answers of the model that were kept come out of the store, and it takes the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.runner import episode_seed
from instar._gating import measured, unmeasured
from instar._loop import Job, Loop, Output, State, draw
from instar._methods import build
from instar._stages import add_generation
from instar.compose import Serving
from instar.contracts import PromptContext, PromptEvolver
from instar.progress import Tally
from instar.types import (
    Message,
    Prompts,
    Reply,
    Sampling,
    Split,
    Status,
    Task,
    ToolSpec,
    Trajectory,
    content_hash,
)

__all__ = ["evolve_prompts", "gate_prompts"]

_POOL = 64
_OFF = "prompts stay as they are (agent.prompt=off)"


async def evolve_prompts(loop: Loop, key: str, state: State) -> Output:
    """Look for better standing instructions for whoever won at the gate of the memory."""
    name = loop.config.agent.prompt
    failed = _failed(loop, state) if name != "off" else []
    if not failed:
        reason = _OFF if name == "off" else "no task failed in the practice of this turn"
        return Output({"prompted": ""}, {"reason": reason, "candidate": None})
    winner = loop.store.generation(state["winner"])
    method: PromptEvolver = build("agent.prompt", name, loop.config)
    pool = loop.workspace.home.tasks(Split.PRACTISE, _POOL, draw(loop.config, key, "pool"))
    with loop.progress.stage(key) as tally:
        trying = _Trying(loop, key, Serving.of(winner), tally)
        context = PromptContext(
            prompts=loop.workspace.prompts(winner.texts),
            failed=failed,
            pool=pool,
            attempt=trying.attempt,
            model=_Kept(loop, key),
            seed=draw(loop.config, key),
        )
        found = await method.evolve(context)
    facts = {**found.facts, "behind": sorted({one.id for one in trying.done})}
    if found.prompts is None:
        reason = str(found.facts.get("reason", "nothing better was found"))
        loop.progress.say(f"{key}: {reason}")
        return Output({"prompted": ""}, {**facts, "reason": reason, "candidate": None}, trying.done)
    made = add_generation(
        loop, state["turn"], winner.id, "prompts", winner.adapter, texts=found.prompts
    )
    loop.progress.say(f"{key}: {made.prompts} is a candidate, after {len(trying.done)} episodes")
    return Output({"prompted": made.id}, {**facts, "candidate": made.id}, trying.done)


async def gate_prompts(loop: Loop, key: str, state: State) -> Output:
    """The winner with new prompts against the winner."""
    candidate, winner = state.get("prompted") or "", state["winner"]
    if not candidate:
        kept = loop.store.stage(f"g{state['turn']}/evolve_prompts") or {}
        reason = kept.get("reason", _OFF)
        return Output({}, {"verdict": unmeasured(reason), "candidate": None})
    return await measured(loop, key, candidate, winner)


def _failed(loop: Loop, state: State) -> list[Task]:
    """Tasks at home that failed in this turn's practice, in the order in which they were practised."""
    found: dict[str, Task] = {}
    for stage in ("practise_1", "practise_2"):
        for one in loop.store.trajectories(stage=f"g{state['turn']}/{stage}", purpose="practise"):
            if one.score.status is Status.FAIL:
                found[one.task.id] = one.task
    return list(found.values())


class _Trying:
    """Episodes with prompts that are tried, each run once."""

    def __init__(self, loop: Loop, key: str, serving: Serving, tally: Tally) -> None:
        self._loop, self._key, self._serving, self._tally = loop, key, serving, tally
        self.done: list[Trajectory] = []

    async def attempt(self, prompts: Prompts, tasks: Sequence[Task]) -> list[Trajectory]:
        """Do each task once; see `instar.contracts.Attempt`."""
        loop = self._loop
        loop.store.save_tasks(tasks)
        jobs = [Job(t, episode_seed(draw(loop.config, self._key), t)) for t in tasks]
        serving = self._serving.model_copy(update={"prompts": prompts})
        solve = loop.workspace.solver(serving, loop.workspace.home, "prompt")
        stage = f"{self._key}/{content_hash(prompts.system, 8)}"
        found = await loop.collect(stage, jobs, solve, self._tally)
        known = {one.id for one in self.done}
        self.done += [one for one in found if one.id not in known]
        return found


class _Kept:
    """The model that rewrites; an answer that came is kept, and never asked for twice."""

    def __init__(self, loop: Loop, key: str) -> None:
        self._model = loop.adviser(loop.config.agent.prompt_model)
        self._loop, self._key = loop, key
        self.name, self.provider = self._model.name, self._model.provider

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        """Answer once; see `instar.contracts.ChatModel`."""
        asked = [list(messages), sampling.model_dump(mode="json")]
        key = f"{self._key}/answer/{content_hash(asked)}"
        kept = self._loop.store.stage(key)
        if kept is not None:
            return Reply.model_validate(kept["reply"])
        reply = await self._model.complete(messages, tools, sampling)
        self._loop.store.finish_stage(key, {"reply": reply.model_dump(mode="json")})
        return reply
