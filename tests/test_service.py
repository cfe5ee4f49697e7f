"""The service over real HTTP: sessions, outcomes, tenancy, bad requests, and clients that it cannot break."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from instar_client import Client
from stores import generation

from instar.compose import Workspace
from instar.config import load_config
from instar.recorded import unread
from instar.service.app import MOST_BYTES, make_app
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Status

TOKEN = "a token of this test"
BEGIN = {"agent": "support", "task": "refund order 417"}
CALL = {"id": "c1", "type": "function", "function": {"name": "refund", "arguments": '{"id": 417}'}}
MESSAGES = [
    {"role": "user", "content": "I want my money back."},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "refunded"},
    {"role": "assistant", "content": "It is done."},
]


def item(id: str, namespace: str, content: str) -> MemoryItem:
    return MemoryItem(
        id=id,
        title="",
        when="refund order $1",
        content=content,
        kind=MemoryKind.LESSON,
        namespace=namespace,
    )


async def fill(folder: Path) -> None:
    """A workspace whose active generation knows something of support, and of one of its customers."""
    config = load_config(None, [f"workspace={json.dumps(str(folder))}"])
    async with Workspace.open(config) as workspace:
        workspace.store.add_generation(generation("g1"))
        workspace.store.activate("g1")
        known = [
            item("m-all", "live/support", "look up the state first"),
            item("m-ada", "live/support/ada", "ada wants it in cash"),
            item("m-sales", "live/sales", "offer a voucher"),
        ]
        ops = [MemoryOp(kind=OpKind.ADD, item=one) for one in known]
        workspace.bank.write(ops, "g1", "test")


@contextlib.contextmanager
def served(
    folder: Path,
    token: str | None = None,
    around: Callable[[Any], Any] = lambda app: app,
    settings: Sequence[str] = (),
) -> Iterator[str]:
    """The service over a folder, in a thread, with something around it; its address."""
    config = load_config(None, [f"workspace={json.dumps(str(folder))}", *settings])
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    ready: list[uvicorn.Server] = []

    async def run() -> None:
        async with Workspace.open(config) as workspace:
            app = around(make_app(workspace, token))
            server = uvicorn.Config(app, log_level="critical")
            ready.append(uvicorn.Server(server))
            await ready[0].serve([sock])

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        while not ready or not ready[0].started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        ready[0].should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    asyncio.run(fill(folder))
    return folder


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture
def http(url) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as client:
        yield client


def begin(http: httpx.Client, **changes) -> str:
    answer = http.post("/v1/sessions", json=BEGIN | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()["session"]


def recalled(http: httpx.Client, session: str, **asked) -> list[str]:
    answer = http.post(f"/v1/sessions/{session}/recall", json=asked)
    assert answer.status_code == 200, answer.text
    return [m["id"] for m in answer.json()["memories"]]


def stored(folder: Path, session: str):
    with Store.open(folder / "instar.db", create=False) as store:
        return store.trajectory(session)


def test_a_session_recalls_reports_and_is_learnt_from_once_it_is_scored(http, folder):
    session = begin(http)
    found = http.post(f"/v1/sessions/{session}/recall", json={}).json()
    assert [m["id"] for m in found["memories"]] == ["m-all"]
    assert "[m1] -> look up the state first" in found["text"] and not found["shadow"]
    sent = {"messages": MESSAGES, "prompt_tokens": 90, "completion_tokens": 10}
    assert http.post(f"/v1/sessions/{session}/steps", json=sent).json()["steps"] == 2
    lived = stored(folder, session)
    assert lived.task.instruction == BEGIN["task"] and lived.answer == "It is done."
    assert lived.steps[0].observation == "I want my money back."
    assert lived.steps[0].calls[0].arguments == {"id": 417}
    assert lived.steps[0].results[0].text == "refunded"
    assert lived.usage.tokens == 100 and [m.item for m in lived.memories] == ["m-all"]
    assert lived.score.status is Status.UNKNOWN
    told = {"status": "pass", "reason": "the customer said so"}
    assert http.post(f"/v1/sessions/{session}/outcome", json=told).status_code == 200
    with Store.open(folder / "instar.db", create=False) as store:
        assert session in {t.id for t in unread(store)}


def test_agents_and_subjects_never_recall_one_another(http):
    assert recalled(http, begin(http)) == ["m-all"]
    assert recalled(http, begin(http, subject="ada")) == ["m-ada"]
    assert recalled(http, begin(http, subject="bob")) == []
    assert recalled(http, begin(http, agent="sales")) == ["m-sales"]
    assert recalled(http, begin(http, agent="nobody")) == []


def test_in_shadow_nothing_is_shown_and_nothing_looks_withheld(http, folder):
    session = begin(http, shadow=True)
    found = http.post(f"/v1/sessions/{session}/recall", json={}).json()
    assert found["shadow"] and not found["text"] and found["memories"]
    assert not stored(folder, session).memories


def test_a_second_recall_does_not_repeat_the_first(http):
    session = begin(http)
    assert recalled(http, session) == ["m-all"]
    assert recalled(http, session, about="refund order is locked") == []


def test_an_outcome_twice_is_one_and_another_has_to_say_that_it_corrects(http, folder):
    session = begin(http)
    at = f"/v1/sessions/{session}/outcome"
    assert http.post(at, json={"status": "unknown"}).status_code == 200
    assert http.post(at, json={"status": "pass"}).status_code == 200
    assert http.post(at, json={"status": "pass"}).status_code == 200
    refused = http.post(at, json={"status": "fail"})
    assert refused.status_code == 409 and '"correct": true' in refused.json()["error"]
    graded = {"status": "fail", "value": 0.4, "correct": True, "source": "program"}
    assert http.post(at, json=graded).status_code == 200
    score = stored(folder, session).score
    assert (score.status, score.value, score.source) == (Status.FAIL, 0.4, "program")


BAD = {
    "no json": (b"{", 400, "JSON"),
    "binary": (b"\x00\xff\xfe", 400, ""),
    "no task": (b'{"agent": "a"}', 422, "task"),
    "another field": (json.dumps(BEGIN | {"colour": 1}).encode(), 422, "colour"),
    "an agent that is a path": (json.dumps(BEGIN | {"agent": "../x"}).encode(), 422, "agent"),
    "a list": (b"[1]", 422, ""),
    "huge": (b'{"task": "' + b"x" * MOST_BYTES + b'"}', 413, "bytes"),
    "a tool without a name": (json.dumps(BEGIN | {"tools": [{}]}).encode(), 422, "tool 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_answered_by_a_status_and_a_sentence(http, name):
    body, status, said = BAD[name]
    answer = http.post("/v1/sessions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert said in error and "\n" not in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "wizard"}], "has role 'wizard'"),
        ([{"role": "tool", "content": "x"}], "answers no call"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "names no function"),
        ([{"role": "assistant", "tool_calls": 3}], "no list"),
    ],
)
def test_a_message_that_is_none_is_refused_and_nothing_is_kept(http, folder, messages, said):
    session = begin(http)
    answer = http.post(f"/v1/sessions/{session}/steps", json={"messages": messages})
    assert answer.status_code == 422 and said in answer.json()["error"]
    assert not stored(folder, session).steps


def test_tools_may_answer_in_any_order(http, folder):
    session = begin(http)
    calls = [CALL | {"id": "c1"}, CALL | {"id": "c2"}]
    answers = [{"role": "tool", "tool_call_id": id, "content": id} for id in ("c2", "c1")]
    sent = {"messages": [{"role": "assistant", "tool_calls": calls}, *answers]}
    assert http.post(f"/v1/sessions/{session}/steps", json=sent).status_code == 200
    assert [r.text for r in stored(folder, session).steps[0].results] == ["c1", "c2"]


def test_messages_of_before_there_were_tool_calls_are_understood(http, folder):
    session = begin(http)
    asked = {"role": "assistant", "content": None, "function_call": CALL["function"]}
    said = {"role": "function", "name": CALL["function"]["name"], "content": "done"}
    sent = {"messages": [asked, said, asked, said]}
    assert http.post(f"/v1/sessions/{session}/steps", json=sent).status_code == 200
    steps = stored(folder, session).steps
    assert [(s.calls[0].name, s.results[0].text) for s in steps] == [
        (CALL["function"]["name"], "done")
    ] * 2


@pytest.mark.parametrize("what", ["recall", "steps", "outcome"])
@pytest.mark.parametrize("session", ["s-nobody", "hr-1", "x" * 300])
def test_an_unknown_session_is_no_session(http, what, session):
    sent = {"recall": {}, "steps": {"messages": MESSAGES}, "outcome": {"status": "pass"}}[what]
    answer = http.post(f"/v1/sessions/{session}/{what}", json=sent)
    error = answer.json()["error"]
    assert answer.status_code == 404 and "Begin one first" in error and error.count("s-") <= 1


def test_a_newer_client_is_told_so_and_worth_can_be_read(http):
    newer = http.post("/v1/sessions", json=BEGIN, headers={"Instar-API": "2"})
    assert newer.status_code == 400 and "update Instar" in newer.json()["error"]
    found = http.get("/v1/worth").json()
    assert found["line"] and {u["items"][0] for u in found["units"]} >= {"m-all", "m-sales"}
    assert http.get("/openapi.json").json()["info"]["title"] == "Instar"


def test_a_token_is_asked_for_and_compared(folder):
    with served(folder, TOKEN) as url, httpx.Client(base_url=url) as http:
        assert http.get("/healthz").status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            answer = http.post("/v1/sessions", json=BEGIN, headers=headers)
            assert answer.status_code == 401 and "token" in answer.json()["error"]
        client = Client(url, token=TOKEN, budget=5)
        assert client.session(**BEGIN).recall().text
        client.close()


def test_sessions_at_once_lose_nothing(http, folder):
    session = begin(http)

    def send(number: int) -> None:
        with httpx.Client(base_url=http.base_url) as own:
            message = {"role": "assistant", "content": f"turn {number}"}
            sent = {"messages": [message], "completion_tokens": 1}
            assert own.post(f"/v1/sessions/{session}/steps", json=sent).status_code == 200

    threads = [threading.Thread(target=send, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lived = stored(folder, session)
    assert {s.content for s in lived.steps} == {f"turn {i}" for i in range(16)}
    assert lived.usage.completion_tokens == 16


# The client


async def promote(folder: Path) -> None:
    """A second generation, which knows better, comes to serve beside whoever serves the folder."""
    config = load_config(None, [f"workspace={json.dumps(str(folder))}"])
    async with Workspace.open(config) as workspace:
        workspace.store.add_generation(generation("g2", "g1"))
        better = item("m-new", "live/support", "ask for the receipt first")
        ops = [
            MemoryOp(kind=OpKind.RETIRE, target="m-all"),
            MemoryOp(kind=OpKind.ADD, item=better),
        ]
        workspace.bank.write(ops, "g2", "test")
        workspace.store.activate("g2")


def test_two_generations_are_served_at_once(tmp_path):
    asyncio.run(fill(tmp_path))
    with served(tmp_path) as url, httpx.Client(base_url=url) as http:
        before = [begin(http) for _ in range(2)]
        assert recalled(http, before[0]) == ["m-all"]
        asyncio.run(promote(tmp_path))
        after = begin(http)
        assert recalled(http, after) == ["m-new"]
        assert recalled(http, before[1]) == ["m-all"], "a session keeps its generation"
        assert recalled(http, begin(http, session=before[0])) == [], (
            "what it has it is not shown twice"
        )
    with Store.open(tmp_path / "instar.db", create=False) as store:
        lived = {id: store.trajectory(id) for id in (*before, after)}
    assert [lived[id].generation for id in (*before, after)] == ["g1", "g1", "g2"]
    assert [[m.item for m in lived[id].memories] for id in (*before, after)] == [
        ["m-all"],
        ["m-all"],
        ["m-new"],
    ]


def test_the_client_recalls_reports_and_counts(url, folder):
    client = Client(url, budget=5)
    session = client.session(**BEGIN)
    memories = session.recall()
    assert memories and [m.id for m in memories.memories] == ["m-all"]
    assert memories.text.count("look up the state first") == 1
    session.report(MESSAGES, prompt_tokens=3)
    session.outcome("pass", source="program")
    assert client.flush(10) and client.counts.sent == 4 and not client.counts.failed
    lived = stored(folder, session.id)
    assert lived.score.status is Status.PASS and len(lived.steps) == 2
    client.close()


def test_the_client_redacts_before_anything_leaves(url, folder):
    client = Client(url, budget=5, redact=lambda text: text.replace("417", "<order>"))
    session = client.session(**BEGIN)
    session.report(MESSAGES)
    assert client.flush(10)
    lived = stored(folder, session.id)
    assert "417" not in lived.task.instruction
    assert lived.steps[0].calls[0].arguments in (
        {"arguments": '{"id": <order>}'},
        {"id": "<order>"},
    )
    client.close()


def test_a_redaction_that_fails_sends_nothing_and_does_not_raise(url):
    def broken(text: str) -> str:
        raise RuntimeError("no rule for this")

    client = Client(url, redact=broken)
    assert not client.session(**BEGIN).recall()
    assert client.counts.failed and "no rule" in client.counts.last and not client.counts.sent


def test_without_a_service_the_agent_goes_on_as_before():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{sock.getsockname()[1]}")
        session = client.session(**BEGIN)
        assert not session.recall()
        session.report(MESSAGES)
        session.outcome("pass")
        assert client.flush(10) and client.counts.failed >= 3
        assert client.counts.last and "never began" not in client.counts.last
        client.close()


def test_a_service_that_does_not_answer_costs_no_more_than_the_budget():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", budget=0.05)
        session = client.session(**BEGIN)
        began = time.monotonic()
        assert not session.recall()
        assert time.monotonic() - began < 2 and client.counts.late == 1


def test_beginning_and_recalling_share_one_budget(url):
    class Watched(Client):
        def wait(self, done, until):
            limits.append(until)
            return super().wait(done, until)

    limits: list[float] = []
    client = Watched(url, budget=5)
    began = time.monotonic()
    assert client.session(**BEGIN).recall()
    assert len(limits) == 2 and limits[0] == limits[1] <= time.monotonic() + 5
    assert limits[0] >= began + 5
    client.close()


def test_a_body_of_unknown_length_is_refused_before_it_is_read(http):
    def endless():
        yield b'{"agent": "a", "task": "'
        yield b"x" * 10

    answer = http.post("/v1/sessions", content=endless())
    assert answer.status_code == 411 and "Content-Length" in answer.json()["error"]


def test_a_client_that_is_off_or_in_shadow_shows_nothing(url):
    off = Client(url, enabled=False)
    assert not off.session(**BEGIN).recall() and off.counts.sent == 0
    shadow = Client(url, budget=5, shadow=True)
    assert not shadow.session(**BEGIN).recall() and shadow.counts.sent == 2
    shadow.close()


def test_the_environment_sets_what_the_code_does_not(monkeypatch, caplog):
    monkeypatch.setenv("INSTAR_SHADOW", "1")
    monkeypatch.setenv("INSTAR_BUDGET", "3")
    assert Client().shadow and Client().budget == 3
    assert not Client(shadow=False).shadow and Client(budget=0.2).budget == 0.2
    monkeypatch.setenv("INSTAR_BUDGET", "150 ms")
    assert Client().budget == 0.15 and "set it to seconds" in caplog.text


def test_too_many_reports_are_dropped_and_counted_not_kept_for_ever(monkeypatch):
    from instar_client import _client as module

    monkeypatch.setattr(module, "_WAITING", 3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", budget=0.01)
        session = client.session(**BEGIN)
        for _ in range(10):
            session.report(MESSAGES)
        assert client.counts.dropped >= 6


# The command


def test_the_command_serves_until_it_is_asked_to_leave(folder):
    command = [
        sys.executable,
        "-m",
        "instar.cli",
        "serve",
        "--port",
        "0",
        "--workspace",
        str(folder),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as run:
        assert run.stderr is not None
        line = run.stderr.readline()
        address = line.split(" on ")[1].split(" ")[0]
        assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}
        session = httpx.post(f"{address}/v1/sessions", json=BEGIN).json()["session"]
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert stored(folder, session).task.instruction == BEGIN["task"]


def test_others_are_not_served_without_a_token(capsys, monkeypatch, tmp_path):
    from instar import cli

    monkeypatch.delenv("INSTAR_TOKEN", raising=False)
    with pytest.raises(SystemExit) as exited:
        cli.main(["serve", "--host", "0.0.0.0", "--workspace", str(tmp_path)])
    assert exited.value.code == 2 and "INSTAR_TOKEN" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as exited:
            cli.main(["serve", "--port", port, "--workspace", str(tmp_path)])
    assert exited.value.code == 2 and "--port 0" in capsys.readouterr().err


# Nonsense


def test_nonsense_of_every_kind_gets_an_answer_of_the_document_and_never_a_500(url):
    """What the OpenAPI document allows, and what it does not, drawn at random."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi import checks

    promised = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=12,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def drawn(case):
            answer = case.call(base_url=url)
            assert answer.status_code < 500, answer.text
            case.validate_response(answer, checks=promised)

        drawn()
