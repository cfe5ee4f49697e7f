"""Sessions of somebody else's agent: what they recall, what happened in them, how they went.

A session is a live trajectory from its first moment, and each report is one transaction: what was
acknowledged survives a kill, and any process can go on with a session. Namespaces keep agents, and the
subjects of one agent, apart: recall looks in the session's own and in those that the settings share.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

from instar._recalling import withheld
from instar.compose import Serving, Workspace
from instar.errors import UnknownName, UserError
from instar.render import memory_block
from instar.service import shapes
from instar.service._recording import NONE, SHADOW, Looked, begun, place, reported
from instar.service._redacting import Redacting
from instar.types import (
    Prompts,
    Recollection,
    Score,
    ScoreSource,
    Status,
    StopReason,
    Trajectory,
)

__all__ = ["AlreadyScored", "NoSession", "Sessions", "new_id", "place"]


class NoSession(UserError):
    """A session that this service has not begun; names of others are nobody's business."""

    @classmethod
    def named(cls, session: str) -> NoSession:
        """What is said of a session that there is not."""
        return cls(f"There is no session {session[:80]!r} here. Begin one first.")


class AlreadyScored(UserError):
    """An outcome for a session that has another one."""


class Sessions:
    """Sessions over a workspace.

    Args:
        workspace: Open; it stays the caller's to close.
        clock: Seconds since the epoch.
    """

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        self._workspace, self._clock = workspace, clock
        self._prompts: Prompts | None = None
        self.redacting = Redacting(workspace.config.service.redact)

    @property
    def prompts(self) -> Prompts:
        """The texts between which memories are fenced."""
        if self._prompts is None:
            from agent.prompts import load_prompts

            self._prompts = load_prompts(self._workspace.config.agent.prompts)
        return self._prompts

    def begin(self, asked: shapes.Begin) -> shapes.Begun:
        """Open a session; it recalls from the generation that serves now, whatever comes later.

        Raises:
            BadMessage: A tool is none.
            NoSession: It is to be taken up, and there is none of this agent and subject.
        """
        if asked.session is not None:
            lived = self.of(asked.session)
            if lived.task.namespace != place(asked.agent, asked.subject):
                raise NoSession.named(asked.session)
            return shapes.Begun(session=lived.id, generation=lived.generation)
        opened = self.opened(asked, new_id())
        self.keep(opened)
        return shapes.Begun(session=opened.id, generation=opened.generation)

    def opened(self, asked: shapes.Begin, id: str) -> Trajectory:
        """A session that begins now and is not kept yet.

        Raises:
            BadMessage: A tool is none.
        """
        active = self._workspace.store.active()
        generation = active.id if active else NONE
        kept = asked.model_copy(update={"task": self.redacting.text(asked.task)})
        return begun(kept, id, generation, self.prompts, self._clock())

    def keep(
        self,
        opened: Trajectory,
        asked: shapes.Steps | None = None,
        stop: StopReason | None = None,
        looked: Looked | None = None,
    ) -> None:
        """Keep a session that begins, with what happened in it so far; as `report`.

        Raises:
            BadMessage: A message is none.
        """
        lived = opened.model_copy(update=self._with(opened, looked))
        if asked is not None:
            lived = lived.model_copy(update=self._reported(lived, asked, stop))
        self._workspace.store.save_trajectory(lived, stage="live")

    async def recall(self, session: str, asked: shapes.Asked) -> shapes.Recalled:
        """The memories for a session's task, or for what it is stuck at; often none.

        Raises:
            NoSession: There is no such session.
        """
        # Whoever waits for the file does so in a thread: the loop has others to serve.
        lived = await asyncio.to_thread(self.of, session)
        looked = await self.look(lived, asked)
        if looked.memories:
            await asyncio.to_thread(self._change, session, lambda t: self._with(t, looked))
        return looked.told

    async def look(self, lived: Trajectory, asked: shapes.Asked | None = None) -> Looked:
        """What a session recalls."""
        asked = asked or shapes.Asked()
        found, k = await self._recollect(lived, self.redacting.text(asked.about)), asked.k
        shadow = lived.arm == SHADOW
        kept = found.memories[:k]
        # In shadow nothing is shown, and by no draw: it must not look like a memory that was withheld.
        new = () if shadow else kept
        text = memory_block(self.prompts, new)
        told = [
            shapes.Memory(
                label=m.label,
                id=m.item,
                title=m.title,
                when=m.when,
                content=m.content,
                relevance=m.relevance,
            )
            for m in kept
            if m.shown
        ]
        return Looked(shapes.Recalled(memories=told, text=text, shadow=shadow), new, found.bank)

    def _with(self, lived: Trajectory, looked: Looked | None) -> dict[str, Any]:
        """What becomes of a session that is shown memories from now on."""
        if looked is None or not looked.memories:
            return {}
        since = self._turns(lived)
        new = (m.model_copy(update={"since": since}) for m in looked.memories)
        return {"memories": (*lived.memories, *new), "bank": lived.bank or looked.bank}

    def _turns(self, lived: Trajectory) -> int:
        """How many turns are over."""
        return len(lived.steps)

    async def _recollect(self, lived: Trajectory, about: str) -> Recollection:
        """What the generation of a session knows."""
        if lived.generation == NONE:
            return Recollection()
        serving = Serving.of(self._workspace.store.generation(lived.generation))
        if serving.memory is None:
            return Recollection()
        shown = lived.arm != SHADOW
        return await self._workspace.bank.recall(
            lived.task,
            lived.tools,
            as_of=serving.memory,
            seed=lived.seed,
            withholding=withheld(self._workspace.config.memory, "live") if shown else None,
            about=about,
            before=lived.memories,
            shed=serving.shed,
        )

    def namespace(self, session: str) -> str:
        """Whose a session is.

        Raises:
            NoSession: There is no such session.
        """
        return self.of(session).task.namespace

    def report(
        self,
        session: str,
        asked: shapes.Steps,
        stop: StopReason | None = None,
        looked: Looked | None = None,
    ) -> shapes.Recorded:
        """Take down what happened; tools may answer the calls of an earlier report.

        Args:
            stop: Why nothing more came, where that is known.
            looked: What it recalled, shown from here on.

        Raises:
            NoSession: There is no such session.
            BadMessage: A message is none.
        """

        def more(lived: Trajectory) -> dict[str, Any]:
            return {**self._with(lived, looked), **self._reported(lived, asked, stop)}

        lived = self._change(session, more)
        return shapes.Recorded(session=session, steps=len(lived.steps))

    def _reported(
        self, lived: Trajectory, asked: shapes.Steps, stop: StopReason | None
    ) -> dict[str, Any]:
        return reported(lived, asked, stop, self._clock(), self.redacting)

    def outcome(self, session: str, asked: shapes.Outcome) -> shapes.Recorded:
        """Take down how a session went; the same word twice is one.

        Raises:
            NoSession: There is no such session.
            AlreadyScored: It has another outcome, and this one does not say that it corrects it.
        """
        status = Status(asked.status)
        value = asked.value
        if value is None and status is not Status.UNKNOWN:
            value = float(status is Status.PASS)
        source = ScoreSource(asked.source)
        score = Score(
            status=status, value=value, source=source, evidence=self.redacting.text(asked.reason)
        )

        def scored(lived: Trajectory) -> dict[str, Any]:
            known = lived.score.status is not Status.UNKNOWN
            if known and lived.score != score and not asked.correct:
                raise AlreadyScored(
                    f"Session {session} has the outcome {lived.score.status.value}. "
                    'To change it, send "correct": true.'
                )
            return {"score": score, "stop": StopReason.FINISHED}

        lived = self._change(session, scored)
        return shapes.Recorded(session=session, steps=len(lived.steps))

    def worth(self, model: str | None = None) -> shapes.Worth:
        """What experience is worth here, by what practice shows."""
        from instar._worthing import valued

        store = self._workspace.store
        active = store.active()
        items = store.items(active.id) if active else []
        found = valued(store, items, model or self._workspace.config.model.name)
        units = [
            {
                "items": [item.id for item in of],
                "status": of[0].status.value,
                "worth": worth.model_dump(mode="json") if worth else None,
            }
            for of, worth in found.units
        ]
        return shapes.Worth(line=found.line, episodes=found.episodes, units=units)

    def of(self, session: str) -> Trajectory:
        """A session as it is on record.

        Raises:
            NoSession: There is no such session.
        """
        try:
            return _live(self._workspace.store.trajectory(session), session)
        except UnknownName as error:
            raise NoSession.named(session) from error

    def _change(self, session: str, change: Callable[[Trajectory], dict[str, Any]]) -> Trajectory:
        try:
            return self._workspace.store.change_trajectory(
                session, lambda lived: change(_live(lived, session))
            )
        except UnknownName as error:
            raise NoSession.named(session) from error


def _live(lived: Trajectory, session: str) -> Trajectory:
    """The same if it is a session; what was practised is nobody's business."""
    if lived.purpose != "live":
        raise NoSession.named(session)
    return lived


def new_id() -> str:
    """An id for a session."""
    return f"s-{uuid.uuid4().hex}"
