"""Requests that are wrong, late or never whole, on every route: an answer in a sentence, and the others served."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from test_service import BEGIN, MESSAGES, TOKEN, begin, folder, http, served, url  # noqa: F401

from instar.service.around import MOST_BYTES, Limited

SENT = {"recall": {}, "steps": {"messages": MESSAGES}, "outcome": {"status": "pass"}}
AS_JSON = {"content-type": "application/json"}


def paths(session: str) -> list[str]:
    return ["/v1/sessions", *(f"/v1/sessions/{session}/{what}" for what in SENT)]


@pytest.mark.parametrize("body", [b"\x89PNG\r\n\x1a\n\x00\xff", b"\xff\xfe\x00{", b"", b"null"])
def test_a_body_that_is_no_json_object_is_refused_everywhere(http, body):  # noqa: F811
    for path in paths(begin(http)):
        for headers in (AS_JSON, {"content-type": "application/octet-stream"}, {}):
            answer = http.post(path, content=body, headers=headers)
            error = answer.json()["error"]
            assert answer.status_code in (400, 422), (path, answer.text)
            assert "\n" not in error and "Traceback" not in error


def test_half_a_character_or_a_number_that_is_none_is_refused_and_costs_nothing(http):  # noqa: F811
    session = begin(http)
    steps = f"/v1/sessions/{session}/steps"
    said = r'{"messages": [{"role": "assistant", "content": "half \ud800"}]}'
    tool = r'{"agent": "a", "task": "t", "tools": [{"name": "x\udfff"}]}'
    odd = '{"messages": [{"role": "assistant", "content": "x", "odd": NaN}]}'
    for path, body in ((steps, said), ("/v1/sessions", tool), (steps, odd)):
        answer = http.post(path, content=body.encode(), headers=AS_JSON)
        assert answer.status_code == 422, answer.text
        assert "a number or a text in it is none" in answer.json()["error"]
    assert http.post(steps, json=SENT["steps"]).json()["steps"] == 2


def test_a_newer_client_is_told_so_everywhere(http):  # noqa: F811
    session = begin(http)
    bodies = [BEGIN, *SENT.values()]
    for path, body in zip(paths(session), bodies, strict=True):
        answer = http.post(path, json=body, headers={"Instar-API": "2"})
        assert answer.status_code == 400 and "update Instar" in answer.json()["error"]
    odd = http.post("/v1/sessions", json=BEGIN, headers={"Instar-API": "new"})
    assert odd.status_code == 422 and "instar-api" in odd.json()["error"]


def test_an_outcome_before_its_session_is_refused_and_fits_once_there_is_one(http):  # noqa: F811
    told = SENT["outcome"]
    early = http.post("/v1/sessions/s-tomorrow/outcome", json=told)
    assert early.status_code == 404 and "Begin one first" in early.json()["error"]
    session = begin(http)
    # Before anything else of it was reported.
    first = http.post(f"/v1/sessions/{session}/outcome", json=told)
    assert first.json() == {"session": session, "steps": 0}
    again = http.post(f"/v1/sessions/{session}/outcome", json=told)
    assert again.json() == first.json()
    late = http.post(f"/v1/sessions/{session}/steps", json=SENT["steps"])
    assert late.status_code == 200 and late.json()["steps"] == 2


def test_a_method_or_a_place_that_is_not_there_is_said_to_be(http):  # noqa: F811
    wrong = http.put("/v1/sessions", json=BEGIN)
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST" and wrong.json()["error"]
    nowhere = http.get("/v2/sessions")
    assert nowhere.status_code == 404 and "/docs" in nowhere.json()["error"]
    assert http.get("/").headers["location"] == "/docs"


def test_without_the_token_a_caller_learns_which_kind_is_wanted(folder):  # noqa: F811
    with served(folder, TOKEN) as url, httpx.Client(base_url=url) as http:  # noqa: F811
        for path in ("/v1/worth", "/metrics"):
            answer = http.get(path)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        borne = {"Authorization": f"Bearer {TOKEN}"}
        assert http.get("/metrics", headers=borne).status_code == 200
        # The page of documentation can be told the token.
        document = http.get("/openapi.json").json()
        assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


# Requests that never end


@pytest.fixture
def hurried(folder) -> Iterator[str]:  # noqa: F811
    """The service, waiting for bodies no longer than a fifth of a second."""
    with served(folder, around=lambda app: Limited(app, 0.2)) as url:  # noqa: F811
        yield url


def dawdle(url: str, sent: bytes) -> socket.socket:  # noqa: F811
    where = urlsplit(url)
    dawdler = socket.create_connection((where.hostname, where.port))
    dawdler.settimeout(30)
    dawdler.sendall(sent)
    return dawdler


def test_a_body_that_does_not_arrive_is_given_up(hurried):
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    with dawdle(hurried, head + b'{"agent": ') as dawdler:
        said = b"".join(iter(lambda: dawdler.recv(4096), b""))  # to the end: it is hung up
    assert said.startswith(b"HTTP/1.1 408") and b"longer than 0.2 seconds" in said


def test_a_body_that_is_too_long_is_refused_after_it_was_sent(url):  # noqa: F811
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MOST_BYTES + 9)
    with dawdle(url, head + b"x" * MOST_BYTES) as dawdler:
        # Answered and hung up by now, the sender would see a reset.
        assert not select.select([dawdler], [], [], 0.05)[0]
        dawdler.sendall(b"x" * 9)
        said = b"".join(iter(lambda: dawdler.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 413") and b"2,000,000 bytes" in said


def test_a_body_in_pieces_is_put_together(hurried):
    body = json.dumps(BEGIN).encode()
    lines = ["POST /v1/sessions HTTP/1.1", "Host: x", "Content-Type: application/json"]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    with dawdle(hurried, head.encode() + body[:9]) as dawdler:
        time.sleep(0.05)
        dawdler.sendall(body[9:])
        assert dawdler.recv(4096).startswith(b"HTTP/1.1 201")


def test_those_who_never_finish_a_request_keep_nobody_else_waiting(url):  # noqa: F811
    starts = [b"POST /v1/ses", b"GET / HTTP/1.1\r\nHost: x\r\n", b""]
    dawdlers = [dawdle(url, starts[i % 3]) for i in range(60)]
    try:
        with httpx.Client(base_url=url, timeout=10) as http:
            assert http.post(f"/v1/sessions/{begin(http)}/recall", json={}).status_code == 200
    finally:
        for dawdler in dawdlers:
            dawdler.close()
