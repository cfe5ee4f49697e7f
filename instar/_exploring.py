"""Walks for proposers that explore: an episode is opened, the walk is written down, the world reads it.

A walk is kept with the purpose ``explore``: it was no attempt at anything, so it has no score, is never
trained on and never measured. A draft that a walk gave needs no other witness: the calls of the walk
that belong to it, made once more in an episode of the new task, have to pass the check of that task.
What passed is the task's reference, and is kept in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from instar._loop import Loop, draw
from instar.contracts import Choose, Episode, Explorable, Walked, World
from instar.errors import EpisodeFault
from instar.types import (
    Prompts,
    Score,
    Split,
    Status,
    Step,
    StopReason,
    Task,
    TaskDraft,
    ToolCall,
    Trajectory,
    content_hash,
)

__all__ = ["EXPLORE", "LONGEST", "Ground"]

EXPLORE = "explore"
"""Purpose of walks and of what shows that a task made of one can be done."""
LONGEST = 30
"""Calls in a walk, at most; as in AgentEvolver."""

_WALKER = "walk"


@dataclass
class Ground:
    """Where walks take place, and what each draft stands on.

    Args:
        world: Of the walks; it says of itself which of its tasks a walk did.
        key: Of the round.
        generation: That is serving; walks are written down under it.
    """

    loop: Loop
    world: World
    key: str
    generation: str
    _ways: dict[str, list[tuple[ToolCall, ...]]] = field(default_factory=dict)
    _kept: list[tuple[Trajectory, str]] = field(default_factory=list)

    async def walk(self, task: Task, seed: int, choose: Choose, limit: int) -> Walked:
        """Walk about in an episode of a practise task; see `instar.contracts.Walk`.

        Raises:
            ValueError: The task is not one for practice.
        """
        if task.split is not Split.PRACTISE or not isinstance(self.world, Explorable):
            raise ValueError(f"{task.split} task {task.id}: walks go through practise tasks only")
        self.loop.may_go_on()
        try:
            lived = await self._walk(task, seed, choose, min(limit, LONGEST))
        except EpisodeFault:
            return Walked((), ())
        self._kept.append((lived, f"{self.key}/{EXPLORE}"))
        drafts = []
        for reading in self.world.walked(lived):
            draft = reading.draft.model_copy(
                update={"parents": (task.id,), "reason": f"walk {lived.id} did it"}
            )
            self._ways.setdefault(_name(draft), []).extend(reading.ways)
            drafts.append(draft)
        return Walked(lived.steps, tuple(drafts))

    async def _walk(self, task: Task, seed: int, choose: Choose, limit: int) -> Trajectory:
        started, steps, stop = time.time(), list[Step](), StopReason.STEPS
        episode = await self.world.open(task, seed)
        try:
            tools, seen = episode.toolset.tools(), await episode.observe()
            while len(steps) < limit and not episode.done():
                call = await choose(tools, steps, seen)
                if call is None:
                    break
                seen = await _make(episode, call, seen, steps)
            if episode.done():
                stop = StopReason.WORLD_DONE
            else:
                await _finish(episode, seen, steps)
        finally:
            await episode.close()
        unasked = Score(status=Status.UNKNOWN, evidence="a walk: nothing was asked for")
        lived = self._lived(task, seed, steps, unasked, _WALKER)
        return lived.model_copy(
            update={
                "tools": tuple(tools),
                "stop": stop,
                "started": started,
                "seconds": time.time() - started,
            }
        )

    async def witness(self, draft: TaskDraft, task: Task) -> bool:
        """Whether calls of a walk, made again, pass the check of the task that was made of it."""
        seed = draw(self.loop.config, self.key, task.id, "witness")
        for calls in self._ways.get(_name(draft), ()):
            self.loop.may_go_on()
            try:
                steps, score = await self._again(task, seed, calls)
            except EpisodeFault:
                continue
            if score.status is Status.PASS:
                lived = self._lived(task, seed, steps, score, "reference")
                self._kept.append((lived, f"{self.key}/reference"))
                return True
        return False

    async def _again(
        self, task: Task, seed: int, calls: Sequence[ToolCall]
    ) -> tuple[list[Step], Score]:
        steps: list[Step] = []
        episode = await self.world.open(task, seed)
        try:
            seen = await episode.observe()
            for call in calls:
                if episode.done():
                    break
                seen = await _make(episode, call, seen, steps)
            if not episode.done():
                await _finish(episode, seen, steps)
            return steps, await episode.score()
        finally:
            await episode.close()

    def save(self) -> None:
        """Keep the walks and the references; a task must not be known before its draft is decided on."""
        for lived, stage in self._kept:
            self.loop.store.save_trajectory(lived, stage=stage)
        self._kept.clear()

    def _lived(
        self, task: Task, seed: int, steps: Sequence[Step], score: Score, what: str
    ) -> Trajectory:
        return Trajectory(
            id=content_hash([self.key, what, task.id, seed], 16),
            task=task,
            seed=seed,
            generation=self.generation,
            model=_WALKER,
            provider="none",
            purpose=EXPLORE,
            prompts=Prompts(name=_WALKER, system=""),
            steps=tuple(steps),
            stop=StopReason.FINISHED,
            score=score,
        )


def _name(draft: TaskDraft) -> str:
    return content_hash([draft.world, draft.family, draft.params])


async def _make(episode: Episode, call: ToolCall, seen: str, steps: list[Step]) -> str:
    """Make a call and write it down; what there is to see afterwards."""
    result = await episode.toolset.call(call.name, call.arguments)
    steps.append(Step(observation=seen, calls=(call,), results=(result,)))
    return result.observation or result.text


async def _finish(episode: Episode, seen: str, steps: list[Step]) -> None:
    """Say that it is done: the last word of the world tells what is left undone."""
    said = await episode.finish("")
    call = ToolCall(id=f"call{len(steps)}", name="finish", arguments={"answer": ""})
    steps.append(Step(observation=seen, calls=(call,), results=(said,)))
