"""Embedding by an API: a real server on loopback, by `openai`'s client and through litellm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from embedding_server import EmbeddingServer, embedding_server
from stores import generation

from instar._service_checks import embedder as examine_embedder
from instar.compose import Workspace
from instar.config import Config, load_config
from instar.doctor import State
from instar.errors import ConfigError, UserError, WorkspaceError
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind
from memory._api_embedder import ApiEmbedder
from memory.bank import Bank
from memory.embed import HashEmbedder, load_embedder

NAMES = ("litellm/served", "litellm/hosted_vllm/served")
TEXTS = ["polish lamp $1", "mend the roof", "please polish lamp $1"]


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as one:
        yield one


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HOSTED_VLLM_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def patient(name: str, url: str | None, waits: list[float], retries: int = 4) -> ApiEmbedder:
    return ApiEmbedder(name, url, retries=retries, timeout=10.0, sleep=waits.append)


def settings(folder: Path, name: str, url: str | None) -> Config:
    more = [f"memory.embedder_url={url}"] if url else []
    return load_config(overrides=[f"workspace={folder}", f"memory.embedder={name}", *more])


def op(id: str, when: str) -> MemoryOp:
    item = MemoryItem(
        id=id, title="", when=when, content="oil first", kind=MemoryKind.LESSON, namespace="shed/1"
    )
    return MemoryOp(kind=OpKind.ADD, item=item)


# What is asked, and what is made of the answer


@pytest.mark.parametrize("name", NAMES, ids=["directly", "through litellm"])
@pytest.mark.parametrize("behaviour", ["ok", "wrong order", "long"])
def test_vectors_come_back_in_order_and_of_length_one(
    server: EmbeddingServer, name: str, behaviour: str
) -> None:
    server.behaviour = behaviour
    vectors = np.asarray(load_embedder(name, server.url).embed(TEXTS))
    assert vectors == pytest.approx(np.asarray(HashEmbedder().embed(TEXTS)), abs=1e-6)
    (sent,) = server.requests
    # As with any other embedder values do not matter, and so they are not sent.
    assert sent == {
        "model": "served",
        "input": ["polish lamp", "mend the roof", "please polish lamp"],
    }
    assert server.keys == ["Bearer no-key"]


def test_many_texts_go_in_batches_and_equal_ones_once(server: EmbeddingServer) -> None:
    # Words of letters only, since what holds a digit is a value and dropped.
    words = ["".join(chr(97 + int(d)) for d in f"{i:03d}") for i in range(300)]
    texts = [f"polish {w} {i}" for w in words for i in (1, 2)]
    found = load_embedder(NAMES[0], server.url).embed(texts)
    assert [len(r["input"]) for r in server.requests] == [256, 44]
    assert np.asarray(found) == pytest.approx(np.asarray(HashEmbedder().embed(texts)), abs=1e-6)
    assert load_embedder(NAMES[0], server.url).embed([]) == []


def test_the_key_of_the_environment_is_sent(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    load_embedder("litellm/openai/served", server.url).embed(["polish"])
    assert (server.keys, server.requests[0]["model"]) == (["Bearer secret"], "served")


def test_the_dimension_is_asked_for_once_and_late(server: EmbeddingServer) -> None:
    asked = load_embedder(NAMES[0], server.url)
    assert server.requests == []
    assert (asked.dimension, asked.dimension) == (512, 512)
    assert asked.weights_hash == "api-v1-127.0.0.1-512"
    assert len(server.requests) == 1
    told = load_embedder(NAMES[0], server.url)
    told.embed(["polish"])
    assert told.dimension == 512
    assert len(server.requests) == 2


# What goes wrong


def test_it_asks_again_after_what_may_pass_without_real_waiting(server: EmbeddingServer) -> None:
    waits: list[float] = []
    server.statuses, server.headers = [500, 429, 503], {"retry-after": "7"}
    assert len(patient(NAMES[0], server.url, waits).embed(["polish"])) == 1
    assert waits == [7.0, 7.0, 7.0]
    server.statuses, server.headers = [500] * 3, {}
    with pytest.raises(UserError, match="failed for model"):
        patient(NAMES[0], server.url, waits, retries=2).embed(["polish"])
    assert 0.5 <= waits[3] <= 1 <= waits[4] <= 2


@pytest.mark.parametrize("name", NAMES, ids=["directly", "through litellm"])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"refused the key .* export (OPENAI|HOSTED_VLLM)_API_KEY"),
        (404, "has no model"),
        (400, "status 400"),
    ],
)
def test_what_cannot_be_mended_is_said_in_one_line_and_not_asked_again(
    server: EmbeddingServer, name: str, status: int, said: str
) -> None:
    waits: list[float] = []
    server.statuses = [status]
    with pytest.raises(UserError, match=said) as caught:
        patient(name, server.url, waits).embed(["polish"])
    assert waits == [] and "\n" not in str(caught.value)
    assert "memory.embedder" in str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("garbage", "no list of 1 vectors"),
        ("short", "no list of 1 vectors"),
        ("zero", "empty or no numbers"),
    ],
)
def test_an_answer_that_is_no_embedding_is_said_so(
    server: EmbeddingServer, behaviour: str, said: str
) -> None:
    server.behaviour = behaviour
    with pytest.raises(UserError, match=rf"{said}.*ends in /v1"):
        patient(NAMES[0], server.url, []).embed(["polish"])


@pytest.mark.parametrize("name", NAMES, ids=["directly", "through litellm"])
def test_a_server_that_is_gone_is_named(name: str) -> None:
    waits: list[float] = []
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1/v1 cannot be reached"):
        patient(name, "http://127.0.0.1:1/v1", waits, retries=1).embed(["polish"])
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("litellm/nonsense", "write memory.embedder as litellm/provider/model"),
        ("litellm/nonsense/at-all", "write memory.embedder as litellm/provider/model"),
        ("litellm/openai/text-embedding-3-small", "export OPENAI_API_KEY"),
        ("litellm/text-embedding-3-small", "export OPENAI_API_KEY"),
        ("litellm/", "Available: hash, litellm/<model>"),
    ],
)
def test_a_wrong_name_or_a_missing_key_says_what_to_write(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_embedder(name).embed(["polish"])


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://host:99999/v1"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"memory\.embedder_url"):
        load_embedder(NAMES[0], url)
    with pytest.raises(ConfigError, match=r"'memory\.embedder_url'.*http://127"):
        load_config(overrides=[f"memory.embedder_url={url}"])


# In a workspace


async def test_a_workspace_opens_without_the_network_and_loses_nothing(tmp_path: Path) -> None:
    with embedding_server() as server:
        async with Workspace.open(settings(tmp_path, NAMES[0], server.url)) as workspace:
            workspace.store.add_generation(generation("g0", status="active"))
            workspace.bank.write([op("m1", "polish lamp $1")], "g0")
            assert [i.id for i, _ in workspace.bank.search("please polish lamp 7")] == ["m1"]
    async with Workspace.open(settings(tmp_path, NAMES[0], server.url)) as workspace:
        bank = workspace.bank
        assert isinstance(bank.embedder, ApiEmbedder)
        bank.embedder._retries = 0
        with pytest.raises(UserError, match="cannot be reached"):
            bank.search("polish lamp 7")
        with pytest.raises(UserError, match="Nothing was written"):
            bank.write([op("m2", "mend lamp $1"), op("m3", "lift lamp $1")], "g0")
        assert [i.id for i in workspace.store.items("g0")] == ["m1"]


def test_another_name_host_or_dimension_is_another_embedder(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    with Store.open(tmp_path) as store:
        Bank(store, load_embedder(NAMES[0], server.url), None)
        asked = len(server.requests)
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        for name, url in ((NAMES[0], elsewhere), (NAMES[1], server.url), ("hash", None)):
            with pytest.raises(WorkspaceError, match="instar memory reembed"):
                Bank(store, load_embedder(name, url, store.embedder()), None)
        assert len(server.requests) == asked
        server.embedder = HashEmbedder(64)
        bank = Bank(store, load_embedder(NAMES[0], server.url, store.embedder()), None)
        with pytest.raises(UserError, match=r"dimension 64.* have 512.*instar memory reembed"):
            bank.search("polish")


def test_neither_torch_nor_litellm_is_needed_for_a_server_of_ones_own(
    server: EmbeddingServer,
) -> None:
    script = (
        "import sys; from memory.embed import load_embedder as load;"
        f"load({NAMES[0]!r}, {server.url!r}).embed(['polish']);"
        "print({'torch', 'litellm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n", done


async def test_the_doctor_asks_the_embedder(
    server: EmbeddingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = await examine_embedder(tmp_path)
    assert (finding.state, finding.detail) == (State.FOUND, "hash, hash-v1-512-8")
    monkeypatch.setenv("INSTAR_MEMORY__EMBEDDER", NAMES[0])
    monkeypatch.setenv("INSTAR_MEMORY__EMBEDDER_URL", server.url)
    (finding,) = await examine_embedder(tmp_path)
    assert finding.state == State.FOUND and "127.0.0.1-512" in finding.detail
    with Store.open(tmp_path) as store:
        Bank(store, HashEmbedder(), None)
    (finding,) = await examine_embedder(tmp_path)
    assert finding.state == State.BROKEN and "instar memory reembed" in finding.remedy
    server.statuses = [500]
    with pytest.raises(UserError, match="failed for model"):
        await examine_embedder(tmp_path)
    assert server.statuses == []
