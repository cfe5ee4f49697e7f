"""House Rules for any agent: a coroutine that gets the request and may call tools.

    async def agent(request, seen, tools, call):
        result = await call("look", {"record": "312"})
        ...
        return "what I did"

    world = HouseRules(house=7, web_share=0.0)
    lived = await play(world, agent, world.tasks(Split.PRACTISE, 100, seed=0))
    print(learning(lived))

Nothing here needs an agent, a model or a workspace of Instar's. Each episode comes back as a
trajectory, which `benchmarks.houses.learning` and every report of Instar's can read.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from instar.contracts import Episode, World
from instar.types import (
    Prompts,
    Result,
    Step,
    StopReason,
    Task,
    ToolCall,
    ToolSpec,
    Trajectory,
    Usage,
    content_hash,
)

__all__ = ["Act", "Player", "play"]

Act: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[Result]]
"""Call a tool by name; mistakes and refusals come back as text with ``error`` set."""

Player: TypeAlias = Callable[[str, str, Sequence[ToolSpec], Act], Awaitable[str | None]]
"""An agent: request, first observation, tools and how to call them; its last words come back."""

_STEPS = 100


class _Over(Exception):
    """The case is over, or the agent has no calls left."""


class _Attempt:
    """An episode that writes down what is done in it."""

    def __init__(self, episode: Episode, limit: int) -> None:
        self.episode, self._limit = episode, limit
        self.steps: list[Step] = []
        self.stop = StopReason.FINISHED
        self.seen = ""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Make a call, unless the case is over or too many were made."""
        if self.episode.done() or len(self.steps) >= self._limit:
            self.stop = StopReason.WORLD_DONE if self.episode.done() else StopReason.STEPS
            raise _Over
        result = await self.episode.toolset.call(name, arguments)
        self._note(name, arguments, result)
        return result

    async def finish(self, answer: str) -> None:
        """Say that it is done; what the house answers is part of the record."""
        if self.episode.done():
            self.stop = StopReason.WORLD_DONE
        elif self.stop is StopReason.FINISHED:
            self._note("finish", {"answer": answer}, await self.episode.finish(answer))

    def _note(self, name: str, arguments: Mapping[str, Any], result: Result) -> None:
        made = ToolCall(id=f"call{len(self.steps)}", name=name, arguments=dict(arguments))
        self.steps.append(Step(observation=self.seen, calls=(made,), results=(result,)))
        self.seen = result.observation or result.text


async def play(
    world: World,
    agent: Player,
    tasks: Sequence[Task],
    seed: int = 0,
    limit: int = _STEPS,
    after: Callable[[Trajectory], None] | None = None,
    name: str = "agent",
    usage: Callable[[], Usage] | None = None,
) -> list[Trajectory]:
    """Let an agent attempt tasks, one after the other, in the order given.

    Args:
        seed: Of every episode; it draws the records that are not asked for.
        limit: Calls an episode. What was done by then is judged as it stands.
        after: Told of each episode when it is over; a place to learn.
        name: What the trajectories call the agent.
        usage: What the agent's model calls used since this was last asked, where that is known.
    """
    lived = []
    for task in tasks:
        episode = await world.open(task, seed)
        try:
            lived.append(await _attempt(episode, agent, task, seed, limit, name, usage))
        finally:
            await episode.close()
        if after is not None:
            after(lived[-1])
    return lived


async def _attempt(
    episode: Episode,
    agent: Player,
    task: Task,
    seed: int,
    limit: int,
    name: str,
    usage: Callable[[], Usage] | None,
) -> Trajectory:
    started = time.time()
    attempt = _Attempt(episode, limit)
    tools = episode.toolset.tools()
    attempt.seen = await episode.observe()
    answer = ""
    with contextlib.suppress(_Over):
        answer = await agent(task.instruction, attempt.seen, tools, attempt.call) or ""
    await attempt.finish(answer)
    return Trajectory(
        id=content_hash([task.id, seed, name], 16),
        task=task,
        seed=seed,
        generation=name,
        model=name,
        provider="own",
        prompts=Prompts(name="own", system=""),
        tools=tuple(tools),
        steps=tuple(attempt.steps),
        stop=attempt.stop,
        answer=answer,
        score=await episode.score(),
        usage=usage() if usage else Usage(),
        started=started,
        seconds=time.time() - started,
    )
