"""What the gateway does beside passing on: sessions, recall, records. Nothing in here may stop a call.

All work on the workspace is done in a `Lane`. A call waits for it once, when its session begins, and
no longer than the budget; everything else is put into the lane and not waited for. The bank is used by
the lane alone: what the service is asked goes through it too.
"""

from __future__ import annotations

import asyncio
import queue
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from instar.compose import Workspace
from instar.gateway._conversations import Call, Conversation, Conversations, after, digests
from instar.gateway._lane import Lane, Work
from instar.gateway._laned import LanedSessions
from instar.gateway._replies import Replied, replied
from instar.gateway._requests import Scope, begun, memories_in, newest, scope_of
from instar.gateway.counts import Counts
from instar.service import shapes
from instar.service._messages import BadMessage
from instar.service._recording import Looked
from instar.service.sessions import new_id
from instar.types import StopReason

__all__ = ["Beside"]

_MET = 5_000
_LEAVING = 30.0


class Beside:
    """Memory and records beside the calls of a gateway; used in one event loop.

    Args:
        workspace: Open; it stays the caller's to close.
        counts: Where it is counted what became of calls.
        budget: Seconds that the first call of a session may wait for memories.
        shadow: Recall and record, and show nothing.
    """

    def __init__(
        self, workspace: Workspace, counts: Counts, budget: float = 0.15, shadow: bool = False
    ) -> None:
        self.counts = counts
        self._lane = Lane()
        self._workspace = workspace
        self.sessions = LanedSessions(workspace, self._lane)
        self._budget, self._shadow = budget, shadow
        self._derived = Conversations()
        self._met: OrderedDict[str, Conversation] = OrderedDict()
        self._blank: set[str] = set()

    async def start(self) -> None:
        """Open the bank where it will be wanted, before the first call waits for it."""

        async def warm() -> None:
            if self._workspace.store.active() is not None:
                _ = self._workspace.bank

        try:
            await asyncio.wrap_future(self._lane.put(warm))
        except Exception as error:  # noqa: BLE001 - without a bank the agent goes on
            self.counts.fail(error)

    async def close(self) -> None:
        """Record what is waiting, and stop."""
        await self._lane.close(_LEAVING)

    async def settled(self) -> None:
        """Wait until what was to be recorded so far is."""
        await self._lane.settled()

    # A call begins

    async def begin(self, headers: Mapping[str, str], body: bytes) -> Call:
        """Find or begin the session of a call, and put its memories in.

        Whatever goes wrong, the caller's bytes come back.
        """
        self.counts.calls += 1
        try:
            scope = scope_of(headers, body, self._shadow)
            if scope is None:
                return Call(body)
            of = self._of_name if scope.session else self._of_history
            call = await of(scope, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent goes on
            self.counts.fail(error)
            return Call(body)
        self._put_memories_in(call, scope)
        return call

    async def _of_history(self, scope: Scope, body: bytes) -> Call:
        marks = digests(_place(scope), scope.messages)
        talk = self._derived.take(marks, scope.messages)
        if talk is None:
            talk = self._meet(Conversation(new_id()))
            if not await self._begin(talk, scope):
                return Call(body)
            self.counts.sessions += 1
        return Call(body, talk, marks[-1], newest(scope.messages, marks, talk))

    async def _of_name(self, scope: Scope, body: bytes) -> Call:
        """A call of a session that the caller names: begun at the service, or here."""
        marks = digests(_place(scope), scope.messages)
        talk = self._met.get(scope.session)
        if talk is None:
            talk = self._meet(Conversation(scope.session))
            if not await self._wait_for(talk, self._resuming(talk)):
                self._met.pop(talk.id, None)
                return Call(body)
        new = newest(scope.messages, marks, talk)
        return Call(body, talk, marks[-1], new, by_name=True)

    def _meet(self, talk: Conversation) -> Conversation:
        self._met[talk.id] = talk
        if len(self._met) > _MET:
            self._met.popitem(last=False)
        return talk

    async def _begin(self, talk: Conversation, scope: Scope) -> bool:
        """Begin a session here, and wait for what it recalls unless that was nothing the last time.

        Returns:
            Whether the session may yet be.
        """
        where = _place(scope)
        opening = self._opening(talk, begun(scope), where)
        if where not in self._blank:
            return await self._wait_for(talk, opening)
        # What has come to be known since is shown from the next call on, as what comes late is.
        found = asyncio.wrap_future(self._lane.put(opening, urgent=True))
        found.add_done_callback(partial(self._take_over, talk))
        return True

    def _opening(self, talk: Conversation, asked: shapes.Begin, where: str) -> Work:
        async def look() -> Any:
            talk.opened = self.sessions.opened(asked, talk.id)
            if not self.sessions.know(talk.opened):
                if len(self._blank) < _MET:
                    self._blank.add(where)
                return None
            self._blank.discard(where)
            return await self.sessions.look(talk.opened)

        return look

    def _resuming(self, talk: Conversation) -> Work:
        async def look() -> Any:
            lived = self.sessions.of(talk.id)
            talk.fresh = not lived.steps
            # Whoever recalled by itself has put the memories where it wants them.
            return None if lived.memories else await self.sessions.look(lived)

        return look

    async def _wait_for(self, talk: Conversation, look: Work) -> bool:
        """Take over what is recalled: at once if it comes within the budget, else for the next call.

        Returns:
            Whether the session is known or may yet be.
        """
        found = asyncio.wrap_future(self._lane.put(look, urgent=True))
        found.add_done_callback(partial(self._take_over, talk))
        done, _ = await asyncio.wait({found}, timeout=self._budget)
        if not done:
            self.counts.lag(self._budget)
        return not done or found.exception() is None

    def _take_over(self, talk: Conversation, done: asyncio.Future[Any]) -> None:
        if error := done.exception():
            self.counts.fail(error)
        elif done.result() is not None:
            talk.looked = looked = done.result()
            self.counts.recalled += bool(looked.told.memories)
            talk.text = looked.told.text

    def _put_memories_in(self, call: Call, scope: Scope) -> None:
        talk = call.conversation
        if talk is None or not talk.text:
            return
        try:
            call.body = memories_in(scope.asked, talk.text)
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent goes on
            self.counts.fail(error)
            return
        self.counts.shown += 1
        call.told = True

    # A call ends

    def end(
        self, call: Call, body: bytes = b"", whole: bool = False, stop: StopReason | None = None
    ) -> None:
        """Take down what was answered, once; it is written later.

        Args:
            body: As far as it came; nothing where the call failed.
            whole: Whether that is all of it.
            stop: Why not.
        """
        talk, call.conversation = call.conversation, None
        if talk is None:
            return
        try:
            found = replied(body, whole) if body else None
            self.counts.unread += bool(body) and found is None
            self._record(call, talk, found, stop)
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent goes on
            self.counts.fail(error)

    def _record(
        self, call: Call, talk: Conversation, found: Replied | None, stop: StopReason | None
    ) -> None:
        """Have it written, and let the conversation wait for its next call, or for the same again."""
        if found is None:
            self._wait(call, talk, talk.tail or call.mark)
            self._put(partial(self._write, talk, None, None, None))
            return
        sent = shapes.Steps.model_construct(
            messages=[*call.new, found.message],
            prompt_tokens=found.prompt_tokens,
            completion_tokens=found.completion_tokens,
        )
        looked = None
        # Where all of it is withheld there is nothing to tell, and that is kept, too.
        if call.told or not talk.text:
            looked, talk.looked = talk.looked, None
        talk.fresh = False
        talk.tail = after(call.mark, found.message) if found.whole else call.mark
        self._wait(call, talk, talk.tail)
        why = None if found.whole else stop
        self._put(partial(self._write, talk, sent, why, looked), self._recorded)

    async def _write(
        self,
        talk: Conversation,
        sent: shapes.Steps | None,
        stop: StopReason | None,
        looked: Looked | None,
    ) -> None:
        """One transaction for a call, that of the first makes the session."""
        try:
            if talk.opened is not None:
                self.sessions.keep(talk.opened, sent, stop, looked)
                talk.opened = None
            elif sent is not None:
                self.sessions.report(talk.id, sent, stop, looked)
        except BadMessage:
            if sent is None or len(sent.messages) == 1:
                raise
            # A history that fits nothing, such as answers to calls that it lacks: the reply is kept.
            alone = sent.model_copy(update={"messages": sent.messages[-1:]})
            await self._write(talk, alone, stop, looked)

    def _recorded(self) -> None:
        self.counts.recorded += 1

    def _wait(self, call: Call, talk: Conversation, mark: bytes) -> None:
        if not call.by_name:
            self._derived.put(mark, talk)

    def _put(self, work: Work, then: Callable[[], None] = lambda: None) -> None:
        """Have something done that nobody waits for."""
        try:
            done = asyncio.wrap_future(self._lane.put(work))
        except queue.Full:
            self.counts.dropped += 1
            return
        done.add_done_callback(partial(self._finished, then))

    def _finished(self, then: Callable[[], None], done: asyncio.Future[Any]) -> None:
        if error := done.exception():
            self.counts.fail(error)
        else:
            then()


def _place(scope: Scope) -> str:
    """Whose conversations a request can go on with."""
    return f"{scope.agent}\0{scope.subject or ''}"
