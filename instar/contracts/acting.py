"""Contracts of what acts: models, tools, episodes, worlds, recall, judges, test-time strategies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from instar.types import (
    Message,
    Reading,
    Recalled,
    Recollection,
    Reply,
    Result,
    Sampling,
    Score,
    Split,
    Task,
    ToolSpec,
    Trajectory,
)

__all__ = [
    "ChatModel",
    "Episode",
    "Explorable",
    "Probe",
    "Recall",
    "Scaler",
    "Solve",
    "Toolset",
    "Verifier",
    "World",
]

Solve: TypeAlias = Callable[[Task, int], Awaitable[Trajectory]]
"""Run one episode of a task with a seed and return its scored record."""


class Recall(Protocol):
    """Chooses memories."""

    async def __call__(
        self,
        task: Task,
        tools: Sequence[ToolSpec],
        seed: int,
        about: str = "",
        before: Sequence[Recalled] = (),
    ) -> Recollection:
        """Memories for a task, the tools at hand and the episode's seed.

        Args:
            about: What an episode that is stuck looks for instead of the instruction.
            before: What it has recalled already.
        """
        ...


@runtime_checkable
class ChatModel(Protocol):
    """A model that answers OpenAI chat messages, with tool calls."""

    name: str
    provider: str

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        """Answer once.

        Raises:
            ModelFault: The model could not be reached after all retries.
        """
        ...


@runtime_checkable
class Toolset(Protocol):
    """Tools over one shared state."""

    def tools(self) -> list[ToolSpec]:
        """The tools at hand."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool; a mistake of the caller comes back as text with ``error`` set.

        Raises:
            EpisodeFault: The infrastructure failed.
        """
        ...


@runtime_checkable
class Episode(Protocol):
    """One live attempt at a task."""

    toolset: Toolset

    async def observe(self) -> str:
        """What there is to see now."""
        ...

    def done(self) -> bool:
        """Whether the world has ended the episode."""
        ...

    async def finish(self, answer: str) -> Result:
        """Take the agent's word that it is done; the text is the world's last feedback."""
        ...

    async def score(self) -> Score:
        """Judge the final state; may be asked once, after the last call."""
        ...

    async def close(self) -> None:
        """Let go of everything the episode holds."""
        ...


@runtime_checkable
class World(Protocol):
    """Tasks, and the episodes in which they are attempted."""

    id: str
    namespace: str

    def tasks(self, split: Split, n: int, seed: int) -> list[Task]:
        """At most ``n`` distinct tasks of a split, the same for the same seed."""
        ...

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt."""
        ...


@runtime_checkable
class Explorable(Protocol):
    """A world that can say which of its tasks a walk did; worlds need not."""

    def walkable(self, task: Task) -> bool:
        """Whether what is done in an episode of this task can be read."""
        ...

    def walked(self, walk: Trajectory) -> list[Reading]:
        """The practise tasks of this world that a walk did, without that of its own episode."""
        ...


@runtime_checkable
class Probe(Protocol):
    """Tempts the agent in an episode of any world, and tells whether it gave in."""

    def tempt(self, episode: Episode, seed: int) -> Episode:
        """The same episode with a temptation in it."""
        ...

    def gave_in(self, trajectory: Trajectory) -> bool | None:
        """Whether the agent did what it must not; None where the episode broke."""
        ...


@runtime_checkable
class Verifier(Protocol):
    """Scores trajectories where no program can judge."""

    async def score(self, task: Task, trajectories: Sequence[Trajectory]) -> list[Score]:
        """One score a trajectory; what cannot be judged is unknown."""
        ...


@runtime_checkable
class Scaler(Protocol):
    """A test-time strategy: several attempts at a task, one answer."""

    async def solve(self, attempt: Solve, task: Task, seed: int) -> Trajectory:
        """One trajectory, with the model calls, tokens and time of every attempt that was made."""
        ...
