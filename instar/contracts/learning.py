"""Contracts of what learns: memory, curriculum, training."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from pydantic import JsonValue

from instar.contracts.acting import ChatModel
from instar.types import (
    Adapter,
    MemoryItem,
    MemoryOp,
    Score,
    Step,
    Task,
    TaskDraft,
    ToolCall,
    ToolSpec,
    Trajectory,
)

__all__ = [
    "Choose",
    "Curator",
    "Dataset",
    "Distiller",
    "ExploringProposer",
    "Forgetter",
    "Join",
    "ModelDistiller",
    "ModelProposer",
    "ProposalContext",
    "Proposer",
    "Selector",
    "Stateful",
    "Trainer",
    "Walk",
    "Walked",
]


@runtime_checkable
class Stateful(Protocol):
    """What can be saved in the middle of a run and go on with identical draws."""

    def state_dict(self) -> dict[str, Any]:
        """State as JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        ...


@runtime_checkable
class Distiller(Stateful, Protocol):
    """Turns trajectories into changes of the memory bank."""

    def distill(
        self, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes that the trajectories justify, given the items visible now."""
        ...


@runtime_checkable
class ModelDistiller(Stateful, Protocol):
    """A distiller that asks a chat model, and counts in ``answers`` of its state what it could use.

    Attributes:
        example: An answer of the form that it asks for, and that it would keep.
    """

    example: str

    async def distill_with(
        self, model: ChatModel, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes that the model makes of the trajectories, given the items visible now.

        Raises:
            ModelFault: The model could not be reached at all.
        """
        ...


@runtime_checkable
class Forgetter(Stateful, Protocol):
    """Lets items of the bank go."""

    def sweep(self, items: Sequence[MemoryItem], clock: float) -> list[MemoryOp]:
        """Changes that end or weaken items, never pinned ones.

        Args:
            items: Those visible now, in the order of their first writing.
            clock: Now; in the loop the number of episodes practised. It never goes back.
        """
        ...


@runtime_checkable
class Selector(Stateful, Protocol):
    """Chooses which tasks to practise."""

    def select(self, pool: Sequence[Task], k: int, rng: random.Random) -> list[Task]:
        """``k`` tasks of the pool (fewer if it is smaller), without repetition."""
        ...

    def update(self, attempts: Mapping[str, Sequence[Score]], groups: Mapping[str, str]) -> None:
        """Learn from scored attempts.

        Args:
            attempts: Scores per task id, at least two a task; unknown ones are ignored.
            groups: Group of each task id.

        Raises:
            ConfigError: A task has fewer than two attempts.
        """
        ...


Join = Callable[[Task, Task], TaskDraft]
"""A world's way to ask for two of its tasks in one; a ``ValueError`` says why these two do not fit."""


class ProposalContext(Protocol):
    """What a proposer may look at: practise only.

    Attributes:
        dials: Values of each parameter that sets the difficulty, easiest first; the world's hint.
        content: Parameters that the world draws anew where a draft leaves them out.
        hints: What the selector asks for, by group: ``simplify`` what is too hard, ``diversify``
            what is too easy; empty where it asks for nothing.
        join: How the world makes one task of two; None where it cannot.
    """

    failures: Sequence[Trajectory]
    successes: Sequence[Trajectory]
    tools: Sequence[ToolSpec]
    recent: Sequence[Task]
    dials: Mapping[str, Sequence[JsonValue]]
    content: Sequence[str]
    hints: Mapping[str, str]
    join: Join | None


@runtime_checkable
class Proposer(Stateful, Protocol):
    """Makes drafts of new practise tasks."""

    def propose(self, context: ProposalContext, n: int, rng: random.Random) -> list[TaskDraft]:
        """At most ``n`` drafts; each still has to pass the checks."""
        ...


@runtime_checkable
class ModelProposer(Stateful, Protocol):
    """A proposer that asks a chat model, and counts in ``answers`` of its state what it could use.

    Attributes:
        example: An answer of the form that it asks for, and that it would keep.
    """

    example: str

    async def propose_with(
        self, model: ChatModel, context: ProposalContext, n: int, rng: random.Random
    ) -> list[TaskDraft]:
        """At most ``n`` drafts that the model wrote; each still has to pass the checks.

        Raises:
            ModelFault: The model could not be reached at all.
        """
        ...


Choose: TypeAlias = Callable[[Sequence[ToolSpec], Sequence[Step], str], Awaitable[ToolCall | None]]
"""The next call of a walk, given the tools, the steps so far and what there is to see; None ends it."""


class Walked(NamedTuple):
    """What became of a walk.

    Attributes:
        steps: Its calls with their answers, the last word of the world included.
        drafts: Tasks that it did, as the world reads it; their parent is the task of its episode.
    """

    steps: tuple[Step, ...]
    drafts: tuple[TaskDraft, ...]


class Walk(Protocol):
    """A way to open an episode of a practise task and to walk about in it."""

    async def __call__(self, task: Task, seed: int, choose: Choose, limit: int) -> Walked:
        """Walk, until nothing is chosen, the episode is over or ``limit`` calls are made.

        Raises:
            ValueError: The task is not one for practice.
        """
        ...


@runtime_checkable
class ExploringProposer(Stateful, Protocol):
    """A proposer that tries things out: the draft is what a walk did, and the walk proves it."""

    async def explore(
        self, walk: Walk, context: ProposalContext, n: int, rng: random.Random
    ) -> list[TaskDraft]:
        """At most ``n`` drafts of walks, their family and parameters as the walk gave them."""
        ...


class Dataset(Protocol):
    """Rows to train on, and why the rest was left out.

    Each row is ``{"prompt": [messages], "completion": [message], "tools": [schemas], ...}``.
    """

    rows: Sequence[Mapping[str, Any]]
    dropped: Mapping[str, str]
    hash: str


@runtime_checkable
class Curator(Stateful, Protocol):
    """Chooses what to train on."""

    def curate(self, trajectories: Sequence[Trajectory]) -> Dataset:
        """Rows from trajectories, and the reason for each trajectory that gave none."""
        ...


@runtime_checkable
class Trainer(Protocol):
    """Turns a dataset into an adapter."""

    def train(
        self,
        dataset: Dataset,
        base: Path,
        parent: Path | None,
        out: Path,
        seed: int,
    ) -> Adapter:
        """Train on ``dataset`` over the frozen ``base``; the adapter lies in ``out`` when done.

        Raises:
            UserError: There is nothing to train on, or the machine cannot.
        """
        ...
