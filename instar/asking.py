"""Asking a chat model: what an answer must be to be kept, and how many were.

An answer is read strictly or not at all: what does not have exactly the form that was asked for is
refused whole and counted by reason, so that the share of answers that could be used is known. A
request that fails is counted too; only where all of them fail is the model taken for gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from pydantic import Field, PositiveInt

from instar import tracing
from instar.contracts import ChatModel
from instar.errors import ModelFault
from instar.types import Message, Record, Sampling

__all__ = ["Answers", "Asking", "Counting", "Refused", "Request", "fenced", "fenced_list"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_FENCE = re.compile(r"^```(?:json)?[ \t]*\n(.*?)\n```[ \t]*$", re.MULTILINE | re.DOTALL)


class Asking(Record):
    """Settings of whoever asks a model.

    Attributes:
        temperature: 0 decodes greedily, so that the same records give the same memories.
        max_tokens: Room for an answer.
        characters: How much of one record is shown; its middle is left out beyond that.
    """

    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: PositiveInt = 1024
    characters: Annotated[int, Field(ge=200)] = 8000


class Refused(Exception):
    """An answer of which nothing is kept.

    Args:
        reason: One of few, to be counted.
        detail: For the log.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Request(NamedTuple, Generic[T]):
    """One question.

    Attributes:
        read: Makes something of an answer, or raises `Refused`.
        seed: Belongs to the request.
    """

    messages: list[Message]
    read: Callable[[str], T]
    seed: int = 0


class Answers:
    """Asks, and counts what became of it.

    Attributes:
        asked: Requests made.
        parsed: Answers that were kept, those that say that there is nothing to remember included.
        tokens: Used in prompts and completions.
        refused: Requests of which nothing was kept, by reason.
    """

    def __init__(self) -> None:
        self.asked = self.parsed = self.tokens = 0
        self.refused: Counter[str] = Counter()

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        refused = dict(sorted(self.refused.items()))
        return {
            "asked": self.asked,
            "parsed": self.parsed,
            "tokens": self.tokens,
            "refused": refused,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self.asked, self.parsed, self.tokens = (state[k] for k in ("asked", "parsed", "tokens"))
        self.refused = Counter(state["refused"])

    async def ask(
        self, model: ChatModel, requests: Iterable[Request[T]], settings: Asking, at_once: int
    ) -> list[T]:
        """What could be kept, in the order of the requests.

        Args:
            model: Who is asked.
            requests: Taken one by one, each when there is room for it.
            settings: How to ask.
            at_once: Requests at a time.

        Raises:
            ModelFault: All of several requests failed, or the only one.
        """
        kept: dict[int, T] = {}
        faults: list[ModelFault] = []
        before = self.asked
        queue = enumerate(requests)

        async def work() -> None:
            for place, request in queue:
                try:
                    kept[place] = await self._one(model, request, settings)
                except ModelFault as fault:
                    self.refused["the request failed"] += 1
                    faults.append(fault)
                except Refused as refusal:
                    self.refused[refusal.reason] += 1
                    _LOG.info("answer refused, %s: %s", refusal.reason, refusal.detail)

        workers = [asyncio.create_task(work()) for _ in range(at_once)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        if faults and len(faults) == self.asked - before:
            raise faults[0]
        return [kept[place] for place in sorted(kept)]

    async def _one(self, model: ChatModel, request: Request[T], settings: Asking) -> T:
        self.asked += 1
        sampling = Sampling(
            temperature=settings.temperature, max_tokens=settings.max_tokens, seed=request.seed
        )
        reply = await tracing.chat(model, request.messages, (), sampling)
        self.tokens += reply.usage.tokens
        found = request.read(reply.content)
        self.parsed += 1
        return found


def fenced(text: str) -> list[dict[str, Any]]:
    """The objects of the one fenced JSON list with which an answer ends; thoughts may precede it.

    Raises:
        Refused: There is no such list.
    """
    blocks = list(_FENCE.finditer(text.strip()))
    if len(blocks) != 1 or blocks[0].end() != len(text.strip()):
        raise Refused("not one fenced list at the end", text[-200:])
    try:
        found = json.loads(blocks[0].group(1))
    except (ValueError, RecursionError) as error:
        raise Refused("not JSON", str(error)) from error
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Refused("not a list of objects", text[-200:])
    return found


def fenced_list(text: str) -> list[dict[str, str]]:
    """As `fenced`, of objects that hold text alone.

    Raises:
        Refused: There is no such list, or its objects hold something other than text.
    """
    found = fenced(text)
    if not all(isinstance(value, str) for entry in found for value in entry.values()):
        raise Refused("a value is not text", text[-200:])
    return found


class Counting:
    """A distiller that keeps nothing but the counts of its answers."""

    def __init__(self) -> None:
        self._answers = Answers()

    def state_dict(self) -> dict[str, Any]:
        """Counts of the answers so far."""
        return {"answers": self._answers.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._answers.load_state_dict(state["answers"])
