"""Nonsense in requests, headers and replies, drawn at random: it passes as it is, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from gateway_upstream import event, upstream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_gateway import Rig, rigged

NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "role",
        "content",
        "tools",
        "tool_calls",
        "function",
        "name",
        "id",
        "arguments",
        "tool_call_id",
        "user",
        "stream",
        "choices",
        "delta",
        "message",
        "index",
        "usage",
        "prompt_tokens",
        "finish_reason",
        "type",
        "text",
    ]
)
WORDS = st.sampled_from(["system", "user", "assistant", "tool", "hi", "", "\ud800", "{", "0"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
CALL = st.fixed_dictionaries({"function": st.dictionaries(NAMES, LEAVES, max_size=3)}) | JSON
MESSAGE = st.fixed_dictionaries(
    {"role": WORDS | LEAVES}, optional={"content": JSON, "tool_calls": st.lists(CALL) | JSON}
)
BODY = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=5)},
    optional={"tools": st.lists(CALL, max_size=3) | JSON, "user": LEAVES, "model": LEAVES},
)
REQUEST = st.binary(max_size=40) | st.one_of(BODY, BODY, JSON).map(
    lambda found: json.dumps(found).encode()
)
REPLY = st.fixed_dictionaries({"message": MESSAGE | JSON, "index": st.just(0) | LEAVES})
EVENT = st.fixed_dictionaries({"delta": MESSAGE | JSON, "finish_reason": LEAVES})
GOOD = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}}]}
ANSWER = (
    st.just(json.dumps(GOOD).encode())
    | st.binary(max_size=40)
    | st.lists(REPLY, max_size=2).map(lambda found: json.dumps({"choices": found}).encode())
    | st.lists(EVENT | JSON.map(lambda found: {"delta": found}), max_size=4).map(
        lambda found: b"".join(event("m", e) for e in found) + b"data: [DONE]\n\n"
    )
)
HEADER = st.sampled_from(["", "a", "../x", "s-1", "true", "\xff", "x" * 300])
HEADERS = st.just({}) | st.dictionaries(
    st.sampled_from(["Instar-Agent", "Instar-Subject", "Instar-Session", "Instar-Shadow"]), HEADER
)
DRAWN = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory) -> Iterator[Rig]:
    with upstream() as server, rigged(tmp_path_factory.mktemp("fuzz"), server) as one:
        yield one


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20) as client:
        yield client


def test_nonsense_passes_as_it_is_whoever_sends_it(rig, http):
    at = f"{rig.url}/v1/chat/completions"

    @DRAWN
    @given(body=REQUEST, headers=HEADERS, answer=ANSWER)
    def drawn(body, headers, answer):
        rig.server.fixed = answer
        raw = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
        got = http.post(at, content=body, headers=raw)
        assert (got.status_code, got.content) == (200, answer)

    drawn()
    lived = rig.sessions()
    counts = rig.counts()
    assert counts["calls"] >= 150 and counts["broken"] == counts["left"] == 0
    assert counts["recorded"] > 10 and len(lived) > 10, counts


PATHS = st.text("abc/.%?=&~ü\x00", max_size=12) | st.sampled_from(
    ["models", "gateway", "sessions", "sessions/x/outcome", "chat/completions", "worth"]
)


def test_no_path_or_method_breaks_it(rig, http):
    rig.server.fixed = b"fixed"

    @DRAWN
    @given(
        path=PATHS, method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]), body=REQUEST
    )
    def drawn(path, method, body):
        got = http.request(method, f"{rig.url}/v1/{quote(path, '/.?=&~')}", content=body)
        assert got.status_code < 500, got.text

    drawn()
