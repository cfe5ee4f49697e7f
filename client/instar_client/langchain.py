"""For agents of LangChain and graphs of LangGraph; needs ``pip install 'instar-client[langchain]'``.

    agent = create_agent(model, tools, middleware=[Instar("support")])      # or
    graph = Remembering(graph, "support")

Both recall before the first answer, put the memories in front of the model as data, and report what
happened afterwards. Neither raises for what goes wrong with the service, and neither changes what the agent
does where there is nothing to recall.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.utils.function_calling import convert_to_openai_tool

from instar_client._client import Client, client
from instar_client._langchain_messages import model_of, plain, task_of, usage_of
from instar_client._session import Session

__all__ = ["Instar", "InstarState", "Remembering"]

_OPEN = 1_000
_LOG = logging.getLogger("instar_client")


class InstarState(AgentState[Any]):
    """What the middleware adds to an agent's state.

    Attributes:
        instar_session: Id of the session, by which an outcome can be told later
            (`Client.resume`); absent where the service was not there.
        instar_text: The memories as they are shown.
        instar_seen: How many messages there were at the beginning of the run.
        instar_key: Of the session in this process.
    """

    instar_session: NotRequired[str | None]
    instar_text: NotRequired[str]
    instar_seen: NotRequired[int]
    instar_key: NotRequired[str]


class Instar(AgentMiddleware[InstarState, Any]):
    """Middleware for `langchain.agents.create_agent`: recalls before, records after.

    Args:
        agent: Whose experience it becomes.
        subject: From the state of a run whom it is about, if anybody.
        via: The client; by default the one of the environment.
    """

    state_schema = InstarState

    def __init__(
        self,
        agent: str,
        subject: Callable[[Mapping[str, Any]], str | None] | None = None,
        via: Client | None = None,
    ) -> None:
        super().__init__()
        self._agent, self._subject, self._via = agent, subject, via or client()
        self._sessions: dict[str, Session] = {}
        self._tools: list[dict[str, Any]] = []

    def before_agent(self, state: InstarState, runtime: Any) -> dict[str, Any] | None:
        """Begin a session and recall."""
        with _harmless("nothing recalled"):
            messages = state["messages"]
            about = self._subject(state) if self._subject else None
            session = self._via.session(self._agent, task_of(messages), subject=about)
            text, key = session.recall().text, uuid.uuid4().hex
            self._sessions[key] = session
            if len(self._sessions) > _OPEN:  # of runs that broke off nobody comes to report
                self._sessions.pop(next(iter(self._sessions)), None)
            found = {"instar_text": text, "instar_seen": len(messages), "instar_key": key}
            return {**found, "instar_session": session.id}
        return {"instar_text": "", "instar_key": "", "instar_session": None}

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Any]
    ) -> Any:
        """Put the memories after the system message."""
        self._see(request)
        return handler(_told(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Any]
    ) -> Any:
        """Put the memories after the system message."""
        self._see(request)
        return await handler(_told(request))

    def _see(self, request: ModelRequest[Any]) -> None:
        """Take down which tools the agent has."""
        with _harmless("its tools are not known"):
            self._tools = [convert_to_openai_tool(tool) for tool in request.tools]

    def after_agent(self, state: InstarState, runtime: Any) -> dict[str, Any] | None:
        """Report what happened in this run."""
        with _harmless("nothing recorded"):
            session = self._session(state)
            if session is not None:
                new = state["messages"][state.get("instar_seen", 0) :]
                session.report(plain(new), self._tools, model_of(new), **usage_of(new))
                return {"instar_session": session.id}
        return None

    def _session(self, state: InstarState) -> Session | None:
        """The session of a run; one that went on in another process by its id."""
        session = self._sessions.pop(state.get("instar_key", ""), None)
        id = state.get("instar_session")
        return session or (self._via.resume(id) if id else None)


class Remembering(Runnable[Any, Any]):
    """Any compiled graph whose input has messages, with recall before and a record after.

    Args:
        graph: The graph; all that it has otherwise stays as it is, under ``graph``.
        agent: Whose experience it becomes.
        subject: From the input of a run whom it is about, if anybody.
        messages: Name of the input's messages.
        began: Is given the session of each run, to tell its outcome later.
        via: The client; by default the one of the environment.
    """

    def __init__(
        self,
        graph: Runnable[Any, Any],
        agent: str,
        subject: Callable[[Any], str | None] | None = None,
        messages: str = "messages",
        began: Callable[[Session], None] | None = None,
        via: Client | None = None,
    ) -> None:
        self.graph = graph
        self._agent, self._subject, self._messages = agent, subject, messages
        self._began, self._via = began, via or client()

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As the graph's own."""
        given, record = self._begin(input)
        try:
            return self.graph.invoke(given, record.beside(config), **kwargs)
        finally:
            record.report()

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As the graph's own."""
        given, record = await asyncio.to_thread(self._begin, input)
        try:
            return await self.graph.ainvoke(given, record.beside(config), **kwargs)
        finally:
            record.report()

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """As the graph's own."""
        given, record = self._begin(input)
        try:
            yield from self.graph.stream(given, record.beside(config), **kwargs)
        finally:
            record.report()

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """As the graph's own."""
        given, record = await asyncio.to_thread(self._begin, input)
        try:
            async for chunk in self.graph.astream(given, record.beside(config), **kwargs):
                yield chunk
        finally:
            record.report()

    def _begin(self, input: Any) -> tuple[Any, _Record]:
        """The input with memories in front of its messages, and where the run is taken down."""
        with _harmless("nothing recalled"):
            messages = list(input[self._messages])
            about = self._subject(input) if self._subject else None
            session = self._via.session(self._agent, task_of(messages), subject=about)
            if self._began is not None:
                self._began(session)
            text = session.recall().text
            told = {**input, self._messages: [SystemMessage(text), *messages]} if text else input
            return told, _Record(session)
        return input, _Record(None)


class _Record(BaseCallbackHandler):
    """Takes down what models said and tools answered in a run, wherever in the graph."""

    run_inline = True

    def __init__(self, session: Session | None) -> None:
        self._session = session
        self._messages: list[BaseMessage] = []
        self._tools: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def beside(self, config: RunnableConfig | None) -> RunnableConfig:
        return merge_configs(config, {"callbacks": [self]})

    def on_chat_model_start(self, *_: Any, **more: Any) -> None:
        with _harmless("its tools are not known"):
            offered = (more.get("invocation_params") or {}).get("tools") or ()
            if offered:
                self._tools = [convert_to_openai_tool(tool) for tool in offered]

    def on_llm_end(self, response: Any, **_: Any) -> None:
        found = getattr(response.generations[0][0], "message", None)
        if isinstance(found, AIMessage):
            with self._lock:
                self._messages.append(found)

    def on_tool_end(self, output: Any, **_: Any) -> None:
        if isinstance(output, ToolMessage):
            with self._lock:
                self._messages.append(output)

    def report(self) -> None:
        """Send it, once the run is over, however it ended."""
        with _harmless("nothing recorded"):
            if self._session is not None:
                said = self._messages
                self._session.report(plain(said), self._tools, model_of(said), **usage_of(said))


@contextlib.contextmanager
def _harmless(what: str) -> Iterator[None]:
    """Let nothing that goes wrong in here reach the agent; a log says it."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is, the agent goes on
        _LOG.warning(what, exc_info=True)


def _told(request: ModelRequest[Any]) -> ModelRequest[Any]:
    text = request.state.get("instar_text")
    if not text:
        return request
    system = request.system_message
    before = f"{system.text}\n\n" if system is not None else ""
    return request.override(system_message=SystemMessage(before + str(text)))
