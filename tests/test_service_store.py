"""`InstarStore` and LangGraph's `InMemoryStore`, held to the same behaviour; then what is ours alone."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from instar_client import Client
from instar_client.langgraph import InstarStore, StoreUnavailable
from langgraph.config import get_store
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore
from test_service import served

from memory.embed import HashEmbedder

TEXT = ["text"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture
def ours(url) -> Iterator[InstarStore]:
    store = InstarStore(via=Client(url))
    yield store
    there = store.search((), limit=10_000)
    store.batch([PutOp(item.namespace, item.key, None) for item in there])
    store.close()


def theirs() -> InMemoryStore:
    embedder = HashEmbedder()
    return InMemoryStore(index={"dims": embedder.dimension, "embed": embedder.embed})


@pytest.fixture(params=["InMemoryStore", "InstarStore"])
def store(request) -> BaseStore:
    return theirs() if request.param == "InMemoryStore" else request.getfixturevalue("ours")


def keys(found: list[Any]) -> list[str]:
    return [item.key for item in found]


def fill(store: BaseStore) -> None:
    store.put(("users", "ada"), "prefs", {"theme": "dark", "size": 3, "tags": ["a", "b"]})
    store.put(("users", "ada"), "plan", {"kind": "gold", "size": 7, "at": {"city": "Rome"}})
    store.put(("users", "bob"), "prefs", {"theme": "light", "size": 5})
    store.put(("users", "adam"), "prefs", {"theme": "dark"})
    store.put(("docs",), "one", {"theme": "dark", "size": 1})


# Both alike


def test_what_was_put_is_got_and_what_was_not_is_none(store):
    store.put(("users", "ada"), "prefs", {"theme": "dark", "deep": {"list": [1, None, "ü"]}})
    found = store.get(("users", "ada"), "prefs")
    assert found.value == {"theme": "dark", "deep": {"list": [1, None, "ü"]}}
    assert (found.namespace, found.key) == (("users", "ada"), "prefs")
    assert found.created_at.tzinfo is not None and found.created_at <= found.updated_at
    assert store.get(("users", "ada"), "none") is None
    assert store.get(("users",), "prefs") is None and store.get((), "prefs") is None


def test_a_put_over_an_item_is_a_new_value_whole_and_none_takes_it_out(store):
    store.put(("a",), "k", {"x": 1, "y": 1})
    before = store.get(("a",), "k")
    store.put(("a",), "k", {"x": 2})
    after = store.get(("a",), "k")
    assert after.value == {"x": 2} and after.updated_at >= before.updated_at
    store.batch([PutOp(("a",), "k", None)])
    store.delete(("a",), "never")
    assert store.get(("a",), "k") is None and store.search(("a",)) == []


def test_a_prefix_is_of_whole_labels(store):
    fill(store)
    assert keys(store.search(("users", "ada"))) == ["prefs", "plan"]
    assert keys(store.search(("users",))) == ["prefs", "plan", "prefs", "prefs"]
    assert len(store.search(())) == 5 and store.search(("use",)) == []
    assert store.search(("users", "ada", "prefs")) == []


FILTERS = {
    "a value": ({"theme": "dark"}, 3),
    "two": ({"theme": "dark", "size": 3}, 1),
    "a list": ({"tags": ["a", "b"]}, 1),
    "a part of a list": ({"tags": ["a"]}, 0),
    "nested": ({"at": {"city": "Rome"}}, 1),
    "nested in nothing": ({"theme": {"city": "Rome"}}, 0),
    "absent": ({"colour": "red"}, 0),
    "absent is none": ({"kind": None}, 4),
    "equal": ({"theme": {"$eq": "dark"}}, 3),
    "unequal": ({"theme": {"$ne": "dark"}}, 2),
    "nothing at all": ({}, 5),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_is_about_the_fields_of_a_value(store, name):
    fill(store)
    wanted, count = FILTERS[name]
    assert len(store.search((), filter=wanted)) == count


@pytest.mark.parametrize(
    ("comparison", "sizes"),
    [
        ({"$gt": 3}, [7, 5]),
        ({"$gte": 3}, [3, 7, 5]),
        ({"$lt": 5}, [3]),
        ({"$lte": "5"}, [3, 5]),
        ({"$gte": 4, "$lt": 6}, [5]),
    ],
)
def test_numbers_are_compared(store, comparison, sizes):
    for number, size in enumerate((3, 7, 5)):
        store.put(("n",), str(number), {"size": size})
    found = store.search(("n",), filter={"size": comparison})
    assert [item.value["size"] for item in found] == sizes


def test_another_comparison_is_a_mistake(store):
    fill(store)
    with pytest.raises(ValueError, match=r"\$like"):
        store.search((), filter={"theme": {"$like": "d"}})


def test_pages_go_on_where_the_last_one_ended(store):
    for number in range(25):
        store.put(("p",), str(number), {"n": number}, index=False)
    assert keys(store.search(("p",))) == [str(n) for n in range(10)]
    assert keys(store.search(("p",), limit=3, offset=20)) == ["20", "21", "22"]
    assert keys(store.search(("p",), limit=9, offset=22)) == ["22", "23", "24"]
    assert store.search(("p",), limit=0) == [] == store.search(("p",), offset=99)
    odd = store.search(("p",), filter={"n": {"$gte": 20}}, limit=2, offset=1)
    assert keys(odd) == ["21", "22"]


def test_namespaces_are_listed_in_order_by_how_they_begin_and_end(store):
    for place in (
        ("b", "x", "v1"),
        ("a", "x", "v1"),
        ("a", "y", "v2"),
        ("a",),
        ("c", "x", "v1", "z"),
    ):
        store.put(place, "k", {"x": 1})
    every = [("a",), ("a", "x", "v1"), ("a", "y", "v2"), ("b", "x", "v1"), ("c", "x", "v1", "z")]
    assert store.list_namespaces() == every
    assert store.list_namespaces(prefix=("a",)) == every[:3]
    assert store.list_namespaces(prefix=("*", "x")) == [every[1], every[3], every[4]]
    assert store.list_namespaces(suffix=("v1",)) == [every[1], every[3]]
    assert store.list_namespaces(prefix=("a",), suffix=("*", "v2")) == [every[2]]
    assert store.list_namespaces(max_depth=1) == [("a",), ("b",), ("c",)]
    assert store.list_namespaces(prefix=("a",), max_depth=2) == [("a",), ("a", "x"), ("a", "y")]
    assert store.list_namespaces(limit=2, offset=1) == every[1:3]
    assert store.list_namespaces(prefix=("z",)) == []


def test_a_query_puts_the_nearest_first_and_what_has_no_index_last(store):
    store.put(("m",), "cat", {"text": "the cat sleeps on the sofa"}, index=TEXT)
    store.put(("m",), "tax", {"text": "file the tax return in april"}, index=TEXT)
    store.put(("m",), "bare", {"text": "file the tax return"}, index=False)
    store.put(("m",), "dog", {"text": "the dog sleeps outside"}, index=TEXT)
    found = store.search(("m",), query="how do I file a tax return?")
    assert keys(found)[0] == "tax" and keys(found)[-1] == "bare" and len(found) == 4
    scores = [item.score for item in found[:3]]
    assert scores == sorted(scores, reverse=True) and found[-1].score is None
    assert keys(store.search(("m",), query="tax return", limit=1)) == ["tax"]
    second = store.search(("m",), query="how do I file a tax return?", limit=1, offset=1)
    assert keys(second) == [found[1].key]
    dark = store.search(("m",), query="tax", filter={"text": "the dog sleeps outside"})
    assert keys(dark) == ["dog"]


def test_an_item_with_several_texts_counts_by_its_nearest(store):
    lines = {"lines": ["ships in the harbour", "refund a broken lamp"], "title": "misc"}
    store.put(("m",), "lines", lines, index=["lines[*]", "title"])
    store.put(("m",), "lamp", {"text": "a lamp in the harbour"}, index=TEXT)
    found = store.search(("m",), query="refund a broken lamp")
    assert keys(found) == ["lines", "lamp"] and found[0].score == pytest.approx(1.0, abs=1e-5)


def test_scores_are_cosines_and_the_whole_value_is_the_default(ours):
    reference = theirs()
    for store in (ours, reference):
        fill(store)
    for query in ("theme dark", "gold plan in rome", "nothing like it"):
        mine, other = (s.search((), query=query) for s in (ours, reference))
        assert keys(mine) == keys(other)
        expected = pytest.approx([item.score for item in other], abs=1e-5)
        assert [item.score for item in mine] == expected


@pytest.mark.parametrize("namespace", [(), ("a.b",), ("",), ("langgraph", "x"), ("a", 3)])
def test_a_namespace_that_is_none_is_refused(store, namespace):
    with pytest.raises(InvalidNamespaceError):
        store.put(namespace, "k", {"x": 1})


def test_there_is_no_time_to_live(store):
    assert not store.supports_ttl
    with pytest.raises(NotImplementedError, match="TTL"):
        store.put(("a",), "k", {"x": 1}, ttl=5)


def test_a_batch_reads_what_was_there_before_it_writes_and_the_last_write_counts(store):
    store.put(("a",), "k", {"x": 1})
    ops = [
        PutOp(("a",), "k", {"x": 2}),
        GetOp(("a",), "k"),
        SearchOp(("a",)),
        ListNamespacesOp(match_conditions=(MatchCondition("prefix", ("a",)),)),
        PutOp(("a",), "k", {"x": 3}),
    ]
    put, got, found, names, again = store.batch(ops)
    assert put is again is None and got.value == found[0].value == {"x": 1} and names == [("a",)]
    assert store.get(("a",), "k").value == {"x": 3}


async def test_asynchronous_calls_do_the_same(store):
    await store.aput(("a", "b"), "k", {"text": "refund a lamp", "x": 1}, index=TEXT)
    await asyncio.gather(*(store.aput(("a", "c"), str(n), {"x": n}, index=False) for n in range(8)))
    assert (await store.aget(("a", "b"), "k")).value["x"] == 1
    assert (await store.aget(("a", "b"), "none")) is None
    found = await store.asearch(("a",), query="refund a lamp", limit=3)
    assert keys(found)[0] == "k" and len(found) == 3
    assert await store.alist_namespaces(prefix=("a",)) == [("a", "b"), ("a", "c")]
    await store.adelete(("a", "b"), "k")
    assert (await store.aget(("a", "b"), "k")) is None
    with pytest.raises(InvalidNamespaceError):
        await store.aput((), "k", {})


def test_a_graph_has_it_in_its_nodes(store):
    def note(state: dict[str, Any]) -> dict[str, Any]:
        kept = get_store()
        kept.put(("users", state["user"]), "note", {"text": state["said"]})
        return {"said": kept.search(("users", state["user"]))[0].value["text"] + "!"}

    graph = StateGraph(dict)
    graph.add_node("note", note)
    graph.add_edge(START, "note")
    graph.add_edge("note", END)
    asked = {"user": "ada", "said": "dark"}
    assert graph.compile(store=store).invoke(asked) == {"said": "dark!"}


# Ours alone


def test_what_is_put_over_an_item_keeps_when_it_was_made(ours):
    ours.put(("a",), "k", {"x": 1})
    made = ours.get(("a",), "k").created_at
    time.sleep(0.01)
    ours.put(("a",), "k", {"x": 2})
    again = ours.get(("a",), "k")
    assert again.created_at == made and again.updated_at > made


def test_items_outlive_the_service_and_are_found_by_their_new_texts_alone(tmp_path):
    with served(tmp_path) as url:
        store = InstarStore(fields=TEXT, via=Client(url))
        store.put(("a",), "k", {"text": "polish the lamp"})
        store.put(("a",), "k", {"text": "feed the cat"})
    with served(tmp_path) as url:
        store = InstarStore(fields=TEXT, via=Client(url))
        (found,) = store.search(("a",), query="feed the cat")
        assert found.score == pytest.approx(1.0, abs=1e-5)
        assert store.search(("a",), query="polish the lamp")[0].score < 0.5


@pytest.mark.parametrize("value", [{"x": object()}, {"x": {1, 2}}])
def test_a_value_that_is_no_json_is_refused(ours, value):
    with pytest.raises(TypeError):
        ours.put(("a",), "k", value)
    with pytest.raises(ValueError):
        ours.put(("a",), "k", {"x": float("nan")})
    assert ours.get(("a",), "k") is None


def test_mistakes_are_told_by_a_sentence(ours):
    with pytest.raises(ValueError, match="limit"):
        ours.search((), limit=-1)
    with pytest.raises(ValueError, match="namespace"):
        ours.batch([PutOp(("a.b",), "k", {"x": 1})])
    with pytest.raises(ValueError, match="bytes"):
        ours.put(("a",), "k", {"x": "y" * 3_000_000})
    with pytest.raises(ValueError, match="NoneType"):
        ours.batch([None])


def test_texts_are_redacted_before_they_leave(url, ours):
    store = InstarStore(via=Client(url, redact=lambda text: text.replace("4111", "<card>")))
    store.put(("a",), "k", {"card": "4111", "deep": ["no 4111"]})
    assert ours.get(("a",), "k").value == {"card": "<card>", "deep": ["no <card>"]}


def silent() -> tuple[socket.socket, str]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"


def gone() -> tuple[socket.socket, str]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.mark.parametrize("how", [silent, gone])
def test_without_the_service_it_raises_or_is_open_to_failure_if_it_is_told_to_be(
    how: Callable[[], tuple[socket.socket, str]],
):
    sock, url = how()
    with sock:
        strict = InstarStore(timeout=0.05, via=Client(url))
        for call in (lambda: strict.get(("a",), "k"), lambda: strict.put(("a",), "k", {"x": 1})):
            with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
                call()
        via = Client(url)
        lenient = InstarStore(fail_open=True, timeout=0.05, via=via)
        lenient.put(("a",), "k", {"x": 1})
        assert lenient.get(("a",), "k") is None and lenient.search(()) == []
        assert lenient.list_namespaces() == [] and via.counts.failed == 4 and via.counts.last
        with pytest.raises(InvalidNamespaceError):
            lenient.put((), "k", {"x": 1})


def test_a_wrong_token_and_a_client_that_is_off_are_no_empty_store(folder):
    with served(folder, "secret") as url:
        with pytest.raises(StoreUnavailable, match="token"):
            InstarStore(via=Client(url, token="wrong")).get(("a",), "k")
        assert InstarStore(via=Client(url, token="secret")).get(("a",), "k") is None
    with pytest.raises(StoreUnavailable, match="INSTAR_OFF"):
        InstarStore(via=Client(url, enabled=False)).get(("a",), "k")


BAD: dict[str, Any] = {
    "no such op": {"op": "drop"},
    "no key": {"op": "get", "namespace": ["a"]},
    "a label with a point": {"op": "get", "namespace": ["a.b"], "key": "k"},
    "half a character": {"op": "put", "namespace": ["a"], "key": "k", "value": {"x": "\ud800"}},
    "half a character in a key": {"op": "get", "namespace": ["a"], "key": "\ud800"},
    "half a character in a name": {
        "op": "put",
        "namespace": ["a"],
        "key": "k",
        "value": {"\ud800": 1},
    },
    "half a character in a query": {"op": "search", "query": "\ud800"},
    "half a character in a path": {
        "op": "put",
        "namespace": ["a"],
        "key": "k",
        "value": {"x": 1},
        "index": ["\ud800"],
    },
    "a value that is a list": {"op": "put", "namespace": ["a"], "key": "k", "value": [1]},
    "no number": {"op": "put", "namespace": ["a"], "key": "k", "value": {"x": float("nan")}},
    "a huge limit": {"op": "search", "limit": 10**30},
    "an unknown comparison": {"op": "search", "filter": {"x": {"$in": [1]}}},
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_answered_by_a_status_and_a_sentence(url, ours, name):
    ours.put(("seed",), "k", {"x": 1})
    body = json.dumps({"ops": [BAD[name]]}).encode()
    answer = httpx.post(
        f"{url}/v1/store", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"] and "\n" not in answer.json()["error"]


def test_a_value_of_great_depth_or_a_huge_number_breaks_nothing(url):
    for inner in ("[" * 50_000 + "]" * 50_000, "1" * 5_000, "[" * 500 + "]" * 500):
        op = f'{{"op": "put", "namespace": ["a"], "key": "deep", "value": {{"x": {inner}}}}}'
        body = f'{{"ops": [{op}]}}'.encode()
        answer = httpx.post(f"{url}/v1/store", content=body)
        assert answer.status_code in (200, 400, 422), answer.text
    assert httpx.get(f"{url}/healthz").status_code == 200
