"""Which conversation a request goes on with, told by the messages that it repeats.

A chat completion carries the whole history. A conversation waits under a digest of its history up to
the last reply; a request whose first messages have that digest goes on with it and takes it out, so
that two conversations that look alike so far, or two calls at once, never become one. System messages are left
out, for many carry the time of day; of replies counts what agents send back alike: words and calls.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from instar.service._recording import Looked
from instar.types import Trajectory

__all__ = ["SYSTEM", "Call", "Conversation", "Conversations", "after", "digests", "text_of"]

_MOST = 5_000
SYSTEM = ("system", "developer")
# What open models think aloud; many agents do not send it back.
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


@dataclass(eq=False)
class Conversation:
    """A session as the gateway knows it.

    Attributes:
        id: Of the session.
        tail: Digest of the history that is on record.
        text: The memories in their fence, put into every call; empty where there are none.
        looked: What it recalled, until that is kept.
        fresh: Whether nothing is on record yet.
        opened: The session as it began, until it is kept; the lane's.
    """

    id: str
    tail: bytes = b""
    text: str = ""
    looked: Looked | None = None
    fresh: bool = True
    opened: Trajectory | None = None


@dataclass(eq=False)
class Call:
    """One chat completion on its way.

    Attributes:
        body: What is sent on: the caller's bytes, or with memories put in.
        conversation: None where it is not recorded, or no more.
        mark: Digest of the history that it sent.
        new: What of that is not on record yet.
        by_name: Whether the caller says which session it is.
        told: Whether memories were put in.
        session: Id of the session, which the answer tells.
    """

    body: bytes
    conversation: Conversation | None = None
    mark: bytes = b""
    new: Sequence[dict[str, Any]] = ()
    by_name: bool = False
    told: bool = False

    def __post_init__(self) -> None:
        self.session = self.conversation.id if self.conversation else None


class Conversations:
    """Conversations between two calls; those that waited longest are forgotten.

    Args:
        most: How many may wait.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._waiting: OrderedDict[bytes, list[Conversation]] = OrderedDict()

    def take(self, marks: Sequence[bytes], messages: Sequence[Any]) -> Conversation | None:
        """The conversation that a history goes on with, or repeats after a failure.

        Args:
            marks: Of the messages, by `digests`.
        """
        for at in range(len(marks), 0, -1):
            if at == len(marks) or messages[at - 1].get("role") == "assistant":
                found = self._waiting.get(marks[at - 1])
                if found:
                    return self._first(marks[at - 1], found)
        return None

    def _first(self, mark: bytes, found: list[Conversation]) -> Conversation:
        first = found.pop(0)
        if not found:
            del self._waiting[mark]
        return first

    def put(self, mark: bytes, conversation: Conversation) -> None:
        """Let a conversation wait for its next call."""
        self._waiting.setdefault(mark, []).append(conversation)
        self._waiting.move_to_end(mark)
        while len(self._waiting) > self._most:
            self._waiting.popitem(last=False)


def digests(scope: str, messages: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """For each message one of the history that ends with it, system messages left out.

    Args:
        scope: Histories of different scopes have different digests.
    """
    mark, found = blake2b(scope.encode(errors="replace"), digest_size=16).digest(), []
    for message in messages:
        mark = after(mark, message)
        found.append(mark)
    return found


def after(mark: bytes, message: Mapping[str, Any]) -> bytes:
    """The digest of a history that goes on by a message."""
    if message.get("role") in SYSTEM:
        return mark
    return blake2b(mark + _plain(message), digest_size=16).digest()


def _plain(message: Mapping[str, Any]) -> bytes:
    role = message.get("role")
    if role == "assistant":
        words = _THOUGHT.sub("", text_of(message)).strip()
        kept: list[Any] = [role, words, [_call(c) for c in message.get("tool_calls") or ()]]
    else:
        kept = [role, message.get("content"), message.get("tool_call_id")]
    return json.dumps(kept, sort_keys=True).encode()


def _call(call: Any) -> Any:
    """A call whatever the spaces in its arguments."""
    try:
        function = call["function"]
        return [call.get("id"), function["name"], json.loads(function["arguments"])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return call


def text_of(message: Mapping[str, Any]) -> str:
    """The words of a message, those of its parts where it has some."""
    content = message.get("content")
    if isinstance(content, list):
        parts = (p.get("text") for p in content if isinstance(p, dict))
        return "\n".join(p for p in parts if isinstance(p, str))
    return content if isinstance(content, str) else ""
