"""The index on a Chroma server: a real one as a process of its own, stopped, killed and shared."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from chroma_process import ChromaProcess, free_port
from embedding_server import embedding_server
from stores import generation

from instar._service_checks import index_server
from instar.compose import Workspace
from instar.config import load_config
from instar.doctor import State
from instar.errors import ConfigError, WorkspaceError
from instar.store import Store
from instar.types import GenerationStatus, MemoryItem, MemoryKind, MemoryOp, OpKind, Task, ToolSpec
from memory import _chroma_server
from memory._record import record_of
from memory.bank import Bank
from memory.embed import HashEmbedder
from memory.index import VectorIndex

TOOLS = [ToolSpec(name="polish")]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaProcess]:
    server = ChromaProcess(tmp_path_factory.mktemp("chroma"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine may be busy; what is frozen on purpose is given less below.
    monkeypatch.setattr(_chroma_server, "_ANSWER_SECONDS", 30.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "instar.db") as opened:
        opened.add_generation(generation("g0", status="active"))
        for id in ("g1", "g2"):
            opened.add_generation(generation(id, "g0"))
        yield opened


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Refusing(HashEmbedder):
    """The same vectors, but none may be made."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise AssertionError(f"embedded again: {texts}")


def opened(store: Store, url: str, clock: Clock | None = None, folder: str = "index") -> Bank:
    place = store.database.path.parent / folder
    return Bank(
        store,
        HashEmbedder(),
        place,
        # More than there are, so that what HNSW cannot reach is noticed.
        k=16,
        exact_below=0,
        near=None,
        index_url=url,
        clock=clock or Clock(),
    )


def item(verb: str, thing: str = "lamp") -> MemoryItem:
    return MemoryItem(
        id=verb,
        title="",
        when=f"{verb} {thing} $1",
        content=f"{verb} it slowly",
        kind=MemoryKind.LESSON,
        namespace="shed/1",
    )


def add(*verbs: str) -> list[MemoryOp]:
    return [MemoryOp(kind=OpKind.ADD, item=item(v)) for v in verbs]


async def contents(bank: Bank, instruction: str, as_of: str = "g1") -> list[str]:
    task = Task(
        id="t",
        instruction=instruction,
        world="shed",
        namespace="shed/1",
        group="polish",
        family="polish",
    )
    found = await bank.recall(task, TOOLS, as_of=as_of, seed=0)
    return [m.content for m in found.memories]


def held(bank: Bank) -> set[str]:
    assert bank.index is not None
    bank.index.refresh()
    return {name.partition(".")[0] for name in bank.index.entries}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [r for r in caplog.records if r.name.startswith("memory")]
    return [r.getMessage() for r in ours if r.levelno >= logging.WARNING]


# As it should be


async def test_a_server_holds_the_index_and_answers_as_exact_comparison_does(
    chroma: ChromaProcess,
    store: Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = opened(store, chroma.url)
    bank.write(add("polish", "mend", "lift", "turn"), "g1")
    assert bank.index is not None
    asked, ask = [], bank.index.query
    monkeypatch.setattr(bank.index, "query", lambda v, n: asked.append(n) or ask(v, n))
    exact = Bank(store, HashEmbedder(), None, near=None)
    for verb in ("polish", "mend", "lift"):
        found = await contents(bank, f"{verb} lamp 7")
        assert found == await contents(exact, f"{verb} lamp 7") == [f"{verb} it slowly"]
    assert len(asked) == 3
    bank.close()
    assert not list((tmp_path / "index").glob("chroma-*"))
    again = Bank(store, Refusing(), tmp_path / "index", index_url=chroma.url)
    assert held(again) == {"polish", "mend", "lift", "turn"}
    again.close()
    assert warnings(caplog) == []


async def test_two_workspaces_on_one_server_do_not_mix(
    chroma: ChromaProcess, tmp_path: Path
) -> None:
    banks = []
    for name, verb in (("a", "polish"), ("b", "mend")):
        config = load_config(
            overrides=[f"workspace={tmp_path / name}", f"memory.index_url={chroma.url}"]
        )
        workspace = Workspace.open(config)
        workspace.store.add_generation(generation("g1", status="active"))
        workspace.bank.write(add(verb), "g1")
        banks.append(workspace)
    assert [held(w.bank) for w in banks] == [{"polish"}, {"mend"}]
    for workspace in banks:
        await workspace.close()


async def test_a_collection_of_another_embedder_is_made_anew(chroma: ChromaProcess) -> None:
    def connected(embedder: HashEmbedder) -> VectorIndex:
        index = VectorIndex.connect(chroma.url, "instar-shared-name", record_of(embedder))
        index.refresh()
        return index

    first = connected(HashEmbedder())
    first.sync({"a.1": HashEmbedder().embed(["polish"])[0]})
    assert first._collection.metadata["embedder_name"] == "hash"
    assert connected(HashEmbedder()).entries == {"a.1"}
    other = connected(HashEmbedder(64))
    assert other.entries == set()
    other.sync({"a.2": HashEmbedder(64).embed(["polish"])[0]})
    assert connected(HashEmbedder(64)).entries == {"a.2"}


# Several at once


WRITER = """
import sys
from pathlib import Path
from test_chroma_server import Store, add, opened
with Store.open(Path(sys.argv[1])) as store:
    bank = opened(store, sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(20):
        bank.write(add(f"b{chr(97 + i)}"), "g1")
    bank.close()
"""


async def test_two_processes_write_at_once_and_each_finds_what_the_other_wrote(
    chroma: ChromaProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    bank = opened(store, chroma.url)
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, os.environ["PYTHONPATH"]])
    other = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.database.path), chroma.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
    )
    assert other.stdout is not None and other.stdin is not None
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("go\n")
    other.stdin.flush()
    for i in range(20):
        bank.write(add(f"a{chr(97 + i)}"), "g1")
    other.communicate()
    assert other.returncode == 0
    assert await contents(bank, "bq lamp 7") == ["bq it slowly"]
    everything = {f"{w}{chr(97 + i)}" for w in "ab" for i in range(20)}
    assert {name.partition(".")[0] for name in bank.index.entries} == everything
    assert held(bank) == everything
    bank.close()
    assert warnings(caplog) == []


async def test_what_another_takes_out_is_noticed_and_compared_exactly(
    chroma: ChromaProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    early = opened(store, chroma.url)
    early.write(add("polish", "mend"), "g1")
    assert await contents(early, "polish lamp 7") == ["polish it slowly"]
    # A later version with another occasion: the first one is seen by a generation out of use only.
    changed = MemoryOp(kind=OpKind.ADD, item=item("polish", "mirror"))
    early.write([changed], "g2")
    store.set_status("g1", GenerationStatus.REJECTED)
    late = opened(store, chroma.url)
    assert len(held(late)) == len(late.index.entries) == 2
    assert len(early.index.entries) == 3
    assert await contents(early, "polish lamp 7") == ["polish it slowly"]
    assert await contents(early, "polish lamp 7") == ["polish it slowly"]
    assert early.index is not None
    assert warnings(caplog) == []
    early.close()
    late.close()


# Gone


async def test_a_server_that_is_gone_at_opening_is_taken_up_when_it_is_there(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, clock = ChromaProcess(tmp_path / "chroma"), Clock()
    bank = opened(store, server.url, clock)
    assert bank.index is None
    bank.write(add("polish"), "g1")
    assert await contents(bank, "polish lamp 7") == ["polish it slowly"]
    clock.now += 11
    assert bank.index is None
    server.start()
    try:
        # It has failed twice by now and is left alone for longer.
        clock.now += 11
        assert bank.index is None
        clock.now += 10
        assert held(bank) == {"polish"}
        bank.close()
    finally:
        server.kill()
    assert len(warnings(caplog)) == 1
    assert "compared exactly until the index server answers" in warnings(caplog)[0]


async def test_a_server_killed_in_between_costs_one_line_and_nothing_else(
    chroma: ChromaProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    bank = opened(store, chroma.url, clock)
    bank.write(add("polish"), "g1")
    chroma.kill()
    try:
        assert await contents(bank, "polish lamp 7") == ["polish it slowly"]
        assert bank.index is None
        bank.write(add("mend"), "g1")
        assert await contents(bank, "mend lamp 7") == ["mend it slowly"]
        other = opened(store, chroma.url)
        other.close()
    finally:
        chroma.start()
    clock.now += 11
    assert await contents(bank, "mend lamp 7") == ["mend it slowly"]
    assert held(bank) == {"polish", "mend"}
    assert len(warnings(caplog)) == 2  # one for each bank
    # Also in the middle of a write.
    chroma.kill()
    try:
        bank.write(add("lift"), "g1")
        assert bank.index is None
        assert await contents(bank, "lift lamp 7") == ["lift it slowly"]
    finally:
        chroma.start()
    bank.close()
    fresh = opened(store, chroma.url)
    assert held(fresh) == {"polish", "mend", "lift"}
    fresh.close()
    assert len(warnings(caplog)) == 3


async def test_a_server_that_hangs_is_not_waited_for(
    chroma: ChromaProcess,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = opened(store, chroma.url)
    bank.write(add("polish"), "g1")
    for name in ("_ANSWER_SECONDS", "_WRITE_SECONDS"):
        monkeypatch.setattr(_chroma_server, name, 0.2)
    chroma.freeze()
    try:
        assert await contents(bank, "polish lamp 7") == ["polish it slowly"]
        assert bank.index is None
        other = opened(store, chroma.url)
        assert other.index is None
        bank.write(add("mend"), "g1")
    finally:
        chroma.thaw()
    assert [("timed out" in w or "no answer" in w) for w in warnings(caplog)] == [True, True]
    bank.close()
    other.close()


async def test_a_collection_that_was_deleted_is_built_again(
    chroma: ChromaProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    bank = opened(store, chroma.url, clock)
    bank.write(add("polish"), "g1")
    bank.index._client.delete_collection(bank.index._name)
    assert await contents(bank, "polish lamp 7") == ["polish it slowly"]
    assert bank.index is None
    clock.now += 11
    assert held(bank) == {"polish"}
    bank.close()
    assert len(warnings(caplog)) == 1


async def test_a_bank_of_the_old_embedder_keeps_its_hands_off(
    chroma: ChromaProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    bank = opened(store, chroma.url)
    bank.write(add("polish"), "g1")
    store.set_embedder(record_of(HashEmbedder(64)))
    bank.reconcile()
    assert bank.index is None
    assert "start this one again" in warnings(caplog)[0]
    with pytest.raises(WorkspaceError, match="instar memory reembed"):
        bank.write(add("mend"), "g1")
    bank.close()


# What was set


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://host:99999"])
def test_a_url_that_is_none_is_refused(store: Store, url: str) -> None:
    with pytest.raises(ConfigError, match=r"memory\.index_url"):
        opened(store, url)
    with pytest.raises(ConfigError, match=r"'memory\.index_url'.*http://127"):
        load_config(overrides=[f"memory.index_url={url}"])


async def test_a_server_of_another_kind_is_no_index(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with embedding_server() as server:
        bank = opened(store, server.url)
        bank.write(add("polish"), "g1")
        assert await contents(bank, "polish lamp 7") == ["polish it slowly"]
        bank.close()
    assert len(warnings(caplog)) == 1 and "\n" not in warnings(caplog)[0]


@pytest.mark.parametrize("spoilt", ["folder", "name"])
async def test_without_a_name_there_is_no_index(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    if spoilt == "folder":
        (tmp_path / "index").write_text("a file")
    else:
        (tmp_path / "index").mkdir()
        (tmp_path / "index" / "collection").write_text("../../etc")
    bank = opened(store, NOBODY)
    bank.write(add("polish"), "g1")
    assert bank.index is None
    assert await contents(bank, "polish lamp 7") == ["polish it slowly"]
    assert len(warnings(caplog)) == 1


async def test_the_doctor_asks_the_server(
    chroma: ChromaProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await index_server(tmp_path) == []
    monkeypatch.setenv("INSTAR_MEMORY__INDEX_URL", chroma.url)
    (finding,) = await index_server(tmp_path)
    assert finding.state == State.FOUND and f"127.0.0.1:{chroma.port}" in finding.detail
    port = free_port()
    monkeypatch.setenv("INSTAR_MEMORY__INDEX_URL", f"http://127.0.0.1:{port}")
    (finding,) = await index_server(tmp_path)
    assert finding.state == State.BROKEN and "none is lost" in finding.detail
    assert finding.remedy == f"chroma run --host 127.0.0.1 --port {port} --path DIR"
