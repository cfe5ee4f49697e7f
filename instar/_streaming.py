"""The stream protocol: an arm that learns as it goes, each episode scored before it is learnt from.

The arm works in a generation of its own, which sees what the measured one sees and what the stream
has taught so far; it never serves. What an episode taught is written after the episode's line, so
a run that broke off first learns what its last line had not yet taught.

The figures of a run are always by the world's own score. With ``memory.judge`` distillers are told
how an episode went by that verifier instead, as a method does that has no world to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.runner import Line
from instar._loop import Loop
from instar._reflecting import distil
from instar.auditing import make_judge
from instar.types import Generation, GenerationStatus, Score, Split, Trajectory

__all__ = ["Stream"]


class Stream:
    """What one arm of one run learns.

    Args:
        loop: Where it is kept.
        run: Name of the run.
        label: Of the arm within the run.
        generation: The one that the arm starts from.

    Raises:
        UnknownName: The settings name a judge that does not exist.
    """

    def __init__(self, loop: Loop, run: str, label: str, generation: Generation) -> None:
        self._loop, self._key = loop, f"{run}/{label}"
        self._judge = make_judge(loop.workspace)
        name = f"{run}-{label.replace(':', '-')}"
        made = generation.child(name, status=GenerationStatus.RETIRED)
        known = {g.id for g in loop.store.generations()}
        if made.id not in known:
            loop.store.add_generation(made)
        self.generation = loop.store.generation(made.id)

    async def catch_up(self, lines: Sequence[Line]) -> None:
        """Learn from episodes that an earlier part of the run finished; again is no harm."""
        for line in lines:
            await self.learn(line)

    async def learn(self, line: Line) -> None:
        """Learn from one episode, once."""
        task, attempt = line.key[1:]
        self._loop.store.save_trajectory(line.trajectory, stage=self._key)
        # Distillers read practise only. In a stream a task is practised once it has been scored;
        # what it taught is seen by this generation and by no other.
        practised = line.trajectory.task.model_copy(update={"split": Split.PRACTISE})
        score = await self._score(f"{self._key}/{task}/{attempt}/judged", line.trajectory)
        lived = line.trajectory.model_copy(update={"task": practised, "score": score})
        for name in self._loop.config.memory.distill:
            key = f"{self._key}/{task}/{attempt}/{name}"
            await distil(self._loop, key, name, [lived], self.generation.id, self._key)

    def answers(self) -> dict[str, Any]:
        """What became of the answers of the model so far, by distiller that asks one."""
        plans = self._loop.store.stages(f"{self._key}/").items()
        states = {key.rpartition("/")[2]: plan.get("state", {}) for key, plan in plans}
        return {name: s["answers"] for name, s in states.items() if "answers" in s}

    async def _score(self, key: str, lived: Trajectory) -> Score:
        """How the episode went, as distillers are told; a verdict is asked for once and kept."""
        if self._judge is None:
            return lived.score
        kept = self._loop.store.stage(key)
        if kept is None:
            (score,) = await self._judge.score(lived.task, [lived])
            kept = {"score": score.model_dump(mode="json")}
            self._loop.store.finish_stage(key, kept)
        return Score.model_validate(kept["score"])
