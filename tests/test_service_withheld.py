"""What experience is worth to an agent in production: memories withheld by chance in its sessions, if asked for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from gateway_upstream import upstream
from test_gateway import KNOWN, rigged, talk
from test_service import MESSAGES, fill, item

from instar._worthing import withheld_from
from instar.compose import Workspace
from instar.config import load_config
from instar.service import shapes
from instar.service._recording import Looked
from instar.service.sessions import Sessions
from instar.store import Store
from instar.types import MemoryOp, MemoryStatus, OpKind, Trajectory

SETTINGS = ["memory.withhold_live=true", "memory.withhold_bank=0.5", "model.name=shop"]
SUPPORT = shapes.Begin(agent="support", task="refund order 417", model="shop")


@pytest.fixture
def place(tmp_path) -> Path:
    asyncio.run(fill(tmp_path))
    return tmp_path


def opened(place: Path, *settings: str):
    return Workspace.open(load_config(None, [f"workspace={json.dumps(str(place))}", *settings]))


async def live(sessions: Sessions, number: int, asked: shapes.Begin = SUPPORT) -> Looked:
    """A session of a fixed id, done with success just where it was told something."""
    lived = sessions.opened(asked, f"s-{number:08x}")
    looked = await sessions.look(lived)
    sessions.keep(lived, shapes.Steps(messages=MESSAGES), looked=looked)
    status = "pass" if looked.told.memories else "fail"
    sessions.outcome(lived.id, shapes.Outcome(status=status, source="program"))
    return looked


def stored(place: Path) -> list[Trajectory]:
    with Store.open(place / "instar.db", create=False) as store:
        return store.trajectories(purpose="live")


async def test_where_it_is_asked_for_sessions_tell_what_memory_is_worth(place):
    async with opened(place, *SETTINGS) as workspace:
        sessions = Sessions(workspace)
        told = [await live(sessions, number) for number in range(60)]
        with_any = sum(bool(one.told.memories) for one in told)
        assert 15 < with_any < 45 and all(len(one.memories) == 1 for one in told)
        found = sessions.worth()
        assert found.episodes == 60 and found.line.startswith("experience helps here, by +")
        assert sessions.worth("another").episodes == 0
    for lived in stored(place):
        assert lived.bank is not None and lived.bank.propensity == 0.5
        assert [m.shown for m in lived.memories] == [lived.score.status.value == "pass"]


async def test_a_memory_is_one_whosever_sessions_showed_it(place):
    shared = 'memory.namespaces=["live/support"]'
    async with opened(place, *SETTINGS, shared) as workspace:
        sessions = Sessions(workspace)
        for number in range(60):
            asked = SUPPORT.model_copy(update={"subject": f"customer{number % 3}"})
            await live(sessions, number, asked)
        (unit,) = (u for u in sessions.worth().units if u["items"] == ["m-all"])
        lived = [t for t in withheld_from(workspace.store, "shop") if t.bank.shown]
        assert unit["worth"]["n"] == len(lived) > 20
        assert "60 of shop" in sessions.worth("another").line


async def test_unless_it_is_asked_for_everything_is_shown_and_nothing_counts(place):
    async with opened(place, "model.name=shop") as workspace:
        sessions = Sessions(workspace)
        told = [await live(sessions, number) for number in range(8)]
        assert all(one.told.memories for one in told) and sessions.worth().episodes == 0


async def test_in_shadow_nothing_is_drawn(place):
    async with opened(place, *SETTINGS) as workspace:
        sessions = Sessions(workspace)
        shadow = SUPPORT.model_copy(update={"shadow": True})
        told = [await live(sessions, number, shadow) for number in range(8)]
        assert all(one.told.memories and not one.memories for one in told)
        assert not withheld_from(workspace.store, "shop")


async def test_what_is_in_quarantine_is_tried_in_practice_alone(place):
    async with opened(place, *SETTINGS) as workspace:
        doubted = item("m-bad", "live/support", "send the money twice")
        doubted = doubted.model_copy(update={"status": MemoryStatus.QUARANTINED})
        workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=doubted)], "g1", "test")
        sessions = Sessions(workspace)
        told = [await live(sessions, number) for number in range(12)]
        assert {m.item for one in told for m in one.memories} == {"m-all"}


def test_the_gateway_records_what_it_withheld(place):
    with upstream() as server, rigged(place, server, settings=SETTINGS) as rig:
        for number in range(12):
            talk(rig.client(), f"refund order {number}")
        lived = rig.sessions()
        shown = {KNOWN in str(body) for body in server.seen}
    assert shown == {True, False} and len(lived) == 12
    assert all(len(one.memories) == 1 and one.bank is not None for one in lived)
    asked = {body["messages"][-1]["content"]: KNOWN in str(body) for body in server.seen}
    assert asked == {one.task.instruction: one.memories[0].shown for one in lived}
