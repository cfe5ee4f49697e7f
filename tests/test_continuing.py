"""Which adapter a turn's training goes on from."""

from types import SimpleNamespace

import pytest
from stores import generation

from finetune.registry import base_hash
from instar._placebo import _times
from instar._stages import _newest_adapter
from instar.store import Store
from instar.types import Adapter


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "base"


# Generations of a turn: what came before them, what became of them, the adapter's name.
TURNS = {
    "nothing trained yet": ([("g0", None, "active", None)], None),
    "promoted": ([("g0", None, "retired", None), ("g1", "g0", "active", "a")], "a"),
    "undecided, the first": ([("g0", None, "active", None), ("g1", "g0", "candidate", "a")], "a"),
    "rejected": ([("g0", None, "active", None), ("g1", "g0", "rejected", "a")], None),
    "undecided after a promoted one": (
        [
            ("g0", None, "retired", None),
            ("g1", "g0", "active", "a"),
            ("g2", "g1", "candidate", "b"),
        ],
        "b",
    ),
    "promoted after an undecided one": (
        [
            ("g0", None, "retired", None),
            ("g1", "g0", "candidate", "a"),
            ("g2", "g0", "active", "b"),
        ],
        "b",
    ),
    "a memory promoted after an undecided adapter": (
        [
            ("g0", None, "retired", None),
            ("g1", "g0", "retired", "a"),
            ("g2", "g1", "candidate", "b"),
            ("g3", "g1", "active", "a"),
        ],
        "b",
    ),
    "rejected after an undecided one": (
        [
            ("g0", None, "active", None),
            ("g1", "g0", "candidate", "a"),
            ("g2", "g0", "rejected", "b"),
        ],
        "a",
    ),
    "rolled back": (
        [
            ("g0", None, "active", None),
            ("g1", "g0", "retired", "a"),
            ("g2", "g1", "candidate", "b"),
        ],
        None,
    ),
    "of another base": ([("g0", None, "active", None), ("g1", "g0", "candidate", "old")], None),
    "of this very turn": ([("g0", None, "active", None), ("g9", "g0", "candidate", "a")], None),
}


@pytest.mark.parametrize("case", TURNS)
def test_the_newest_adapter_that_the_gate_has_not_thrown_away(case, tmp_path, folder):
    made, wanted = TURNS[case]
    with Store.open(tmp_path / "instar.db") as store:
        for name in {row[3] for row in made} - {None}:
            base = "another" if name == "old" else base_hash(folder)
            store.add_adapter(Adapter(name=name, path=name, base=base, dataset="d"))
        for id, parent, status, adapter in made:
            one = generation(id, parent, status).model_copy(update={"adapter": adapter})
            store.add_generation(one)
        models = SimpleNamespace(folder=folder)
        loop = SimpleNamespace(store=store, workspace=SimpleNamespace(models=models))
        assert _newest_adapter(loop, store.active(), 9) == wanted


def test_a_placebo_is_trained_as_often_as_the_adapter_that_it_stands_beside(tmp_path):
    made = [("a", None, "parent"), ("b", "a", "parent"), ("c", "b", "parent"), ("d", "c", "base")]
    with Store.open(tmp_path / "instar.db") as store:
        for name, parent, start in made:
            recipe = {"start": start}
            adapter = Adapter(
                name=name, path=name, base="b", parent=parent, dataset="d", recipe=recipe
            )
            store.add_adapter(adapter)
        loop = SimpleNamespace(store=store)
        assert [_times(loop, name) for name in ("a", "b", "c", "d", None)] == [1, 2, 3, 1, 1]
