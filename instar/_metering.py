"""A chat model whose use counts against the limits of a run."""

from __future__ import annotations

from collections.abc import Sequence

from instar.contracts import ChatModel
from instar.limits import Limits
from instar.types import Message, Reply, Sampling, ToolSpec

__all__ = ["Metered"]


class Metered:
    """The model; its limits end a run between two pieces of work.

    Args:
        model: Who answers.
        limits: Told of what each answer used.
    """

    def __init__(self, model: ChatModel, limits: Limits) -> None:
        self._model, self._limits = model, limits
        self.name, self.provider = model.name, model.provider

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        """Answer once; see `instar.contracts.ChatModel`."""
        reply = await self._model.complete(messages, tools, sampling)
        self._limits.spend(reply.usage)
        return reply
