"""The gateway over real HTTP: what passes, what is recorded, what is shown, and what may break."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from gateway_upstream import GARBAGE, Server, upstream
from test_service import fill

from instar.compose import Workspace
from instar.config import load_config
from instar.gateway._conversations import Conversations
from instar.gateway._litellm import LiteLLMUpstream
from instar.gateway.app import MOST_BYTES, Gateway
from instar.gateway.upstream import HttpUpstream, Upstream
from instar.store import Store
from instar.types import Status, StopReason, Trajectory

SUPPORT = {"Instar-Agent": "support"}
TOOL = {
    "type": "function",
    "function": {"name": "refund", "parameters": {"type": "object", "properties": {}}},
}
ASK = [{"role": "user", "content": "refund order 417"}]
KNOWN = "look up the state first"
HTTP = httpx.Client(timeout=30)  # one for all: each new one reads all certificates again


@dataclass
class Rig:
    """A gateway that runs, what it runs on, and what it runs before."""

    url: str
    folder: Path
    server: Server
    gateway: Gateway

    def client(self, **more: Any) -> openai.OpenAI:
        settings = {
            "api_key": "k",
            "max_retries": 0,
            "default_headers": SUPPORT,
            "http_client": HTTP,
        }
        settings |= more
        return openai.OpenAI(base_url=f"{self.url}/v1", **settings)

    def counts(self) -> dict[str, Any]:
        return HTTP.get(f"{self.url}/v1/gateway").json()

    def post(self, body: Any, **headers: str) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return HTTP.post(f"{self.url}/v1/chat/completions", content=raw, headers=SUPPORT | headers)

    def sessions(self) -> list[Trajectory]:
        """All that is on record, once nothing waits to be."""
        HTTP.post(f"{self.url}/v1/sessions/s-nobody/recall", json={})
        with Store.open(self.folder / "instar.db", create=False) as store:
            return sorted(store.trajectories(purpose="live"), key=lambda t: t.started)


@contextlib.contextmanager
def running(
    folder: Path, onward: Upstream, settings: Sequence[str] = (), **more: Any
) -> Iterator[tuple[str, Gateway]]:
    config = load_config(None, [f"workspace={json.dumps(str(folder))}", *settings])
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    ready: list[tuple[uvicorn.Server, Gateway]] = []

    async def run() -> None:
        async with Workspace.open(config) as workspace, Gateway(workspace, onward, **more) as app:
            server = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
            ready.append((uvicorn.Server(server), app))
            await ready[0][0].serve([sock])

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        while not ready or not ready[0][0].started:
            assert thread.is_alive(), "the gateway did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}", ready[0][1]
    finally:
        ready[0][0].should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with upstream() as one:
        yield one


@contextlib.contextmanager
def rigged(folder: Path, server: Server, timeout: float = 20.0, **more: Any) -> Iterator[Rig]:
    more = {"budget": 10.0} | more  # a slow machine must not make recall late
    with running(folder, HttpUpstream(server.url, timeout), **more) as (url, gateway):
        yield Rig(url, folder, server, gateway)


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("known")
    asyncio.run(fill(folder))
    return folder


@pytest.fixture(scope="module")
def shared(filled, server) -> Iterator[Rig]:
    with rigged(filled, server) as one:
        yield one


@pytest.fixture
def rig(shared) -> Rig:
    """A gateway over a workspace that knows something; forgets what earlier tests did."""
    shared.sessions()
    with sqlite3.connect(shared.folder / "instar.db") as database:
        database.execute("DELETE FROM trajectories WHERE stage = 'live'")
    shared.gateway._beside._derived = Conversations()
    shared.gateway.counts.__init__()
    for kept in (shared.server.seen, shared.server.headers, shared.server.others):
        kept.clear()
    return shared


def said(trajectory: Trajectory) -> list[str]:
    return [s.content for s in trajectory.steps]


# An agent joins by its base URL


def test_an_agent_with_tools_is_recorded_shown_memories_and_told_its_session(rig):
    messages: list[Any] = [{"role": "system", "content": "You help."}, *ASK]
    given = rig.client().chat.completions.with_raw_response
    first = given.create(model="m", messages=messages, tools=[TOOL])
    reply = first.parse().choices[0].message
    messages += [
        reply.model_dump(),
        {"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "refunded"},
    ]
    second = given.create(model="m", messages=messages, tools=[TOOL])
    session = first.headers["instar-session"]
    assert second.headers["instar-session"] == session
    texts = [body["messages"][0]["content"] for body in rig.server.seen]
    assert texts[0] == texts[1] and texts[0].startswith("You help.\n\n") and KNOWN in texts[0]
    assert rig.server.seen[1]["messages"][1:] == json.loads(json.dumps(messages[1:]))

    told = {"status": "pass", "source": "program"}
    assert HTTP.post(f"{rig.url}/v1/sessions/{session}/outcome", json=told).status_code == 200
    (lived,) = rig.sessions()
    assert lived.id == session and lived.task.instruction == "refund order 417"
    assert lived.task.namespace == "live/support" and lived.model == "m"
    assert [t.name for t in lived.tools] == ["refund"]
    assert [m.item for m in lived.memories] == ["m-all"] and lived.memories[0].since == 0
    assert lived.steps[0].calls[0].arguments == {"id": 417}
    assert [r.text for r in lived.steps[0].results] == ["refunded"]
    assert lived.answer == "you said refunded" and lived.score.status is Status.PASS
    assert lived.usage.prompt_tokens == 60 and lived.usage.calls == 2
    counts = rig.counts()
    assert (counts["calls"], counts["recorded"], counts["sessions"]) == (2, 2, 1)
    assert (counts["shown"], counts["recalled"], counts["failed"]) == (2, 1, 0)


def test_a_stream_arrives_as_it_comes_and_is_recorded(rig):
    rig.server.go_on.clear()
    chunks = rig.client().chat.completions.create(model="m", messages=ASK, stream=True)
    got = [next(chunks).choices[0].delta.content for _ in range(2)]
    assert got[1] == "you " and not rig.sessions()  # the second half is still held back
    rig.server.go_on.set()
    got += [c.choices[0].delta.content or "" for c in chunks]
    assert "".join(got) == "you said refund order 417 "
    assert said(rig.sessions()[0]) == ["you said refund order 417 "]


async def test_an_asynchronous_client_streams_calls_of_tools(rig):
    async with openai.AsyncOpenAI(
        base_url=f"{rig.url}/v1", api_key="k", default_headers=SUPPORT
    ) as client:
        stream = await client.chat.completions.create(
            model="m", messages=ASK, tools=[TOOL], stream=True
        )
        words = [
            c.choices[0].delta.tool_calls[0].function.arguments
            async for c in stream
            if c.choices[0].delta.tool_calls
        ]
    assert "".join(words) == '{"id": 417}'
    (lived,) = await asyncio.to_thread(rig.sessions)
    assert lived.steps[0].calls[0].arguments == {"id": 417}


def test_what_is_not_touched_goes_on_byte_by_byte(rig):
    body = b'{ "model":"m",   "messages":[{"role":"user","content":"hello \\u00e9"}] }'
    answer = rig.post(body, **{"Instar-Agent": "nobody", "Authorization": "Bearer theirs"})
    assert answer.json()["choices"][0]["message"]["content"] == "you said hello é"
    sent = rig.server.headers[0]
    assert sent["Authorization"] == "Bearer theirs" and sent["Content-Length"] == str(len(body))
    assert not [name for name in sent if name.lower().startswith("instar-")]


def test_other_requests_pass_with_their_query_and_body_and_are_not_recorded(rig):
    assert [m.id for m in rig.client().models.list()] == ["m"]
    answer = HTTP.post(f"{rig.url}/v1/files/a%2Fb?x=1&y=%20", content=b"\x00" * 70_000)
    assert answer.status_code == 200 and answer.headers["x-own"] == "1"
    assert rig.server.others[-1] == ("POST", "/v1/files/a%2Fb?x=1&y=%20", b"\x00" * 70_000)
    assert HTTP.delete(f"{rig.url}/v1/files/1").json() == {"path": "/v1/files/1"}
    assert rig.counts()["others"] == 3 and not rig.sessions()


# Whose call it is


def talk(client: openai.OpenAI, *turns: str, **more: Any) -> list[dict[str, Any]]:
    messages: list[Any] = []
    for turn in turns:
        messages.append({"role": "user", "content": turn})
        answer = client.chat.completions.create(model="m", messages=messages, **more)
        messages.append(answer.choices[0].message.model_dump(exclude_none=True))
    return messages


def test_two_conversations_that_begin_alike_stay_two(rig):
    client = rig.client()
    one = [{"role": "user", "content": "hi"}]
    answers = [client.chat.completions.create(model="m", messages=one) for _ in range(2)]
    reply = answers[0].choices[0].message.model_dump()
    for turn in ("left", "right"):
        client.chat.completions.create(
            model="m", messages=[*one, reply, {"role": "user", "content": turn}]
        )
    found = sorted(said(t) for t in rig.sessions())
    assert found == [["you said hi", "you said left"], ["you said hi", "you said right"]]


def test_conversations_at_once_lose_and_mix_nothing(rig):
    client = rig.client()
    threads = [
        threading.Thread(target=talk, args=(client, "hi", f"one {i}", f"two {i}"))
        for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted(said(t) for t in rig.sessions())
    expected = [["you said hi", f"you said one {i}", f"you said two {i}"] for i in range(12)]
    assert found == sorted(expected) and rig.counts()["sessions"] == 12


def test_a_failed_call_asked_again_goes_on_with_the_same_session(rig):
    rig.server.fail_next = 1
    client = rig.client(max_retries=1)
    client.chat.completions.create(model="m", messages=ASK)
    rig.server.fail_next = 1
    talk(client, "refund order 1", "and order 2")
    found = [said(t) for t in rig.sessions()]
    assert [len(one) for one in found] == [1, 2] and rig.counts()["recorded"] == 3


def test_agents_and_subjects_are_kept_apart(rig):
    client = rig.client()
    client.chat.completions.create(model="m", messages=ASK, user="ada")
    client.chat.completions.create(model="m", messages=ASK, extra_headers={"Instar-Subject": "bob"})
    client.chat.completions.create(model="m", messages=ASK, user="auth0|12 3")
    shown = [b["messages"][0] for b in rig.server.seen]
    assert "ada wants it in cash" in shown[0]["content"] and shown[1:] == [ASK[0], ASK[0]]
    places = [t.task.namespace for t in rig.sessions()]
    assert places[:2] == ["live/support/ada", "live/support/bob"]
    assert places[2].startswith("live/support/auth0-12-3-")


def test_a_session_begun_at_the_service_is_gone_on_with_by_name(rig):
    begun = HTTP.post(
        f"{rig.url}/v1/sessions", json={"agent": "support", "task": "refund order 417"}
    ).json()["session"]
    talk(rig.client(default_headers={"Instar-Session": begun}), "first", "second")
    # An agent that forgets what lies behind it is followed all the same.
    short = [{"role": "user", "content": "third"}]
    by_name = {"Instar-Session": begun}
    answer = rig.post({"model": "m", "messages": short}, **by_name)
    assert answer.headers["instar-session"] == begun
    (lived,) = rig.sessions()
    assert said(lived) == ["you said first", "you said second", "you said third"]
    assert [s.observation for s in lived.steps] == ["first", "second", "third"]
    assert KNOWN in rig.server.seen[0]["messages"][0]["content"]


def test_an_unknown_session_passes_and_is_counted(rig):
    answer = rig.post({"model": "m", "messages": ASK}, **{"Instar-Session": "s-nobody"})
    assert answer.status_code == 200 and "instar-session" not in answer.headers
    assert rig.server.seen[0]["messages"] == ASK and not rig.sessions()
    assert rig.counts()["failed"] == 1 and "s-nobody" in rig.counts()["last"]


def test_in_shadow_all_is_recorded_and_nothing_shown(rig):
    answer = rig.post({"model": "m", "messages": ASK}, **{"Instar-Shadow": "true"})
    assert answer.status_code == 200 and rig.server.seen[0]["messages"] == ASK
    (lived,) = rig.sessions()
    assert lived.arm == "shadow" and said(lived) and not lived.memories
    assert rig.counts()["recalled"] == 1 and rig.counts()["shown"] == 0


def test_a_history_from_elsewhere_is_recorded_whole(rig):
    history = [*ASK, {"role": "assistant", "content": "which one?"}]
    rig.post({"model": "m", "messages": [*history, {"role": "user", "content": "417"}]})
    assert said(rig.sessions()[0]) == ["which one?", "you said 417"]


def test_of_a_history_that_fits_nothing_the_reply_is_recorded(rig):
    orphan = {"role": "tool", "tool_call_id": "gone", "content": "refunded"}
    rig.post({"model": "m", "messages": [*ASK, orphan]})
    assert said(rig.sessions()[0]) == ["you said refunded"] and rig.counts()["failed"] == 0


def test_the_session_that_an_answer_names_can_be_named(rig):
    first = rig.post({"model": "m", "messages": ASK})
    named = {"Instar-Session": first.headers["instar-session"]}
    reply = first.json()["choices"][0]["message"]
    rig.post({"model": "m", "messages": [*ASK, reply, *ASK]}, **named)
    assert said(rig.sessions()[0]) == ["you said refund order 417"] * 2


# What breaks


@pytest.mark.parametrize("status", ["400", "401", "429", "500", "503"])
def test_a_refusal_passes_as_it_is(rig, status):
    answer = rig.post({"model": status, "messages": ASK})
    assert answer.status_code == int(status)
    assert answer.json() == {"error": {"message": f"status {status}"}}
    assert not rig.sessions()[0].steps and rig.counts()["failed"] == 0


def test_garbage_passes_untouched(rig):
    answer = rig.post({"model": "garbage", "messages": ASK, "stream": True})
    assert answer.content == GARBAGE and rig.counts()["unread"] == 1
    assert not rig.sessions()[0].steps


def test_a_stream_that_dies_ends_as_it_ended_and_what_came_is_recorded(rig):
    body = {"model": "dies", "messages": ASK, "stream": True}
    with (
        pytest.raises(httpx.RemoteProtocolError),
        HTTP.stream("POST", f"{rig.url}/v1/chat/completions", json=body, headers=SUPPORT) as got,
    ):
        raw = b"".join(iter_kept(got, parts := []))
    raw = b"".join(parts)
    assert b"refund" in raw and b"[DONE]" not in raw and b'finish_reason": "stop' not in raw
    (lived,) = rig.sessions()
    assert said(lived) == ["you said refund order "] and lived.stop is StopReason.FAULT
    assert rig.counts()["broken"] == 1
    again = rig.post({"model": "m", "messages": ASK})
    assert again.headers["instar-session"] == lived.id
    assert rig.sessions()[0].stop is StopReason.INTERRUPTED


def iter_kept(answer: httpx.Response, parts: list[bytes]) -> Iterator[bytes]:
    for chunk in answer.iter_raw():
        parts.append(chunk)
        yield chunk


def test_a_caller_that_leaves_stops_the_model_and_what_came_is_recorded(rig):
    rig.server.go_on.clear()
    rig.server.left.clear()
    chunks = rig.client().chat.completions.create(model="m", messages=ASK, stream=True)
    for _ in range(3):
        next(chunks)
    chunks.close()
    until = time.monotonic() + 10
    while not rig.counts()["left"] and time.monotonic() < until:
        time.sleep(0.01)
    rig.server.go_on.set()
    assert rig.server.left.wait(10)
    (lived,) = rig.sessions()
    assert said(lived) == ["you said "] and lived.stop is StopReason.INTERRUPTED


def test_a_server_that_closes_or_is_silent_or_gone_is_said_so(filled, server, tmp_path):
    with rigged(filled, server, timeout=0.3) as rig:
        closed = rig.post({"model": "closes", "messages": ASK})
        silent = rig.post({"model": "hangs", "messages": ASK})
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        nowhere = HttpUpstream(f"http://127.0.0.1:{sock.getsockname()[1]}/v1")
        with running(tmp_path, nowhere) as (url, _):
            gone = HTTP.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": ASK})
            models = HTTP.get(f"{url}/v1/models")
    assert (closed.status_code, silent.status_code) == (502, 504)
    assert gone.status_code == models.status_code == 502
    assert "broke the connection" in closed.json()["error"]["message"]
    assert "was silent for 0.3 s" in silent.json()["error"]["message"]
    assert "is the server running?" in gone.json()["error"]["message"]


def test_a_recall_over_its_budget_is_shown_in_the_next_call(rig, monkeypatch):
    beside, go = rig.gateway._beside, threading.Event()
    look = beside.sessions.look

    async def slow(*given):
        await asyncio.to_thread(go.wait, 20)
        return await look(*given)

    monkeypatch.setattr(beside.sessions, "look", slow)
    monkeypatch.setattr(beside, "_budget", 0.01)
    messages = talk(rig.client(), "refund order 417")
    assert rig.server.seen[0]["messages"] == ASK and rig.counts()["late"] == 1
    go.set()
    rig.sessions()
    messages.append({"role": "user", "content": "thanks"})
    rig.client().chat.completions.create(model="m", messages=messages)
    assert KNOWN in rig.server.seen[1]["messages"][0]["content"]
    (lived,) = rig.sessions()
    assert lived.memories[0].since == 1 and len(lived.steps) == 2


def test_where_nothing_was_remembered_no_session_waits_to_hear_it_again(server, tmp_path):
    with rigged(tmp_path, server) as rig:
        talk(rig.client(), "hello")
        rig.sessions()
        asyncio.run(fill(tmp_path))
        go = threading.Event()
        rig.gateway._beside._lane.put(lambda: asyncio.to_thread(go.wait, 20), urgent=True)
        messages = talk(rig.client(), "refund order 417")
        assert KNOWN not in str(rig.server.seen[-1]) and rig.counts()["late"] == 0
        go.set()
        rig.sessions()
        messages.append({"role": "user", "content": "thanks"})
        rig.client().chat.completions.create(model="m", messages=messages)
        assert KNOWN in str(rig.server.seen[-1])
        assert [len(one.steps) for one in rig.sessions()] == [1, 2]
        assert [m.since for one in rig.sessions() for m in one.memories] == [1]


def test_whatever_of_ours_fails_the_agent_is_answered(filled, server, tmp_path):
    """A database that was deleted under the gateway, and one that another process holds."""
    with rigged(tmp_path, server, budget=0.05) as rig:
        with sqlite3.connect(tmp_path / "instar.db", isolation_level=None) as database:
            database.execute("BEGIN IMMEDIATE")
            assert rig.post({"model": "m", "messages": ASK}).status_code == 200
            database.execute("ROLLBACK")
        assert said(rig.sessions()[0]) == ["you said refund order 417"]
        with sqlite3.connect(tmp_path / "instar.db") as database:
            database.execute("DROP TABLE trajectories")
        for _ in range(2):
            answer = rig.post({"model": "m", "messages": ASK})
            assert answer.status_code == 200 and "you said" in answer.text
        until = time.monotonic() + 10
        while not rig.counts()["failed"] and time.monotonic() < until:
            time.sleep(0.01)
        assert rig.counts()["failed"] and "\n" not in rig.counts()["last"]


BODIES = {
    "no json": b"{",
    "binary": b"\x00\xff\xfe",
    "nothing": b"",
    "a list": b"[1]",
    "no messages": b'{"model": "m"}',
    "messages of numbers": b'{"messages": [1, null]}',
    "deep": b'{"messages":' + b"[" * 100_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_request_is_judged_by_its_upstream(rig, name):
    answer = rig.post(BODIES[name])
    assert answer.status_code == 400 and "that is no request" in answer.text
    assert not rig.sessions() and rig.counts()["failed"] == 0


def test_its_counts_stand_among_the_metrics(rig):
    rig.post({"model": "m", "messages": ASK})
    text = HTTP.get(rig.url.removesuffix("/v1") + "/metrics").text
    assert 'instar_gateway_events_total{event="calls"} 1.0' in text
    assert 'instar_gateway_events_total{event="late"} 0.0' in text and 'event="last"' not in text


def test_what_is_too_long_or_leads_elsewhere_is_refused(rig):
    huge = rig.post(b"x" * (MOST_BYTES + 1))
    assert huge.status_code == 413 and "20,000,000 bytes" in huge.json()["error"]["message"]
    with socket.create_connection(("127.0.0.1", int(rig.url.rpartition(":")[2]))) as raw:
        raw.sendall(b"GET /v1/../admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"404" in raw.makefile("rb").readline()
    wrong = HTTP.post(f"{rig.url}/chat/completions", json={"model": "m", "messages": ASK})
    assert wrong.status_code == 404 and "ends in /v1" in wrong.json()["error"]["message"]
    assert HTTP.get(f"{rig.url}/nowhere").status_code == 404
    odd = rig.post({"model": "m", "messages": ASK}, **{"Instar-Agent": "../x"})
    assert odd.status_code == 200 and rig.counts()["failed"] == 1
    assert rig.counts()["last"].startswith("UserError: agent of a request: ")


# Keys


def test_the_token_is_the_key_of_clients_and_never_goes_on(filled, server):
    server.headers.clear()
    with rigged(filled, server, token="t0ken", key="upstream-key") as rig:
        with pytest.raises(openai.AuthenticationError, match="token of this gateway"):
            rig.client(api_key="wrong").chat.completions.create(model="m", messages=ASK)
        assert HTTP.get(f"{rig.url}/v1/gateway").status_code == 401
        rig.client(api_key="t0ken").chat.completions.create(model="m", messages=ASK)
        own = {"Instar-Token": "t0ken", **SUPPORT}
        rig.client(api_key="mine", default_headers=own).chat.completions.create(
            model="m", messages=ASK
        )
    sent = [h.get("Authorization") for h in server.headers]
    assert sent == ["Bearer upstream-key", "Bearer mine"]


# A model of litellm's


def test_a_model_of_litellm_answers_streams_and_is_recorded(tmp_path, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-gateway")
    server.seen.clear()
    server.headers.clear()
    with running(tmp_path, LiteLLMUpstream("openai/real", server.url)) as (url, gateway):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0, http_client=HTTP)
        assert [m.id for m in client.models.list()] == ["openai/real"]
        whole = client.chat.completions.create(model="any", messages=ASK, tools=[TOOL])
        assert whole.choices[0].message.tool_calls[0].function.name == "refund"
        stream = client.chat.completions.create(model="any", messages=ASK, stream=True)
        words = "".join(c.choices[0].delta.content or "" for c in stream)
        assert words.strip() == "you said refund order 417"
        evil = {"model": "m", "messages": ASK, "api_base": "http://127.0.0.1:9", "api_key": "y"}
        assert HTTP.post(f"{url}/v1/chat/completions", json=evil).status_code == 200
        assert {h["Authorization"] for h in server.headers} == {"Bearer of-the-gateway"}
        assert server.seen[0]["model"] == "real"
        for body in (b"{", b"[]", b'{"messages": 3}'):
            refused = HTTP.post(f"{url}/v1/chat/completions", content=body)
            assert refused.status_code == 400 and refused.json()["error"]["message"]
        assert HTTP.post(f"{url}/v1/embeddings", json={}).status_code == 404
        assert gateway.counts.recorded == 3


def test_a_refusal_of_a_litellm_model_keeps_its_status(tmp_path, server):
    with running(tmp_path, LiteLLMUpstream("openai/429", server.url)) as (url, _):
        answer = HTTP.post(f"{url}/v1/chat/completions", json={"messages": ASK})
    assert answer.status_code == 429 and "\n" not in answer.json()["error"]["message"]


# The command


def test_the_command_stands_before_a_server_and_drains_when_it_leaves(tmp_path, server):
    command = [sys.executable, "-m", "instar.cli", "gateway", "--port", "0"]
    command += ["--upstream", server.url, "--workspace", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as run:
        assert run.stderr is not None
        line = run.stderr.readline()
        base = line.split("OPENAI_BASE_URL=")[1].split(" ")[0]
        client = openai.OpenAI(base_url=base, api_key="k", max_retries=0, http_client=HTTP)
        for turn in range(20):
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": str(turn)}]
            )
        run.terminate()
        rest = run.stderr.read()
        run.wait()
    assert "Traceback" not in rest, rest
    with Store.open(tmp_path / "instar.db", create=False) as store:
        lived = store.trajectories(purpose="live")
    assert sorted(t.answer for t in lived) == sorted(f"you said {i}" for i in range(20))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--upstream", "nowhere"], "Give a base URL"),
        (["--upstream", "http://localhost:8765/v1"], "is the gateway itself"),
        (["--host", "0.0.0.0"], "INSTAR_TOKEN"),
    ],
)
def test_mistakes_in_the_command_are_said_in_a_sentence(capsys, monkeypatch, tmp_path, given, said):
    from instar import cli

    monkeypatch.delenv("INSTAR_TOKEN", raising=False)
    with pytest.raises(SystemExit) as exited:
        cli.main(["gateway", *given, "--workspace", str(tmp_path)])
    assert exited.value.code == 2 and said in capsys.readouterr().err
