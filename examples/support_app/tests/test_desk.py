"""What the desk does with a request, by call, over HTTP and by its command."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from app import PASSED_ON, Desk, main, service
from doubles import Model, Office, call, serving
from fastapi.testclient import TestClient

from agent.config import Settings
from agent.prompt import PROMPT

DONE = "Order 417 is refunded."
WAY = [call("refund", order=417), call("find_order", order=417), call("refund", order=417), DONE]


def test_a_request_is_carried_out(desk: Desk, model: Model, office: Office) -> None:
    model.script = [*WAY]
    ticket = desk.solve("refund order 417")
    assert ticket.answer == DONE and office.orders[417] == "refunded"
    assert office.used == [("refund", 417), ("find_order", 417), ("refund", 417)]
    assert all(messages[0]["content"] == PROMPT for messages in model.seen)


def test_what_the_office_refuses_is_read_by_the_model(
    desk: Desk, model: Model, office: Office
) -> None:
    model.script = [call("find_order", order=9), "There is no such order."]
    assert desk.solve("refund order 9").answer == "There is no such order."
    assert "There is no order 9." in model.seen[1][-1]["content"]
    assert office.orders == {417: "paid", 418: "sent back"}


def test_tools_may_be_used_at_once(desk: Desk, model: Model, office: Office) -> None:
    calls = [call("find_order", order=n)["tool_calls"][0] | {"id": f"c{n}"} for n in (417, 418)]
    model.script = [{"role": "assistant", "content": None, "tool_calls": calls}, "Both are here."]
    assert desk.solve("where are orders 417 and 418?").answer == "Both are here."
    assert [m["content"] for m in model.seen[1][-2:]] == [
        "Order 417 is paid.",
        "Order 418 is sent back.",
    ]


def test_a_request_without_an_end_goes_to_a_person(model: Model, office: Office) -> None:
    desk = Desk(replace(Settings.read(), most_turns=3))
    model.script = [call("find_order", order=417)] * 9
    assert desk.solve("refund order 417").answer == PASSED_ON and len(office.used) == 3


def test_requests_over_http_are_rated_afterwards(desk: Desk, model: Model, office: Office) -> None:
    http = TestClient(service(desk))
    model.script = [*WAY]
    told = http.post("/solve", json={"instruction": "refund order 417"}).json()
    assert told["answer"] == DONE
    kept = f"/tickets/{told['ticket']}"
    assert http.get(kept).json()["solved"] is None
    assert http.post(f"{kept}/rating", json={"solved": True}).status_code == 204
    assert http.get(kept).json()["solved"] is True
    assert http.post("/tickets/none/rating", json={"solved": True}).status_code == 404


def test_a_request_may_name_another_office(desk: Desk, model: Model, office: Office) -> None:
    http, other = TestClient(service(desk)), Office()
    model.script = [call("find_order", order=418), "It is back."]
    with serving(other.tools, other.use) as url:
        asked = {"instruction": "where is order 418?", "tools_url": url}
        assert http.post("/solve", json=asked).json()["answer"] == "It is back."
    assert other.used and not office.used


def test_an_office_that_is_closed_is_said_in_a_sentence(desk: Desk) -> None:
    asked = {"instruction": "where is order 418?", "tools_url": "http://127.0.0.1:9"}
    told = TestClient(service(desk)).post("/solve", json=asked)
    assert told.status_code == 502 and "cannot work" in told.json()["detail"]


def test_the_command_answers(model: Model, office: Office) -> None:
    model.script = [*WAY]
    command = [sys.executable, "-m", "app"]
    asked = "refund order 417\n"
    ran = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0 and ran.stdout == f"{DONE}\n", ran.stderr
    assert office.orders[417] == "refunded"


def test_the_command_says_when_the_office_is_closed(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFICE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(sys, "argv", ["app", "refund order 417"])
    with pytest.raises(SystemExit, match="The desk cannot work"):
        main()
