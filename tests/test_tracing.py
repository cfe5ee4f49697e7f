"""Spans of OpenTelemetry, as its own SDK records and sends them: an episode, memory, requests, and no content."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from stores import generation
from test_agent import COMPACT, TASK, Sums
from test_service import BEGIN, MESSAGES, fill, served

from agent.graph import Agent
from agent.verify.judge import Judge
from instar import tracing
from instar.llm import Scripted
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Task
from memory.bank import Bank
from memory.embed import HashEmbedder

SECRET = "the magic word"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """What this process sends its spans to; a process has one provider as long as it lives."""
    kept = InMemorySpanExporter()
    os.environ["OTEL_SDK_DISABLED"] = "false"
    provider = TracerProvider()
    os.environ["OTEL_SDK_DISABLED"] = "true"
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    return kept


@pytest.fixture(params=[False, True], ids=["without content", "with content"])
def content(request) -> bool:
    return request.param


@pytest.fixture
def spans(exporter, content) -> Iterator[InMemorySpanExporter]:
    exporter.clear()
    tracing.start(content)
    yield exporter
    tracing.stop()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [s for s in spans.get_finished_spans() if s.name == name]


def told(spans: InMemorySpanExporter) -> str:
    """All that was told, with what came of errors."""
    return "".join(s.to_json() for s in spans.get_finished_spans())


def attributes(span: ReadableSpan) -> dict:
    return dict(span.attributes or {})


async def episode(replies, sums=None) -> None:
    agent = Agent(Scripted(replies), COMPACT)
    await agent.run(TASK, sums or Sums(), seed=0, generation="g1")


ADD = {"content": SECRET, "calls": [{"id": "c1", "name": "add", "arguments": {"number": 3}}]}
END = {"content": "", "calls": [{"id": "c2", "name": "finish", "arguments": {"answer": "3"}}]}


async def test_an_episode_is_a_span_over_those_of_its_model_and_its_tools(spans, content):
    await episode([ADD, END])
    (whole,) = named(spans, "invoke_agent instar")
    chats = named(spans, "chat scripted")
    (tool,) = named(spans, "execute_tool add")
    assert len(chats) == 2
    assert {s.parent.span_id for s in (*chats, tool)} == {whole.context.span_id}
    assert attributes(whole) | {"gen_ai.conversation.id": ""} == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "instar",
        "gen_ai.conversation.id": "",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted",
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 0,
        "instar.task": "t1",
        "instar.stop": "finished",
        "instar.score": "pass",
    }
    asked = attributes(chats[0])
    assert asked["gen_ai.operation.name"] == "chat" and chats[0].kind is trace.SpanKind.CLIENT
    assert asked["gen_ai.response.finish_reasons"] == ("stop",)
    ran = attributes(tool)
    assert (ran["gen_ai.tool.name"], ran["gen_ai.tool.call.id"]) == ("add", "c1")
    assert (SECRET in told(spans)) is content
    assert (TASK.instruction in told(spans)) is content
    if content:
        assert json.loads(ran["gen_ai.tool.call.arguments"]) == {"number": 3}
        answered = json.loads(asked["gen_ai.output.messages"])[0]
        assert answered["parts"][0] == {"type": "text", "content": SECRET}
        assert answered["parts"][1]["name"] == "add"
        later = json.loads(attributes(chats[1])["gen_ai.input.messages"])
        assert {m["role"] for m in later} >= {"system", "user"}


@pytest.mark.parametrize("content", [False], indirect=True)
async def test_what_fails_is_named_by_its_kind_and_not_by_its_message(spans):
    broken = {"calls": [{"id": "c1", "name": "add", "arguments": {"number": SECRET}}]}
    await episode([broken])
    (tool,) = named(spans, "execute_tool add")
    assert not tool.status.is_ok and attributes(tool)["error.type"]
    chats = named(spans, "chat scripted")
    assert attributes(chats[-1])["error.type"] == "ModelFault" and not chats[-1].events
    assert SECRET not in told(spans)


@pytest.mark.parametrize("content", [False], indirect=True)
async def test_a_judge_and_whoever_else_asks_a_model_is_seen(spans):
    from episodes import task, trajectory

    judge = Judge(model=Scripted(["<verdict>pass</verdict>"]))
    await judge.score(task("t1"), [trajectory(task("t1"))])
    assert len(named(spans, "chat scripted")) == 1


def item(id: str) -> MemoryItem:
    return MemoryItem(
        id=id,
        title="",
        when=f"refund order {id}",
        content=f"{SECRET} of {id}",
        kind=MemoryKind.LESSON,
        namespace="live/support/ruth",
    )


async def test_memory_is_searched_made_changed_and_deleted_under_these_names(
    spans, content, tmp_path
):
    with Store.open(tmp_path / "shop") as store:
        store.add_generation(generation("g1"))
        bank = Bank(store, HashEmbedder(), None)
        bank.write([MemoryOp(kind=OpKind.ADD, item=item(id)) for id in ("a", "b", "c")], "g1")
        gone = [MemoryOp(kind=OpKind.RETIRE, target=id) for id in ("b", "c")]
        bank.write([MemoryOp(kind=OpKind.EDIT, target="a", item=item("a")), *gone], "g1")
        task = Task(
            id="t", instruction="refund order a", world="live", namespace="live/support/ruth",
            group="g", family="f",
        )  # fmt: skip
        await bank.recall(task, (), as_of="g1", seed=0)
        bank.search("refund", as_of="g1")
        bank.close()
    (made,) = map(attributes, named(spans, "create_memory"))
    (changed,) = map(attributes, named(spans, "update_memory"))
    deleted = list(map(attributes, named(spans, "delete_memory")))
    assert all(s.parent is None for s in spans.get_finished_spans())
    store_id = "gen_ai.memory.store.id"
    assert made == {"gen_ai.operation.name": "create_memory", store_id: "shop"} | {
        "gen_ai.memory.record.count": 3
    }
    assert changed["gen_ai.operation.name"] == "update_memory"
    assert changed["gen_ai.memory.record.id"] == "a"
    assert {d["gen_ai.memory.record.id"] for d in deleted} == {"b", "c"}
    assert {d["gen_ai.operation.name"] for d in deleted} == {"delete_memory"}
    recall, search = (attributes(s) for s in named(spans, "search_memory"))
    assert recall["gen_ai.memory.record.count"] == search["gen_ai.memory.record.count"] == 1
    assert recall["instar.generation"] == "g1" and recall[store_id] == "shop"
    assert (SECRET in told(spans)) is content and (TASK.instruction in told(spans)) is False
    assert (recall.get("gen_ai.memory.query.text") == "refund order a") is content
    if content:
        (record,) = json.loads(recall["gen_ai.memory.records"])
        assert record["id"] == "a" and record["content"] == f"{SECRET} of a"
    else:
        assert "ruth" not in told(spans), "a namespace may name somebody"


@pytest.mark.parametrize("content", [False], indirect=True)
def test_a_request_belongs_to_the_trace_of_whoever_asks(spans, tmp_path):
    asyncio.run(fill(tmp_path))
    spans.clear()
    parent = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    with served(tmp_path) as url, httpx.Client(base_url=url, headers=parent) as http:
        session = http.post("/v1/sessions", json=BEGIN | {"subject": "ruth"}).json()["session"]
        http.post(f"/v1/sessions/{session}/recall", json={})
        http.post(f"/v1/sessions/{session}/steps", json={"messages": MESSAGES})
        http.get("/nowhere")
    (recall,) = named(spans, "POST /v1/sessions/{session}/recall")
    assert recall.context.trace_id == int("ab" * 16, 16) and recall.kind is trace.SpanKind.SERVER
    known = attributes(recall)
    assert known["http.response.status_code"] == 200
    assert known["gen_ai.conversation.id"] == session
    (search,) = named(spans, "search_memory")
    assert search.parent.span_id == recall.context.span_id
    assert [attributes(s)["http.response.status_code"] for s in named(spans, "GET")] == [404]
    assert "money back" not in told(spans) and "ruth" not in told(spans)


# Off, and sent


def test_where_it_is_off_nothing_of_opentelemetry_is_loaded():
    code = (
        "import sys, instar.cli, instar.tracing, instar.asking, instar.compose, memory.bank\n"
        "assert instar.tracing.span('chat') is instar.tracing.span('execute_tool')\n"
        "print(*(m for m in sys.modules if m.startswith('opentelemetry')))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert child.returncode == 0, child.stderr
    assert not child.stdout.strip()


async def test_where_it_is_off_an_episode_leaves_no_span(exporter):
    exporter.clear()
    await episode([ADD, END])
    assert not exporter.get_finished_spans()


class Collector(ThreadingHTTPServer):
    """Takes what OTLP's exporter sends over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.server.taken.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def search(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that searches memory, with spans on."""
    command = [sys.executable, "-m", "instar.cli", "memory", "search", "refund order"]
    on = {"INSTAR_TELEMETRY__SPANS": "true", "OTEL_SDK_DISABLED": "false", **environment}
    return subprocess.run(
        [*command, "--workspace", str(folder)],
        env={**os.environ, **on},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_spans_reach_a_collector_by_opentelemetrys_own_variables(collector, tmp_path):
    asyncio.run(fill(tmp_path / "shop"))
    done = search(tmp_path / "shop", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert done.returncode == 0, done.stderr
    (request,) = collector.taken
    (sent,) = request.resource_spans
    resource = {a.key: a.value.string_value for a in sent.resource.attributes}
    assert resource["service.name"] == "instar"
    (span,) = sent.scope_spans[0].spans
    assert span.name == "search_memory" and sent.scope_spans[0].scope.name == "instar"
    assert "refund" not in str(request)


def test_an_exporter_that_is_not_there_is_said_in_a_sentence(tmp_path):
    asyncio.run(fill(tmp_path))
    done = search(tmp_path, OTEL_TRACES_EXPORTER="wizard")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "'wizard'" in done.stderr and "otlp_proto_http" in done.stderr
