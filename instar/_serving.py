"""What answers a task: which model, with which memories and which adapter; and the arms of an evaluation."""

from __future__ import annotations

from typing import Self

from instar.errors import UnknownName, UserError
from instar.types import Generation, Prompts, Record

__all__ = ["ARMS", "FOREIGN", "Serving", "arm"]

ARMS = (
    "base",
    "memory",
    "adapter",
    "both",
    "moulted",
    "prompt",
    "whole",
    "placebo_memory",
    "placebo_adapter",
    "false_memory",
    "best_of_n",
)
"""Arms of an evaluation, in the order in which they are shown."""

FOREIGN = 100_000
"""How far the number of the foreign house lies from that of the house at home."""


class Serving(Record):
    """What answers a task.

    Attributes:
        generation: Stamped on every trajectory.
        memory: Generation whose memories are seen; None serves without memory.
        adapter: Name of the adapter; None serves the base model.
        namespace: Whose memories are recalled instead of the task's own, for the placebo.
        shed: Whether memories are seen too that an adapter has made needless.
        planted: Whether something false is remembered too, to measure what that costs.
        model: Name of the model; None is the one of the settings.
        prompts: Evolved prompts; None serves those of the settings.
    """

    generation: str
    memory: str | None = None
    adapter: str | None = None
    namespace: str | None = None
    shed: bool = False
    planted: bool = False
    model: str | None = None
    prompts: Prompts | None = None

    @classmethod
    def of(cls, generation: Generation) -> Self:
        """A generation as it serves."""
        memory = generation.id if generation.memory else None
        return cls(
            generation=generation.id,
            memory=memory,
            adapter=generation.adapter,
            prompts=generation.texts,
        )


def arm(
    name: str, generation: Generation, foreign: str | None = None, placebo: str | None = None
) -> Serving:
    """What an arm of an evaluation serves.

    Args:
        name: One of `ARMS`.
        generation: The generation measured.
        foreign: Namespace of the house in which the placebos learnt.
        placebo: Name of the adapter that was trained there.

    Raises:
        UnknownName: There is no such arm.
        UserError: The world has no foreign house for a placebo.
    """
    if name not in ARMS:
        raise UnknownName("arm", name, ARMS)
    whole = Serving.of(generation)
    bare = Serving(generation=generation.id)
    if name == "placebo_memory":
        if foreign is None:
            raise UserError(f"This world has no foreign house: leave out {name}.")
        return bare.model_copy(update={"memory": whole.memory, "namespace": foreign})
    all_of_it = {"memory": whole.memory, "shed": True}
    return {
        "base": bare,
        "memory": bare.model_copy(update=all_of_it),
        "false_memory": bare.model_copy(update={**all_of_it, "planted": True}),
        "adapter": bare.model_copy(update={"adapter": whole.adapter}),
        "both": whole.model_copy(update={**all_of_it, "prompts": None}),
        "moulted": whole.model_copy(update={"prompts": None}),
        "prompt": bare.model_copy(update={"prompts": whole.prompts}),
        "whole": whole,
        "placebo_adapter": bare.model_copy(update={"adapter": placebo}),
        "best_of_n": bare,
    }[name]
