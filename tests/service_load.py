"""A real service process under sessions of many agents at once, and a ledger of what it has acknowledged.

The process may be killed and begun again on the same port while they go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from instar_client import Client
from stores import generation

from instar.compose import Workspace
from instar.config import load_config
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind

AGENTS = [f"agent{n}" for n in range(8)]
_VERBS = ["refund", "cancel", "ship", "return", "escalate", "merge", "audit", "rename"]
_THINGS = ["order", "ticket", "invoice", "account", "parcel", "contract", "voucher", "lead"]
_PATIENCE = 120


def fill(folder: Path, memories: int) -> None:
    """A workspace whose active generation remembers so much, for all agents alike."""

    async def run() -> None:
        config = load_config(None, [f"workspace={json.dumps(str(folder))}"])
        async with Workspace.open(config) as workspace:
            workspace.store.add_generation(generation("g1"))
            workspace.store.activate("g1")
            ops = [MemoryOp(kind=OpKind.ADD, item=_memory(n)) for n in range(memories)]
            workspace.bank.write(ops, "g1", "soak")

    asyncio.run(run())


def _memory(number: int) -> MemoryItem:
    return MemoryItem(
        id=f"m{number}",
        title=f"rule {number}",
        when=_task(number),
        content=f"look up rule {number} first " * 8,
        kind=MemoryKind.LESSON,
        namespace=f"live/{AGENTS[number % len(AGENTS)]}",
    )


def _task(number: int) -> str:
    verb, thing = _VERBS[number // 8 % 8], _THINGS[number // 64 % 8]
    return f"{verb} {thing} number {number} of customer {number * 7919 % 9973}"


class Service:
    """``instar serve`` in a process of its own.

    Args:
        folder: The workspace.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, 0
        self.log = folder.with_suffix(".log")
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Begin, or begin again on the port it had."""
        command = [sys.executable, "-m", "instar.cli", "serve", "--port", str(self._port)]
        with self.log.open("a") as log:
            before = log.tell()
            self._process = subprocess.Popen(
                [*command, "--workspace", str(self._folder)], stderr=log, env=dict(os.environ)
            )
        until = time.monotonic() + _PATIENCE
        while not (found := re.search(r" on http://[^:]+:(\d+)", self.said(before))):
            assert self._process.poll() is None, self.said(before)
            assert time.monotonic() < until, "it does not start"
            time.sleep(0.02)
        self._port = int(found.group(1))

    def said(self, since: int = 0) -> str:
        """What it wrote to stderr."""
        return self.log.read_text()[since:]

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._process.terminate()
        self._process.wait(_PATIENCE)

    @property
    def megabytes(self) -> float:
        """Memory that it holds."""
        return psutil.Process(self._process.pid).memory_info().rss / 1e6


class Ledger:
    """What the service has acknowledged, by session, to be looked for in the store.

    Attributes:
        begun: Sessions.
        turns: What was reported, each turn in words of its own.
        outcomes: The last outcome.
        open: Sessions of which something was sent and not acknowledged, so that more may be there.
        recalls: Seconds that recalls took.
        refused: Answers that are no success, by status and sentence.
        lost: Requests that were not answered.
    """

    def __init__(self) -> None:
        self.begun: set[str] = set()
        self.turns: dict[str, list[str]] = {}
        self.outcomes: dict[str, str] = {}
        self.open: set[str] = set()
        self.recalls: list[float] = []
        self.refused: Counter[str] = Counter()
        self.lost = 0

    @property
    def reports(self) -> int:
        return sum(map(len, self.turns.values()))

    def check(self, folder: Path) -> None:
        """Every acknowledged word is in the store once, in its order."""
        with Store.open(folder / "instar.db", create=False) as store:
            assert store.check() is None
            for session in self.begun:
                lived = store.trajectory(session)
                kept = [step.content.split(" ", 1)[0] for step in lived.steps]
                told = self.turns.get(session, [])
                assert len(set(kept)) == len(kept), f"{session} has a turn twice"
                if session in self.open:
                    assert [turn for turn in kept if turn in set(told)] == told, session
                else:
                    assert kept == told, session
                outcome = self.outcomes.get(session)
                if outcome is not None:
                    assert lived.score.status.value == outcome, session

    def percentile(self, share: float) -> float:
        """Milliseconds within which such a share of the recalls was answered."""
        took = sorted(self.recalls)
        return 1e3 * took[min(len(took) - 1, int(share * len(took)))]


class Load:
    """Agents at work, each with one session after the other.

    Args:
        service: Asked by all.
        think: Seconds between two requests of an agent, on average.

    Attributes:
        over: Set once they are to leave off.
    """

    def __init__(self, service: Service, think: float) -> None:
        self.ledger = Ledger()
        self.over = threading.Event()
        self._service, self._think = service, think

    async def run(self, agents: int) -> None:
        """All of them, on one loop."""
        limits = aiohttp.TCPConnector(limit=0)
        patience = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=limits, timeout=patience) as http:
            await asyncio.gather(*(self._agent(http, number) for number in range(agents)))

    async def _agent(self, http: aiohttp.ClientSession, number: int) -> None:
        draw = random.Random(number)
        await asyncio.sleep(draw.uniform(0, 2 * self._think))
        while not self.over.is_set():
            await self._session(http, draw)

    async def _session(self, http: aiohttp.ClientSession, draw: random.Random) -> None:
        about = draw.randrange(4096)
        asked = {"agent": AGENTS[about % len(AGENTS)], "task": _task(about)}
        begun = await self._ask(http, "/v1/sessions", asked, draw)
        if begun is None:
            return
        session = begun["session"]
        self.ledger.begun.add(session)
        await self._of(http, session, "recall", {}, draw)
        # One in twenty goes on for long.
        turns = 120 if draw.random() < 0.05 else draw.randint(2, 12)
        for turn in range(turns):
            if self.over.is_set():
                break
            said = f"{session}-{turn}"
            if await self._of(http, session, "steps", _turn(said), draw) is not None:
                self.ledger.turns.setdefault(session, []).append(said)
        status = draw.choice(["pass", "fail"])
        if await self._of(http, session, "outcome", {"status": status}, draw) is not None:
            self.ledger.outcomes[session] = status

    async def _of(
        self, http: aiohttp.ClientSession, session: str, what: str, body: Any, draw: random.Random
    ) -> Any:
        answer = await self._ask(http, f"/v1/sessions/{session}/{what}", body, draw)
        if answer is None and what != "recall":
            self.ledger.open.add(session)
        return answer

    async def _ask(
        self, http: aiohttp.ClientSession, path: str, body: Any, draw: random.Random
    ) -> Any:
        """An answer; None where there is none."""
        await asyncio.sleep(draw.uniform(0.5, 1.5) * self._think)
        began = time.perf_counter()
        try:
            async with http.post(self._service.url + path, json=body) as answer:
                found = await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            self.ledger.lost += 1
            return None
        if answer.status >= 400:
            self.ledger.refused[f"{answer.status}: {found['error']}"] += 1
            return None
        if path.endswith("/recall"):
            self.ledger.recalls.append(time.perf_counter() - began)
        return found


def _turn(said: str) -> dict[str, Any]:
    call = {"id": "c1", "function": {"name": "look_up", "arguments": json.dumps({"of": said})}}
    messages = [
        {"role": "assistant", "content": f"{said} I look it up.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a page of what there is. " * 40},
    ]
    return {"messages": messages, "prompt_tokens": 900, "completion_tokens": 60}


class Watched(Client):
    """The client that people use, with a ledger beside it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent: list[tuple[Any, str, Any, Any]] = []

    def send_of(self, begun: Any, what: str, body: Any) -> Any:
        done = super().send_of(begun, what, body)
        self.sent.append((begun, what, body, done))
        return done

    def into(self, ledger: Ledger) -> None:
        """Write down what was acknowledged, once all is sent."""
        for begun, what, body, done in self.sent:
            if not begun.result():
                continue
            session = begun.result()["session"]
            ledger.begun.add(session)
            if done.result() is None:
                ledger.open.add(session)
            elif what == "steps":
                said = body["messages"][0]["content"].split(" ", 1)[0]
                ledger.turns.setdefault(session, []).append(said)
            elif what == "outcome":
                ledger.outcomes[session] = body["status"]


def live(client: Watched, over: threading.Event, number: int) -> Iterator[float]:
    """An agent of somebody else's, and the seconds that each of its sessions was kept waiting."""
    for count in range(10**6):
        if over.wait(0.3):
            return
        session = client.session(AGENTS[number % len(AGENTS)], _task(count))
        began = time.perf_counter()
        session.recall()
        yield time.perf_counter() - began
        session.report(_turn(f"client{number}-{count}")["messages"])
        session.outcome("pass")
