"""Another embedder for a workspace that has memories: all vectors are exchanged, or none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from embedding_server import EmbeddingServer, embedding_server
from stores import generation

from instar import _memory_rows
from instar._lock import exclusive
from instar._reembed import reembed
from instar._tables import memory_versions
from instar.cli import _run
from instar.errors import UserError
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind
from memory._record import record_of
from memory.bank import Bank
from memory.embed import HashEmbedder, load_embedder
from memory.index import VectorIndex, entry_name

OCCASIONS = ("polish lamp $1", "mend roof $1", "please polish lamp $1")


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server(dimension=64) as one:
        yield one


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Three memories of the embedder ``hash``, one of them edited and one retired in a branch."""
    with Store.open(tmp_path) as store:
        store.add_generation(generation("g0", status="active"))
        store.add_generation(generation("g1", "g0"))
        bank = Bank(store, HashEmbedder(), tmp_path / "index", near=None)
        made = [item(f"m{i}", when) for i, when in enumerate(OCCASIONS)]
        bank.write([MemoryOp(kind=OpKind.ADD, item=i) for i in made], "g0")
        edited = MemoryOp(kind=OpKind.EDIT, target="m1", item=item("m1", "mend the roof of $1"))
        bank.write([edited, MemoryOp(kind=OpKind.RETIRE, target="m2")], "g1")
        bank.close()
    return tmp_path


def item(id: str, when: str) -> MemoryItem:
    return MemoryItem(
        id=id, title="", when=when, content="oil it", kind=MemoryKind.LESSON, namespace="shed/1"
    )


def rows(store: Store) -> list[tuple[str, int, bytes | None]]:
    table = memory_versions
    with store.database.read() as connection:
        found = connection.execute(table.select().order_by(table.c.row))
        return [(r.id, r.version, r.vector) for r in found]


def vectors(store: Store) -> dict[tuple[str, int], list[float]]:
    return {(i, n): _memory_rows.unpack(v) for i, n, v in rows(store) if v is not None}


def texts(store: Store) -> dict[tuple[str, int], str]:
    ids = {id for id, _, _ in rows(store)}
    return {(i.id, i.version): i.when for id in ids for i in store.item_versions(id)}


def quiet(done: int, total: int) -> None: ...


# The command


def test_an_edited_workspace_goes_on_with_another_embedder(
    server: EmbeddingServer, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "instar.toml").write_text(
        f'[memory]\nembedder = "litellm/served"\nembedder_url = "{server.url}"\n'
    )
    here = ["--workspace", str(workspace), "--json"]
    assert _run(["memory", "search", "polish a lamp", *here]) == 2
    assert "instar memory reembed" in capsys.readouterr().err
    assert _run(["memory", "reembed", *here]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["versions"], found["texts"], found["indexed"]) == (4, 4, True)
    assert (found["before"]["name"], found["after"]["dimension"]) == ("hash", 64)
    with Store.open(workspace) as store:
        assert store.embedder() == found["after"]
        new = vectors(store)
        occasions = texts(store)
        for key, vector in new.items():
            (fresh,) = HashEmbedder(64).embed([occasions[key]])
            assert np.asarray(vector) == pytest.approx(np.asarray(fresh), abs=1e-6)
        assert [(i, n) for i, n, v in rows(store) if v is None] == [("m2", 2)]
    index = VectorIndex.open(workspace / "index")
    assert index is not None
    index._connect()
    assert index.entries == {entry_name(id, vector) for (id, _), vector in new.items()}
    index.close()
    assert _run(["memory", "search", "polish lamp 7", *here]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["id"] == "m0"
    asked = len(server.requests)
    assert _run(["memory", "reembed", "--workspace", str(workspace)]) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert len(server.requests) == asked + 1
    assert _run(["memory", "reembed", "--force", *here]) == 0
    assert json.loads(capsys.readouterr().out)["versions"] == 4


def test_settings_of_one_command_only_are_pointed_out(
    server: EmbeddingServer, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-o", "memory.embedder=litellm/served", "-o", f"memory.embedder_url={server.url}"]
    assert _run(["memory", "reembed", "--workspace", str(workspace), *options]) == 0
    told = capsys.readouterr().out
    assert "4 versions of memories (before: 'hash')" in told
    assert (
        f'in instar.toml: [memory] embedder = "litellm/served", embedder_url = "{server.url}"'
        in told
    )


def test_a_server_that_fails_leaves_all_as_it_was(
    server: EmbeddingServer, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-o", "memory.embedder=litellm/served", "-o", f"memory.embedder_url={server.url}"]
    with Store.open(workspace) as store:
        before = (store.embedder(), rows(store))
        # It tells the dimension, and then refuses the key.
        server.statuses = [200, 401]
        assert _run(["memory", "reembed", "--workspace", str(workspace), *options]) == 2
        assert "export OPENAI_API_KEY" in capsys.readouterr().err
        assert (store.embedder(), rows(store)) == before
        with exclusive(workspace):
            assert _run(["memory", "reembed", "--workspace", str(workspace), *options]) == 4
        assert "in use by process" in capsys.readouterr().err
        assert (store.embedder(), rows(store)) == before


# All or none


class Slow(HashEmbedder):
    """Tells when it is at work, and does something meanwhile."""

    def __init__(self, meanwhile) -> None:
        super().__init__(32)
        self.meanwhile = meanwhile

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.meanwhile()
        return super().embed(texts)


async def test_interrupted_it_has_changed_nothing(workspace: Path) -> None:
    with Store.open(workspace) as store:
        before = (store.embedder(), rows(store))
        work = asyncio.current_task()
        assert work is not None
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.CancelledError):
            await reembed(store, Slow(lambda: loop.call_soon_threadsafe(work.cancel)), quiet)
        work.uncancel()
        assert (store.embedder(), rows(store)) == before


async def test_what_is_written_meanwhile_is_embedded_too(workspace: Path) -> None:
    with Store.open(workspace) as store:
        late = [item("m9", "lift crate $1")]

        def write() -> None:
            if late:
                op = MemoryOp(kind=OpKind.ADD, item=late.pop())
                store.apply([op], "g0", {"m9": HashEmbedder().embed(["lift crate"])[0]})

        told: list[tuple[int, int]] = []
        done = await reembed(store, Slow(write), lambda n, of: told.append((n, of)))
        assert (done.versions, done.texts) == (5, 5)
        assert {len(v) for v in vectors(store).values()} == {32}
        assert told == [(0, 4), (4, 4), (0, 1), (1, 1)]
        assert store.embedder() == record_of(HashEmbedder(32))


KILLED = """
import asyncio, sys
from pathlib import Path
from instar._reembed import reembed
from instar.store import Store
from memory.embed import HashEmbedder
store = Store.open(Path(sys.argv[1]))
asyncio.run(reembed(store, HashEmbedder(32), lambda done, total: None))
"""


def test_killed_in_the_swap_it_has_changed_nothing(workspace: Path) -> None:
    with Store.open(workspace) as store:
        before = (store.embedder(), rows(store))
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(workspace)],
        env=os.environ | {"INSTAR_FAILPOINT": "store.reembed"},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    with Store.open(workspace) as store:
        assert (store.embedder(), rows(store)) == before


async def test_a_workspace_without_memories_takes_any_embedder(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        assert await reembed(store, HashEmbedder(32), quiet) == (0, 0)
        assert store.embedder() == record_of(HashEmbedder(32))
        with pytest.raises(UserError, match="instar memory reembed"):
            Bank(store, load_embedder("hash"), None)
