"""Agents of LangChain and graphs of LangGraph beside the service: with it, without it, in shadow."""

from __future__ import annotations

import asyncio
import operator
import socket
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from instar_client import Client
from instar_client.langchain import Instar, Remembering
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from test_service import fill, served, stored

from instar.types import Status

QUESTION = "refund order 417"


@tool
def refund(order: int) -> str:
    """Refund an order."""
    return f"order {order} is refunded"


class Clerk(BaseChatModel):
    """Refunds at once, then says so; it remembers what it was asked."""

    seen: list[list[BaseMessage]]

    @property
    def _llm_type(self) -> str:
        return "clerk"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.seen.append(messages)
        used = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
        if isinstance(messages[-1], ToolMessage):
            said = AIMessage("It is done.", usage_metadata=used)
            said.response_metadata = {"model_name": "clerk"}
        else:
            call = {"name": "refund", "args": {"order": 417}, "id": f"c{len(self.seen)}"}
            said = AIMessage("", tool_calls=[call], usage_metadata=used)
        return ChatResult(generations=[ChatGeneration(message=said)])


class State(TypedDict):
    messages: Annotated[list[Any], operator.add]


def graph(clerk: Clerk) -> Any:
    """A foreign graph that knows nothing of Instar."""

    def think(state: State, config: RunnableConfig) -> dict[str, Any]:
        told = clerk.bind(tools=[convert_to_openai_tool(refund)])
        return {"messages": [told.invoke(state["messages"], config)]}

    def act(state: State, config: RunnableConfig) -> dict[str, Any]:
        calls = state["messages"][-1].tool_calls
        return {"messages": [refund.invoke({**c, "type": "tool_call"}, config) for c in calls]}

    def again(state: State) -> str:
        return "act" if state["messages"][-1].tool_calls else END

    made = StateGraph(State)
    made.add_node("think", think)
    made.add_node("act", act)
    made.add_edge(START, "think")
    made.add_conditional_edges("think", again, ["act", END])
    made.add_edge("act", "think")
    return made.compile()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beside")
    asyncio.run(fill(folder))
    return folder


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    with served(folder) as address:
        yield address


def asked() -> dict[str, Any]:
    return {"messages": [HumanMessage(QUESTION)]}


def said(result: dict[str, Any]) -> list[str]:
    return [m.text for m in result["messages"]]


PLAIN = [QUESTION, "", "order 417 is refunded", "It is done."]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_an_agent_is_told_what_is_known_and_its_run_is_recorded(url, folder, way):
    via, clerk = Client(url, budget=5), Clerk(seen=[])
    agent = create_agent(
        clerk, [refund], system_prompt="Be kind.", middleware=[Instar("support", via=via)]
    )
    result = agent.invoke(asked()) if way == "invoke" else await agent.ainvoke(asked())
    assert said(result) == PLAIN
    for messages in clerk.seen:
        assert messages[0].text.startswith("Be kind.\n\n")
        assert messages[0].text.count("look up the state first") == 1
    assert via.flush(10)
    via.resume(result["instar_session"]).outcome("pass", source="program")
    assert via.flush(10) and not via.counts.failed, via.counts
    lived = stored(folder, result["instar_session"])
    assert [s.content for s in lived.steps] == ["", "It is done."]
    assert [t.name for t in lived.tools] == ["refund"] and lived.model == "clerk"
    assert lived.steps[0].calls[0].arguments == {"order": 417}
    assert lived.steps[0].results[0].text == "order 417 is refunded"
    assert lived.usage.tokens == 24 and lived.score.status is Status.PASS
    via.close()


def test_a_conversation_reports_each_message_once(url, folder):
    via = Client(url, budget=5)
    middleware = [Instar("support", subject=lambda state: "ada", via=via)]
    agent = create_agent(
        Clerk(seen=[]), [refund], middleware=middleware, checkpointer=InMemorySaver()
    )
    config = {"configurable": {"thread_id": "1"}}
    first = agent.invoke(asked(), config)["instar_session"]
    second = agent.invoke(asked(), config)["instar_session"]
    assert via.flush(10) and first != second
    assert [len(stored(folder, id).steps) for id in (first, second)] == [2, 2]
    assert stored(folder, first).task.namespace == "live/support/ada"
    via.close()


def run(remembering: Remembering, way: str) -> list[str]:
    if way == "invoke":
        return said(remembering.invoke(asked()))
    if way == "ainvoke":
        return said(asyncio.run(remembering.ainvoke(asked())))
    if way == "stream":
        return said(list(remembering.stream(asked(), stream_mode="values"))[-1])

    async def last() -> dict[str, Any]:
        return [c async for c in remembering.astream(asked(), stream_mode="values")][-1]

    return said(asyncio.run(last()))


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_graph_is_told_what_is_known_and_its_run_is_recorded(url, folder, way):
    via, clerk, begun = Client(url, budget=5), Clerk(seen=[]), []
    found = run(Remembering(graph(clerk), "support", began=begun.append, via=via), way)
    assert found[1:] == PLAIN and "look up the state first" in found[0]
    assert via.flush(10) and not via.counts.failed, via.counts
    lived = stored(folder, begun[0].id)
    assert [s.content for s in lived.steps] == ["", "It is done."]
    assert [t.name for t in lived.tools] == ["refund"] and lived.model == "clerk"
    assert lived.steps[0].results[0].text == "order 417 is refunded" and lived.usage.tokens == 24
    via.close()


@pytest.mark.parametrize("how", ["gone", "off", "shadow", "broken"])
def test_nothing_changes_for_the_agent_where_nothing_can_be_recalled(url, how):
    def broken(text: str) -> str:
        raise RuntimeError("no")

    via = {
        "gone": lambda: Client("http://127.0.0.1:9", budget=0.2),
        "off": lambda: Client(url, enabled=False),
        "shadow": lambda: Client(url, budget=5, shadow=True),
        "broken": lambda: Client(url, redact=broken),
    }[how]()
    clerk = Clerk(seen=[])
    agent = create_agent(clerk, [refund], middleware=[Instar("support", via=via)])
    assert said(agent.invoke(asked())) == PLAIN
    assert said(Remembering(graph(clerk), "support", via=via).invoke(asked())) == PLAIN
    assert all(m.type != "system" for messages in clerk.seen for m in messages)
    via.close(0.5)


def test_an_error_of_the_agents_own_stays_its_own(url, folder):
    class Broken(Clerk):
        def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
            if len(self.seen) == 1:
                raise RuntimeError("the model is gone")
            return super()._generate(messages)

    via, begun = Client(url, budget=5), []
    with pytest.raises(RuntimeError, match="the model is gone"):
        Remembering(graph(Broken(seen=[])), "support", began=begun.append, via=via).invoke(asked())
    assert via.flush(10) and len(stored(folder, begun[0].id).steps) == 1
    via.close()


async def test_recalling_does_not_stop_the_loop_of_others():
    """A service that never answers costs the run its budget, and other tasks nothing."""
    ticks = 0

    async def others() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        via = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", budget=0.3)
        beside = asyncio.create_task(others())
        found = await Remembering(graph(Clerk(seen=[])), "support", via=via).ainvoke(asked())
        beside.cancel()
    assert said(found) == PLAIN and via.counts.late == 1 and ticks > 20


def test_runs_that_broke_off_do_not_pile_up(monkeypatch):
    from instar_client import langchain as module

    monkeypatch.setattr(module, "_OPEN", 3)
    middleware = Instar("support", via=Client(enabled=False))
    for _ in range(9):
        middleware.before_agent(asked(), None)
    assert len(middleware._sessions) == 3
