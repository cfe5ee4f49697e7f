"""Agents and their subjects: recall never crosses from one to another, and one can be purged alone."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from episodes import task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from instar_client import Client
from instar_client.langgraph import InstarStore
from stores import generation
from test_evolve import config
from test_purge import holding
from test_service import begin, item, recalled, served

from instar._exchange import first_generation
from instar._purge_pages import rewrite
from instar.compose import Workspace
from instar.evolve import evolve_until
from instar.mcp.desk import Desk
from instar.progress import Progress
from instar.purging import Wish, find, purge
from instar.service.sessions import place
from instar.store import Store
from instar.types import MemoryOp, OpKind
from memory.bank import Bank
from memory.embed import HashEmbedder

# Whatever is not taken whole would mix these up.
NAMES = ("ada", "ad", "ada-2", "a.da", "adam", "ADA", "shared", "live")
WORDS = {"ada": "zebra", "ada-2": "walrus", "": "heron"}
TOOL = {
    "type": "function",
    "function": {
        "name": "send",
        "description": "Send a parcel.",
        "parameters": {"type": "object", "properties": {"parcel": {"type": "integer"}}},
    },
}

names = st.sampled_from(NAMES)


@pytest.fixture(scope="module", params=["exact", "by index"])
def bank(request, tmp_path_factory) -> Iterator[Bank]:
    """A memory in the place of every agent and every subject of it, all for the same occasion."""
    folder = tmp_path_factory.mktemp("bank")
    below = 4_000 if request.param == "exact" else 0
    with Store.open(folder) as store:
        store.add_generation(generation("g1"))
        bank = Bank(store, HashEmbedder(), folder / "index", exact_below=below, k=200)
        places = [place(a, s) for a in NAMES for s in (None, *NAMES)] + ["shared"]
        items = [item(f"m-{where}", where, f"known in {where}") for where in places]
        bank.write([MemoryOp(kind=OpKind.ADD, item=one) for one in items], "g1", "test")
        yield bank
        bank.close()


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    agent=names, subject=st.none() | names, about=st.sampled_from(["", "refund", "known in ada"])
)
def test_recall_is_of_the_own_place_and_of_those_that_are_shared(bank, agent, subject, about):
    own = place(agent, subject)
    asked = task("t", instruction="refund order 417", namespace=own)
    for shared in ((), ("shared",), ("live/ada", "live/adam/ad")):
        bank.namespaces = shared
        found = asyncio.run(bank.recall(asked, [], as_of="g1", seed=1, about=about))
        assert {m.item for m in found.memories} <= {f"m-{where}" for where in (own, *shared)}
        if not about:
            assert {m.item for m in found.memories} == {f"m-{where}" for where in (own, *shared)}


def opened(folder: Path) -> Workspace:
    return Workspace.open(config(folder, "once.successes=1"))


async def made(folder: Path) -> None:
    async with opened(folder) as workspace:
        await first_generation(workspace)


def work(http: httpx.Client, subject: str, number: int) -> None:
    """A session of the agent's that a program found to be right."""
    word = WORDS[subject]
    session = begin(
        http, task=f"send the {word} parcel {number}", subject=subject or None, tools=[TOOL]
    )
    call = {"name": "send", "arguments": json.dumps({"parcel": number})}
    messages = [
        {"role": "user", "content": f"my {word} is in a hurry"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "c", "content": f"sent, says the {word}"},
        {"role": "assistant", "content": f"Your {word} is on its way."},
    ]
    told = {"status": "pass", "source": "program", "reason": f"the {word} arrived"}
    for what, body in (("steps", {"messages": messages}), ("outcome", told)):
        assert http.post(f"/v1/sessions/{session}/{what}", json=body).status_code == 200


async def learnt(folder: Path) -> None:
    """A turn on what was recorded, whose memory serves; and a memory that a client of hers saved."""
    async with opened(folder) as workspace:
        desk = Desk(workspace, "support", "ada")
        await desk.search("send the zebra parcel 1")
        await desk.save("Stripes", "send the zebra parcel $1", "mind the stripes")
        await evolve_until(workspace, "reflect_2", Progress(quiet=True))
        newest = workspace.store.generations()[-1]
        workspace.store.activate(newest.id)


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lived")
    asyncio.run(made(folder))
    with served(folder) as url, httpx.Client(base_url=url) as http:
        for number in (417, 982):
            for subject in WORDS:
                work(http, subject, number)
        store = InstarStore(via=Client(url))
        for subject, word in WORDS.items():
            store.put(("users", subject or "nobody"), "note", {"text": f"has a {word}"})
        store.put(("notes",), "mixed", {"text": "Ada called"})
    asyncio.run(learnt(folder))
    return folder


@pytest.fixture
def folder(lived, tmp_path) -> Path:
    return Path(shutil.copytree(lived, tmp_path / "ws"))


def test_what_is_learnt_of_a_subject_stays_in_its_place_and_is_recalled_there_alone(folder):
    with Store.open(folder, create=False) as store:
        items = store.items(store.active().id)
    for subject, word in WORDS.items():
        own = [i for i in items if i.namespace == place("support", subject or None)]
        assert own and all(word in i.when + i.content for i in own if "$1" in i.when)
        others = [i for i in items if i not in own]
        assert not any(word in i.model_dump_json() for i in others)
    homes = {i.id: i.namespace for i in items}
    with served(folder) as url, httpx.Client(base_url=url) as http:
        for agent, subject in (("support", "ada"), ("support", "ada-2"), ("sales", "ada")):
            asked = {"agent": agent, "subject": subject, "task": "send the zebra parcel 5"}
            session = begin(http, **asked, tools=[TOOL])
            found = recalled(http, session) + recalled(http, session, about="stripes of a zebra")
            assert {homes[id] for id in found} <= {place(agent, subject)}
            assert bool(found) is (agent == "support"), "one's own lesson must come back"


def test_a_subject_is_purged_and_those_with_a_like_name_stay(folder):
    assert holding(folder, "zebra") and holding(folder, "stripes")
    wish = Wish(kind="subject", value="ada")
    found = find(folder, wish)
    assert purge(folder, wish, rewrite).model_dump() == found.model_dump()
    assert len(found.episodes) == 3 and found.memories and not found.adapters
    assert found.stored == ("users/ada/note", "notes/mixed")
    for text in ("zebra", "stripes", "Ada called", "live/support/ada/", '"live/support/ada"'):
        assert holding(folder, text) == [], text
    assert find(folder, wish).model_copy(update={"traces": False}).empty
    with Store.open(folder, create=False) as store:
        assert store.check() is None
        kept = {t.task.namespace for t in store.trajectories(purpose="live")}
        assert kept == {"live/support", "live/support/ada-2"}
    with served(folder) as url, httpx.Client(base_url=url) as http:
        mine = begin(http, subject="ada-2", task="send the walrus parcel 5", tools=[TOOL])
        assert recalled(http, mine)
        hers = begin(http, subject="ada", task="send the zebra parcel 5", tools=[TOOL])
        assert not recalled(http, hers)
        store = InstarStore(via=Client(url))
        assert store.list_namespaces() == [("users", "ada-2"), ("users", "nobody")]
        assert store.search(("users",), query="has a zebra")[0].score < 1
