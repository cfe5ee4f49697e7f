"""One session: what it recalls, and what it reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instar_client._client import Client

__all__ = ["Memories", "Memory", "Session"]


@dataclass(frozen=True)
class Memory:
    """One memory."""

    id: str
    label: str
    title: str
    when: str
    content: str


@dataclass(frozen=True)
class Memories:
    """What was recalled; falsy where there is nothing to show.

    Attributes:
        text: The memories as data in a fence, to be put in front of the agent; empty in shadow.
        memories: One by one.
    """

    text: str = ""
    memories: tuple[Memory, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.text)


class Session:
    """A session of an agent; make one with `Client.session`.

    Args:
        patience: Seconds that each of its calls waits for the service; by default a recall waits for
            the client's budget, and reports go out behind the agent's back.
    """

    def __init__(self, client: Client, begun: Future[Any], patience: float | None = None) -> None:
        self._client, self._begun, self._patience = client, begun, patience

    @property
    def id(self) -> str | None:
        """Name of the session with the service; None while it is not known, or never was."""
        if not self._begun.done():
            return None
        found = self._begun.result()
        return str(found["session"]) if found else None

    def recall(self, about: str = "") -> Memories:
        """Memories for the task; none where the service is gone, slow or has none.

        Args:
            about: What the agent is stuck at, for a second look.
        """
        # Of both requests together.
        until = time.monotonic() + (self._patience or self._client.budget)
        if not self._client.wait(self._begun, until):
            return Memories()
        found = self._client.wait(self._send("recall", {"about": about}), until)
        if not isinstance(found, Mapping) or found.get("shadow"):
            return Memories()
        fields = ("id", "label", "title", "when", "content")
        told = tuple(Memory(**{k: str(m[k]) for k in fields}) for m in found.get("memories", ()))
        return Memories(str(found.get("text", "")), told)

    def report(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        model: str = "",
        **usage: Any,
    ) -> None:
        """Say what happened since the last report.

        Args:
            messages: In OpenAI's form: of the assistant with ``tool_calls``, of tools, of users.
            tools: At the agent's hand, in OpenAI's form, where they were not known when it began.
            model: What answered, where that was not known when it began.
            usage: ``prompt_tokens``, ``completion_tokens``, ``cost`` in US dollars.
        """
        if messages:
            known: dict[str, Any] = {"tools": list(tools)} if tools else {}
            known |= {"model": model} if model else {}
            self._send("steps", {"messages": list(messages), **known, **usage})

    def outcome(
        self,
        status: str,
        value: float | None = None,
        reason: str = "",
        source: str = "user",
        correct: bool = False,
    ) -> None:
        """Say how it went: ``pass``, ``fail`` or ``unknown``; it may come late, and be corrected.

        Args:
            value: Graded, from 0 to 1.
            source: ``user``, or ``program`` where a program has checked it.
            correct: Whether it takes the place of an outcome that was reported.
        """
        body: dict[str, Any] = {"status": status, "reason": reason, "source": source}
        body |= {"value": value} if value is not None else {}
        self._send("outcome", body | ({"correct": True} if correct else {}))

    def _send(self, what: str, body: Mapping[str, Any]) -> Future[Any]:
        """Send something of this session, once it has begun."""
        done = self._client.send_of(self._begun, what, body)
        if self._patience is not None:
            self._client.wait(done, time.monotonic() + self._patience)
        return done
