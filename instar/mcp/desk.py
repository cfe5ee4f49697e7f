"""What a client of MCP is given: memories for a task, a place to leave one, and a word on how it went.

All of it is for one agent and, if so, one subject, named when the desk is opened, so that no client can
ask for those of another. What a client saves is text of unknown origin: it goes into quarantine, where
practice alone may show it, and the next turns decide by the rules of its origin whether it is ever recalled.
"""

from __future__ import annotations

from dataclasses import dataclass

from instar._exchange import first_generation
from instar._taken_back import allowed
from instar.compose import Workspace
from instar.errors import UserError
from instar.service import shapes
from instar.service.sessions import NoSession, Sessions, place
from instar.types import MemoryItem, MemoryKind, MemoryOp, MemoryStatus, OpKind, Origin
from memory.distill.base import stable_id
from memory.fit import complaint

__all__ = ["Desk", "Reported", "Saved", "Searched"]


@dataclass(frozen=True)
class Searched:
    """What was recalled.

    Attributes:
        session: Whose outcome can be told; in it one can look again.
        text: The memories as data in a fence; empty where there are none.
        memories: Their ids.
    """

    session: str
    text: str
    memories: list[str]


@dataclass(frozen=True)
class Saved:
    """A memory that was saved, or was there.

    Attributes:
        status: ``quarantined`` until evidence or its origin speaks for it.
    """

    memory: str
    status: str


@dataclass(frozen=True)
class Reported:
    """An outcome that is on record."""

    session: str
    status: str


class Desk:
    """Sessions and memories of one agent.

    Args:
        workspace: Open; it stays the caller's to close.
        agent: Whose experience it is.
        subject: Whom its sessions are about, if all are about one.
        shared: Whether several clients come here, who then have to say which session they mean; of a
            client that is alone it is the last one.

    Raises:
        UserError: The agent or the subject cannot be the name of one.
    """

    def __init__(
        self, workspace: Workspace, agent: str, subject: str | None = None, shared: bool = False
    ) -> None:
        for name in (agent, subject):
            if name is not None and not shapes.is_name(name):
                raise UserError(f"{name!r} is no name: use letters, digits and ._@+-")
        self._workspace, self._agent, self._subject = workspace, agent, subject
        self._place = place(agent, subject)
        self._sessions, self._shared = Sessions(workspace), shared
        self._last: tuple[str, str] | None = None

    async def search(
        self, task: str, about: str = "", k: int | None = None, session: str | None = None
    ) -> Searched:
        """Recall for a task; it begins a session, unless it goes on with one.

        Args:
            about: What the agent is stuck at, for another look in a session.
            k: At most so many; the settings may allow fewer.
            session: The one to go on with; by default a client that is alone goes on with its last one
                as long as the task is the same.

        Raises:
            UserError: There is no such session, or no task.
        """
        session = self._own(session) or self._same(task) or self._begin(task)
        found = await self._sessions.recall(session, shapes.Asked(about=about, k=k))
        return Searched(session, found.text, [m.id for m in found.memories])

    def _own(self, session: str | None) -> str | None:
        if session and self._sessions.namespace(session) != self._place:
            raise NoSession.named(session)
        return session or None

    def _same(self, task: str) -> str | None:
        return self._last[0] if self._last and self._last[1] == task else None

    def _begin(self, task: str) -> str:
        if not 0 < len(task.strip()) <= shapes.LONGEST_TASK:
            raise UserError(f"Say what the task is, in at most {shapes.LONGEST_TASK:,} characters.")
        asked = shapes.Begin(agent=self._agent, subject=self._subject, task=task)
        session = self._sessions.begin(asked).session
        if not self._shared:
            self._last = (session, task)
        return session

    async def save(self, title: str, when: str, content: str, session: str | None = None) -> Saved:
        """Leave a memory, in one transaction; one that is there already stays as it is.

        Args:
            when: The kind of task that it helps with, worded as such a task is worded.
            session: In which it was learnt; by default the last one, of a client that is alone.

        Raises:
            UserError: A text may not stand in a prompt, a person took this memory back, or there is no such
                session.
            Busy: Nothing has served here yet, and another process is at work.
        """
        session = self._own(session) or (self._last[0] if self._last else None)
        title, when, content = map(self._sessions.redacting.text, (title, when, content))
        item = self._item(title, when, content, session)
        found = complaint(item)
        if found:
            raise UserError(f"This cannot be saved: {': '.join(found)}.")
        store = self._workspace.store
        active = store.active() or await first_generation(self._workspace)
        known = {i.id: i for i in store.items(active.id)}
        if item.id not in known:
            reason = f"saved by {self._agent}" + (f" in {session}" if session else "")
            op = MemoryOp(kind=OpKind.ADD, item=item, reason=reason)
            if not allowed(store, active.id, [op]):
                raise UserError("This is not saved: a person took this memory back.")
            # Not in a candidate, of which there would be one a memory: what is in quarantine changes
            # nothing that a generation shows, and the next candidate inherits it.
            self._workspace.bank.write([op], active.id, f"mcp/{self._agent}")
        return Saved(item.id, known.get(item.id, item).status.value)

    def _item(self, title: str, when: str, content: str, session: str | None) -> MemoryItem:
        return MemoryItem(
            id=stable_id(self._place, when, MemoryKind.LESSON, (), content),
            title=title,
            when=when,
            content=content,
            kind=MemoryKind.LESSON,
            group=self._agent,
            namespace=self._place,
            origin=Origin.USER,
            sources=(session,) if session else (),
            status=MemoryStatus.QUARANTINED,
        )

    def report(
        self, status: str, reason: str = "", session: str | None = None, correct: bool = False
    ) -> Reported:
        """Say how a session went.

        Args:
            status: ``pass``, ``fail`` or ``unknown``.
            session: By default the last one, of a client that is alone.
            correct: Whether it takes the place of another outcome.

        Raises:
            UserError: There is no such session, or it has another outcome.
        """
        session = self._own(session) or (self._last[0] if self._last else None)
        if session is None:
            raise UserError("Say which session: search_memory begins one and names it.")
        told = {"status": status, "reason": reason, "correct": correct}
        self._sessions.outcome(session, shapes.Outcome.model_validate(told))
        return Reported(session, status)
