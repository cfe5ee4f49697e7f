"""An agent in Node that joins by its base URL alone: recorded, told what is known, its stream intact."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_double import Endpoint, calling
from stores import generation

from instar.compose import Workspace
from instar.config import load_config
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind

AGENT = Path(__file__).resolve().parent.parent / "examples" / "node_agent"
LESSON = "pay back what was sent back by voucher"
REQUEST = "refund order 418"
SAID = "Order 418 is refunded by voucher."
PATIENCE = 60.0

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="needs Node"),
    pytest.mark.skipif(
        not (AGENT / "node_modules").is_dir(), reason="to run it: npm ci in examples/node_agent"
    ),
]


def clerk(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A model that pays to the card, and knows better only where it is told."""
    if messages[-1]["role"] == "tool":
        return {"role": "assistant", "content": messages[-1]["content"]}
    told = any(LESSON in m["content"] for m in messages if m["role"] == "system")
    return calling("refund", order="418", **({"way": "voucher"} if told else {}))


class Turnstile:
    """Lets a stream go on by one chunk at a time, as soon as the last word has come out."""

    def __init__(self) -> None:
        self._may = threading.Semaphore(2)  # the call and its end, which print nothing
        self.waited_in_vain = False

    def gate(self) -> None:
        self.waited_in_vain |= not self._may.acquire(timeout=PATIENCE)

    def open(self) -> None:
        self._may.release()


def said(url: str, turnstile: Turnstile, words: list[str]) -> None:
    """Run the agent; each word has to be printed before the next one is sent."""
    environment = os.environ | {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none"}
    command = ["node", "agent.mjs", REQUEST]
    with subprocess.Popen(command, cwd=AGENT, env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout
        for word in words:
            turnstile.open()
            assert run.stdout.read(len(word) + 1).decode() == f"{word} "
            assert not turnstile.waited_in_vain, f"{word} was held back"
        turnstile.open()
        assert run.stdout.read() == b"\n" and run.wait(PATIENCE) == 0


async def fill(folder: Path) -> None:
    """A workspace whose active generation knows something."""
    config = load_config(None, [f"workspace={json.dumps(str(folder))}"])
    async with Workspace.open(config) as workspace:
        workspace.store.add_generation(generation("g1"))
        workspace.store.activate("g1")
        item = MemoryItem(
            id="m1",
            title="",
            when="refund order $1",
            content=LESSON,
            kind=MemoryKind.LESSON,
            namespace="live/gateway",
        )
        workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=item)], "g1", "test")


@contextlib.contextmanager
def gateway(folder: Path, upstream: str) -> Iterator[str]:
    """The command, before an endpoint; its base URL."""
    command = [sys.executable, "-m", "instar.cli", "gateway", "--port", "0", "--budget", "20000"]
    command += ["--upstream", upstream, "--workspace", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr
        found = re.search(r"OPENAI_BASE_URL=(\S+)", run.stderr.readline())
        assert found, run.stderr.read()
        yield found[1]
        run.send_signal(signal.SIGINT)
        run.wait(PATIENCE)


def test_it_works_by_itself():
    turnstile = Turnstile()
    model = Endpoint(clerk, turnstile.gate)
    with model.served() as url:
        said(url, turnstile, ["Only", "a", "paid", "order", "goes", "back", "to", "the", "card."])
    assert len(model.seen) == 2


def test_it_joins_by_its_base_url_alone(tmp_path):
    asyncio.run(fill(tmp_path))
    turnstile = Turnstile()
    model = Endpoint(clerk, turnstile.gate)
    with model.served() as upstream, gateway(tmp_path, upstream) as url:
        said(url, turnstile, SAID.split())
    assert [LESSON in json.dumps(messages) for messages in model.seen] == [True, True]
    with Store.open(tmp_path / "instar.db", create=False) as store:
        (lived,) = store.trajectories(purpose="live")
    assert lived.task.instruction == REQUEST and lived.answer.strip() == SAID
    assert [m.content for m in lived.memories] == [LESSON]
    call, answer = lived.steps
    assert call.calls[0].arguments == {"order": "418", "way": "voucher"}
    assert call.results[0].text == SAID and not answer.calls
