"""What `service.redact` finds is nowhere in a workspace, whichever door it came by; all else stays."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from gateway_upstream import upstream
from test_gateway import rigged
from test_service import TOKEN, fill, served

from instar.compose import Workspace
from instar.config import load_config
from instar.errors import ConfigError
from instar.mcp.desk import Desk
from instar.service._redacting import MARK, Redacting
from instar.store import Store
from instar.types import Result, Step, ToolCall

MAIL, CARD = "ada@example.com", "4111111111111111"
SETTINGS = ["service.redact=" + json.dumps([r"[\w.]+@[\w.]+\w", r"\b\d{16}\b"])]
TASK = f"refund order 417 of {MAIL}"
CALL = {
    "id": CARD,  # an id of a call is no text of anybody
    "type": "function",
    "function": {"name": "pay", "arguments": json.dumps({"to": MAIL, "card": int(CARD), "sum": 9})},
}
MESSAGES = [
    {"role": "user", "content": f"I am {MAIL}."},
    {"role": "assistant", "content": f"Paying {MAIL}.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": CARD, "content": f"paid to {CARD}"},
    {"role": "assistant", "content": f"{MAIL} is paid."},
]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_session_keeps_nothing_of_what_is_redacted(tmp_path):
    await fill(tmp_path)
    with served(tmp_path, settings=SETTINGS) as url, httpx.Client(base_url=f"{url}/v1") as http:
        begun = http.post("/sessions", json={"agent": "support", "task": TASK}).json()
        id = begun["session"]
        found = http.post(f"/sessions/{id}/recall", json={"about": f"refund order {CARD}"}).json()
        assert found["memories"], "what is left of the task still finds what it has to"
        for part in (MESSAGES[:2], MESSAGES[2:]):
            assert http.post(f"/sessions/{id}/steps", json={"messages": part}).status_code == 200
        told = {"status": "fail", "reason": f"{MAIL} wrote to us"}
        assert http.post(f"/sessions/{id}/outcome", json=told).status_code == 200
    with Store.open(tmp_path / "instar.db", create=False) as store:
        lived = store.trajectory(id)
    assert lived.task.instruction == f"refund order 417 of {MARK}"
    paying, done = lived.steps
    assert paying.observation == f"I am {MARK}." and paying.content == f"Paying {MARK}."
    assert paying.calls[0].id == CARD and paying.calls[0].name == "pay"
    assert paying.calls[0].arguments == {"to": MARK, "card": MARK, "sum": 9}
    assert paying.results[0].text == f"paid to {MARK}"
    assert done.content == lived.answer == f"{MARK} is paid."
    assert lived.score.evidence == f"{MARK} wrote to us"
    assert MAIL.encode() not in everything(tmp_path)


async def test_a_gateway_passes_on_what_it_does_not_keep(tmp_path):
    await fill(tmp_path)
    with upstream() as server, rigged(tmp_path, server, settings=SETTINGS) as rig:
        asked = [{"role": "user", "content": TASK}]
        answer = rig.post({"model": "m", "messages": asked})
        assert MAIL in answer.json()["choices"][0]["message"]["content"]
        assert MAIL in server.seen[0]["messages"][-1]["content"]
        reply = answer.json()["choices"][0]["message"]
        more = [*asked, reply, {"role": "user", "content": f"And {CARD}?"}]
        rig.post({"model": "m", "messages": more})
        (lived,) = rig.sessions()
    assert len(lived.steps) == 2, "the history that was sent still tells the conversation"
    assert lived.steps[1].observation == f"And {MARK}?"
    kept = everything(tmp_path)
    assert MAIL.encode() not in kept and CARD.encode() not in kept


async def test_what_a_client_of_mcp_saves_is_redacted_too(tmp_path):
    await fill(tmp_path)
    config = load_config(None, [f"workspace={json.dumps(str(tmp_path))}", *SETTINGS])
    async with Workspace.open(config) as workspace:
        saved = await Desk(workspace, "support").save("Ada", "refund order $1", f"write to {MAIL}")
        found = next(i for i in workspace.store.items("g1") if i.id == saved.memory)
        assert found.content == f"write to {MARK}"


@pytest.mark.parametrize(("pattern", "said"), [("(", "no regular expression"), (r"\d*", "empty")])
def test_a_pattern_that_cannot_be_meant_is_refused(pattern, said):
    with pytest.raises(ConfigError, match=said):
        load_config(None, [f"service.redact={json.dumps([pattern])}"])


def test_without_patterns_nothing_changes():
    call = ToolCall(id="c", name="pay", arguments={"deep": [{"card": 1, "ok": True, "no": None}]})
    step = Step(observation=MAIL, calls=(call,), results=(Result(text=TOKEN),))
    assert Redacting(()).step(step) is step
    kept = Redacting(("nowhere",)).step(step)
    assert kept == step
