"""Contract of what rewrites prompts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from instar.contracts.acting import ChatModel
from instar.types import Prompts, Task, Trajectory

__all__ = ["Attempt", "PromptContext", "PromptEvolver", "PromptsFound"]

Attempt: TypeAlias = Callable[[Prompts, Sequence[Task]], Awaitable[list[Trajectory]]]
"""Do each of these practise tasks once with these prompts, always with the same seed a task."""


class PromptContext(NamedTuple):
    """What a rewriting may look at and do.

    Attributes:
        prompts: As they serve now.
        failed: Tasks that failed in practice lately, most recent last.
        pool: Other practise tasks, to compare prompts on.
        attempt: Runs episodes.
        model: Is asked for new texts.
        seed: Of every choice.
    """

    prompts: Prompts
    failed: Sequence[Task]
    pool: Sequence[Task]
    attempt: Attempt
    model: ChatModel
    seed: int


class PromptsFound(NamedTuple):
    """What became of a rewriting.

    Attributes:
        prompts: Those to be measured at the gate; None where nothing better was found.
        facts: Counts and scores, as JSON values.
    """

    prompts: Prompts | None
    facts: Mapping[str, Any]


@runtime_checkable
class PromptEvolver(Protocol):
    """Makes better prompts out of what failed."""

    async def evolve(self, context: PromptContext) -> PromptsFound:
        """The best prompts found.

        Raises:
            ModelFault: The model could not be reached at all.
        """
        ...
