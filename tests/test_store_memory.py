"""Memory in the store: what each generation sees, and changes that are kept whole or not at all."""

import random

import pytest
from stores import generation

from instar.errors import UnknownName
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, MemoryStatus, OpKind


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "instar.db", clock=lambda: 7.0) as store:
        store.add_generation(generation("g0", status="active"))
        yield store


def item(id, content="refund $1", **changes):
    values = {"title": id, "when": "refund order $1", "kind": MemoryKind.WORKFLOW, "namespace": "n"}
    return MemoryItem(**{"id": id, "content": content, **values, **changes})


def add(id, content="refund $1"):
    return MemoryOp(kind=OpKind.ADD, item=item(id, content))


def edit(id, content):
    return MemoryOp(kind=OpKind.EDIT, target=id, item=item(id, content))


def retire(id):
    return MemoryOp(kind=OpKind.RETIRE, target=id, reason="harmful")


def contents(store, as_of):
    return {i.id: i.content for i in store.items(as_of)}


def test_items_are_numbered_and_their_vectors_kept(store):
    written = store.apply([add("a"), add("b")], "g0", {"a": [0.5, -1.0], "b": [0.1, 0.2]}, "me")
    assert [(i.id, i.version, i.generation) for i in written] == [("a", 1, "g0"), ("b", 1, "g0")]
    assert store.items("g0") == written == store.items(None)
    vectors = store.vectors("g0")
    assert vectors[("a", 1)] == [0.5, -1.0]
    assert vectors[("b", 1)] == pytest.approx([0.1, 0.2], rel=1e-6)


def test_an_edit_keeps_the_vector_unless_it_brings_one(store):
    store.apply([add("a")], "g0", {"a": [1.0, 2.0]})
    store.apply([edit("a", "refund $2")], "g0", {})
    assert store.vectors("g0") == {("a", 2): [1.0, 2.0]}
    store.apply([edit("a", "refund $3")], "g0", {"a": [3.0, 4.0]})
    assert store.vectors("g0") == {("a", 3): [3.0, 4.0]}
    assert [i.content for i in store.item_versions("a")] == ["refund $1", "refund $2", "refund $3"]


def test_a_branch_sees_its_ancestors_and_not_its_siblings(store):
    store.add_generation(generation("g1", "g0"))
    store.add_generation(generation("g2", "g0"))
    store.add_generation(generation("g3", "g1"))
    store.apply([add("a", "old"), add("b", "old")], "g0", {})
    store.apply([edit("a", "left"), retire("b"), add("c", "left")], "g1", {})
    store.apply([edit("a", "right")], "g2", {})
    assert contents(store, "g0") == {"a": "old", "b": "old"}
    assert contents(store, "g1") == contents(store, "g3") == {"a": "left", "c": "left"}
    assert contents(store, "g2") == {"a": "right", "b": "old"}
    assert {i.id: i.status.value for i in store.items(None)} == {
        "a": "active",
        "b": "retired",
        "c": "active",
    }


def test_what_a_rejected_branch_added_can_be_added_again(store):
    store.add_generation(generation("g1", "g0"))
    store.add_generation(generation("g2", "g0"))
    store.apply([add("a", "left")], "g1", {"a": [1.0]})
    again = store.apply([add("a", "right")], "g2", {"a": [2.0]})
    assert again[0].version == 2
    assert contents(store, "g1") == {"a": "left"} and contents(store, "g2") == {"a": "right"}
    assert store.vectors("g1") == {("a", 1): [1.0]}


def test_supersede_and_merge_end_their_target(store):
    store.apply([add("a"), add("b"), add("c")], "g0", {})
    store.apply([MemoryOp(kind=OpKind.SUPERSEDE, target="a", item=item("d", "new"))], "g0", {})
    store.apply([MemoryOp(kind=OpKind.MERGE, target="b", item=item("c", "both"))], "g0", {})
    assert contents(store, "g0") == {"c": "both", "d": "new"}
    store.apply([MemoryOp(kind=OpKind.MERGE, target="c", item=item("c", "more"))], "g0", {})
    assert contents(store, "g0") == {"c": "more", "d": "new"}


def test_an_internalised_item_is_no_longer_shown(store):
    store.apply([add("a")], "g0", {})
    shed = MemoryOp(kind=OpKind.EDIT, target="a", item=item("a", status=MemoryStatus.INTERNALISED))
    store.apply([shed], "g0", {})
    assert store.items("g0") == []
    with pytest.raises(ValueError, match="no memory 'a' is visible"):
        store.apply([retire("a")], "g0", {})


@pytest.mark.parametrize(
    "op",
    [
        add("a"),
        edit("none", "x"),
        retire("none"),
        MemoryOp(kind=OpKind.SUPERSEDE, target="a", item=item("b")),
        MemoryOp(kind=OpKind.MERGE, target="none", item=item("b")),
        MemoryOp(kind=OpKind.EDIT, target="a"),
        MemoryOp(kind=OpKind.ADD),
    ],
    ids=lambda op: f"{op.kind.value}-{op.target}",
)
def test_a_change_that_does_not_fit_writes_nothing(store, op):
    store.apply([add("a"), add("b")], "g0", {})
    before = (store.items(None), store.memory_log(100))
    with pytest.raises(ValueError):
        store.apply([add("c"), edit("a", "changed"), op], "g0", {})
    assert (store.items(None), store.memory_log(100)) == before


def test_changes_need_a_generation_and_vectors_the_dimension_on_record(store):
    with pytest.raises(UnknownName):
        store.apply([add("a")], "g9", {})
    assert store.embedder() is None
    store.set_embedder({"name": "hash", "dimension": 2, "weights": "abc"})
    assert store.embedder() == {"name": "hash", "dimension": 2, "weights": "abc"}
    with pytest.raises(ValueError, match="dimension 3, not 2"):
        store.apply([add("a")], "g0", {"a": [1.0, 2.0, 3.0]})
    assert store.items(None) == []


def test_the_log_tells_who_did_what_newest_first(store):
    store.apply([add("a"), retire("a")], "g0", {}, author="rules")
    newest, oldest = store.memory_log(10)
    assert newest == {
        "at": 7.0,
        "kind": "retire",
        "target": "a",
        "item": "a",
        "version": 2,
        "generation": "g0",
        "author": "rules",
        "reason": "harmful",
    }
    assert oldest["kind"] == "add"
    assert store.memory_log(1) == [newest]
    store.apply([add("b")], "g0", {}, author="workflow")
    assert store.memory_log(10, author="rules") == [newest, oldest]
    assert store.memory_log(10, author="nobody") == []


def test_random_changes_in_random_branches_agree_with_a_plain_model(store):
    rng = random.Random(0)
    shown = {"g0": {}}
    for number in range(1, 9):
        parent = rng.choice(sorted(shown))
        store.add_generation(generation(f"g{number}", parent))
        here = dict(shown[parent])
        for turn in range(12):
            id = rng.choice("abcdef")
            content = f"{number}.{turn}"
            if id not in here:
                op, here[id] = add(id, content), content
            elif rng.random() < 0.5:
                op, here[id] = edit(id, content), content
            else:
                op = retire(id)
                del here[id]
            store.apply([op], f"g{number}", {})
        shown[f"g{number}"] = here
    for id, expected in shown.items():
        assert contents(store, id) == expected
