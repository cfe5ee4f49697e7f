"""The history of the memory: changes by number, taken back, generations compared, and who did what."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from episodes import task, trajectory
from stores import generation

from instar import cli
from instar._memory_history import blame, changes, diff
from instar._memory_log import UNDO
from instar._taken_back import allowed, still_held
from instar.errors import UnknownName, UserError
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, MemoryStatus, OpKind, Split, Status
from memory.bank import Bank
from memory.embed import HashEmbedder

Seen = dict[str, tuple[str, str, list[float] | None]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "instar.db", clock=lambda: 7.0) as opened:
        opened.add_generation(generation("g0", status="active"))
        for id, parent in (("g1", "g0"), ("g2", "g1"), ("g3", "g0")):
            opened.add_generation(generation(id, parent))
        yield opened


def item(id: str, content: str = "refund $1", **changes: Any) -> MemoryItem:
    values = {"title": id, "when": f"refund {id}", "kind": MemoryKind.WORKFLOW, "namespace": "n"}
    return MemoryItem(**{"id": id, "content": content, **values, **changes})


def op(kind: str, target: str | None = None, new: str | None = None, **more: Any) -> MemoryOp:
    made = None if new is None else item(new, more.pop("content", f"{kind} {new}"), **more)
    return MemoryOp(kind=OpKind(kind), target=target, item=made, reason=f"because of {kind}")


def do(store: Store, *ops: MemoryOp, generation: str = "g0") -> int:
    """Make changes with a vector for each; the number of the last."""
    vectors = {o.item.id: [float(hash_of(o.item)), 1.0] for o in ops if o.item is not None}
    store.apply(ops, generation, vectors, "me")
    return changes(store, limit=1)[0].change


def hash_of(found: MemoryItem) -> int:
    return sum(map(ord, found.content)) % 97


def seen(store: Store, as_of: str = "g0") -> Seen:
    """Text, status and vector of each item that a generation sees."""
    vectors = store.vectors(as_of)
    return {
        i.id: (i.content, i.status.value, vectors.get((i.id, i.version)))
        for i in store.items(as_of)
    }


# Taking back

START = (
    op("add", new="a"),
    op("add", new="b", status=MemoryStatus.QUARANTINED),
    op("add", new="c"),
)


@pytest.mark.parametrize(
    "made",
    [
        op("add", new="d"),
        op("edit", "a", "a", status=MemoryStatus.CANDIDATE, sources=("t9",)),
        op("edit", "a", "a", status=MemoryStatus.INTERNALISED),
        op("retire", "b"),
        op("supersede", "b", "d"),
        op("supersede", "b", "b"),
        op("merge", "b", "c"),
        op("merge", "b", "d"),
        op("merge", "b", "b"),
    ],
    ids=lambda o: f"{o.kind.value}-{o.target}-{o.item and o.item.id}",
)
def test_each_kind_of_change_is_taken_back_and_the_undo_too(store: Store, made: MemoryOp) -> None:
    do(store, *START)
    before, whole = seen(store), store.items("g0")
    number = do(store, made)
    after = seen(store)
    assert after != before
    written = store.undo(number, "g0", "person")
    assert seen(store) == before
    assert [i.model_copy(update={"version": 0}) for i in store.items("g0")] == [
        i.model_copy(update={"version": 0}) for i in whole
    ]
    last = changes(store, limit=1)[0]
    assert (last.kind, last.author) == ("undo", "person")
    assert last.reason == f"takes back change {number} ({made.kind.value})"
    assert [(i.id, i.version) for i in written] == list(last.wrote)
    store.undo(last.change, "g0")
    assert seen(store) == after
    store.undo(changes(store, limit=1)[0].change, "g0")
    assert seen(store) == before


def test_a_change_is_one_operation_whatever_number_of_it_is_named(store: Store) -> None:
    do(store, *START)
    before = seen(store)
    number = do(store, op("supersede", "a", "d"))
    assert [c.change for c in changes(store)] == [4, 3, 2, 1] and number == 4
    assert changes(store)[0].wrote == (("a", 2), ("d", 1))
    store.undo(5, "g0")  # the second line of the same change
    assert seen(store) == before
    with pytest.raises(UserError, match=r"There is no change 99\. See: instar memory log"):
        store.undo(99, "g0")


def test_operations_that_look_alike_in_the_log_are_told_apart(store: Store) -> None:
    do(store, *START)
    same = (op("merge", "a", "a"), op("merge", "a", "a", content="2"), op("merge", "a", "b"))
    do(store, *same, op("retire", "b"), op("add", new="a", content="again"), op("merge", "a", "c"))
    told = [(c.kind, c.change, [id for id, _ in c.wrote]) for c in reversed(changes(store))][3:]
    assert told == [
        ("merge", 4, ["a"]),
        ("merge", 5, ["a"]),
        ("merge", 6, ["a", "b"]),
        ("retire", 8, ["b"]),
        ("add", 9, ["a"]),
        ("merge", 10, ["a", "c"]),
    ]


def test_a_later_change_stands_in_the_way_until_it_is_taken_back(store: Store) -> None:
    do(store, *START)
    first = do(store, op("supersede", "a", "d"))
    between = seen(store)
    later = do(store, op("edit", "d", "d", content="better"))
    before = (store.items(None), changes(store))
    with pytest.raises(UserError, match=rf"Memory d has been changed since, by change {later} "):
        store.undo(first, "g0")
    assert (store.items(None), changes(store)) == before, "nothing was written"
    store.undo(later, "g0")
    assert seen(store) == between
    store.undo(first, "g0")
    assert set(seen(store)) == {"a", "b", "c"}


def test_force_gives_up_what_came_later(store: Store) -> None:
    do(store, *START)
    before = seen(store)
    first = do(store, op("supersede", "a", "d"))
    do(store, op("edit", "d", "d", content="better"), op("retire", "d"))
    store.undo(first, "g0", force=True)
    assert seen(store) == before


def test_an_undo_is_seen_by_its_generation_and_those_after_it(store: Store) -> None:
    number = do(store, *START, op("edit", "a", "a"))
    was, now = "add a", "edit a"
    store.undo(number, "g1")
    texts = {g: seen(store, g)["a"][0] for g in ("g0", "g1", "g2", "g3")}
    assert texts == {"g0": now, "g1": was, "g2": was, "g3": now}
    beside = do(store, op("retire", "c"), generation="g3")
    with pytest.raises(UserError, match=r"was made in g3, which g1 does not see"):
        store.undo(beside, "g1", force=True)
    with pytest.raises(UnknownName):
        store.undo(number, "g9")


def test_what_a_generation_has_of_its_own_is_not_touched_by_a_change_above_it(store: Store) -> None:
    do(store, *START)
    own = do(store, op("edit", "a", "a", content="own"), generation="g1")
    above = do(store, op("edit", "a", "a", content="above"))
    with pytest.raises(UserError, match=rf"does not reach g1: there, .* as change {own} left it"):
        store.undo(above, "g1")


def test_dependent_changes_are_taken_back_together_newest_first_or_none_is(store: Store) -> None:
    do(store, op("add", new="c"))
    start = seen(store)
    do(store, op("add", new="a"), op("edit", "a", "a", content="2"), op("supersede", "a", "d"))
    last = do(store, op("edit", "d", "d", content="4"))
    assert last == 6
    for named in ([2, 3, 4, 6], [6, 2, 4, 3], [3, 2, 5, 4, 6, 6]):
        written = store.undo(named, "g1", "me")
        assert seen(store, "g1") == start and len(written) == 5
        assert [c.reason for c in changes(store, limit=4, generation="g1")] == [
            "takes back change 2 (add)",
            "takes back change 3 (edit)",
            "takes back change 4 (supersede)",
            "takes back change 6 (edit)",
        ]
        store.undo([c.change for c in changes(store, limit=4, generation="g1")], "g1")
        assert seen(store, "g1") == seen(store)
    before = store.items(None), changes(store)
    for named, said in (([6, 3], "by change 4 "), ([6, 99], "no change 99"), ([4, 2], "change 6")):
        with pytest.raises(UserError, match=said):
            store.undo(named, "g2")
    assert (store.items(None), changes(store)) == before, "nothing was written"
    with pytest.raises(UserError, match="change 4"):
        store.undo([6, 3], "g4", made=generation("g4", "g0"))
    assert "g4" not in [g.id for g in store.generations()]
    store.undo([6, 4], "g4", made=generation("g4", "g0"))
    assert seen(store, "g4")["a"][0] == "2"


def test_the_change_that_is_in_the_way_is_named_not_one_that_undid_another(store: Store) -> None:
    do(store, op("add", new="a"))
    for text in ("2", "3", "4"):
        do(store, op("edit", "a", "a", content=text))
    store.undo(4, "g0")
    store.undo(3, "g0")
    with pytest.raises(UserError, match=r"by change 2 \(edit\)\. Take that back first"):
        store.undo(1, "g0")
    store.undo(2, "g0")
    store.undo(1, "g0")
    assert seen(store) == {}


def test_what_is_taken_back_already_is_not_taken_back_again(store: Store) -> None:
    do(store, *START, op("edit", "a", "a"))
    store.undo(4, "g1", force=True)
    before = changes(store)
    with pytest.raises(UserError, match=r"Nothing is left to take back of change 4: in g1 "):
        store.undo(4, "g1", force=True)
    assert changes(store) == before
    assert len(store.undo([4, 3], "g1", force=True)) == 1, "what is left of several is taken back"


def test_random_changes_taken_back_in_reverse_lead_the_same_way_back(store: Store) -> None:
    rng = random.Random(3)
    do(store, *START)
    states = [seen(store)]
    numbers = []
    for turn in range(60):
        here = sorted(seen(store))
        fresh = rng.choice([id for id in "abcdefgh" if id not in here] or ["z"])
        target, other = (rng.choice(here or ["z"]) for _ in "12")
        kinds = ["add", "edit", "retire", "supersede", "merge"] if len(here) > 2 else ["add"]
        kind = rng.choice(kinds)
        new = {"add": fresh, "edit": target, "retire": None, "supersede": fresh, "merge": other}
        if kind in ("add", "supersede") and fresh == "z" and "z" in here:
            continue
        made = op(kind, None if kind == "add" else target, new[kind], content=f"{turn}")
        numbers.append(do(store, made))
        states.append(seen(store))
    for number in reversed(numbers):
        assert seen(store) == states.pop()
        store.undo(number, "g0")
    assert seen(store) == states.pop()


def test_recall_follows_an_undo_in_another_bank_and_in_the_index(
    store: Store, tmp_path: Path
) -> None:
    bank = Bank(store, HashEmbedder(), tmp_path / "index", exact_below=0)
    bank.write([op("add", new="oil the lamp"), op("add", new="mend a chair")], "g0", "me")
    bank.write([op("retire", "oil the lamp")], "g0", "me")
    bank.close()
    bank = Bank(store, HashEmbedder(), tmp_path / "index", exact_below=0)
    other = Bank(store, HashEmbedder(), None)
    number = changes(store, limit=1)[0].change

    def found(one: Bank) -> list[str]:
        return [i.id for i, _ in one.search("oil the lamp", 1, "g1")]

    assert found(bank) == found(other) == ["mend a chair"]
    (back,) = bank.undo(number, "g1", "person")
    assert back.in_use and found(bank) == found(other) == ["oil the lamp"]
    assert bank.index is not None
    assert {name.rpartition(".")[0] for name in bank.index.entries} >= {"oil the lamp"}
    bank.close()


# Log, difference and origin


def test_the_log_is_filtered_and_ends_where_it_is_cut(store: Store) -> None:
    do(store, *START)
    do(store, op("edit", "a", "a"), op("merge", "b", "a"), generation="g1")
    store.apply([op("retire", "c")], "g3", {}, "rules/2")
    assert [c.change for c in changes(store, item="a")] == [5, 4, 1]
    assert [c.change for c in changes(store, item="b")] == [5, 2]
    assert [c.change for c in changes(store, generation="g1")] == [5, 4]
    assert [c.change for c in changes(store, author="rules")] == [7]
    assert [c.change for c in changes(store, limit=2)] == [7, 5]
    assert changes(store, item="a", author="rules") == []
    merged = changes(store, item="b")[0]
    assert (merged.at, merged.kind, merged.target, merged.item) == (7.0, "merge", "b", "a")
    assert (merged.generation, merged.author, merged.reason) == ("g1", "me", "because of merge")
    assert merged.replaces == "b" and changes(store, item="c")[0].replaces is None


def test_a_difference_is_told_field_by_field(store: Store) -> None:
    do(store, *START)
    do(store, op("edit", "a", "a", support=3), op("retire", "b"), generation="g1")
    do(store, op("add", new="d"), op("edit", "c", "c", content="add c"), generation="g2")
    found = diff(store, "g0", "g2")
    assert [i.id for i in found.added] == ["d"] and [i.id for i in found.removed] == ["b"]
    assert found.changed == {"a": {"content": ("add a", "edit a"), "support": (0, 3)}}
    back = diff(store, "g2", "g0")
    assert [i.id for i in back.added] == ["b"] and back.changed["a"]["support"] == (3, 0)
    same = diff(store, "g0", "g3")
    assert not same.added and not same.removed and not same.changed
    with pytest.raises(UnknownName):
        diff(store, "g0", "g9")


def test_blame_links_versions_to_changes_episodes_and_each_other(store: Store) -> None:
    store.save_trajectory(trajectory(task("t1", Split.PRACTISE), Status.PASS))
    store.save_trajectory(trajectory(task("t2", Split.PRACTISE), Status.FAIL))
    do(store, op("add", new="a", sources=("t1-0",)))
    do(store, op("edit", "a", "a", sources=("t1-0", "t2-0", "gone")))
    do(store, op("supersede", "a", "d"), generation="g1")
    first, second, ended = blame(store, "a")
    assert first.change and (first.change.change, first.change.kind) == (1, "add")
    assert [(s.trajectory, s.task, s.outcome) for s in second.sources] == [
        ("t1-0", "t1", "pass"),
        ("t2-0", "t2", "fail"),
        ("gone", None, None),
    ]
    assert first.sources[0].instruction == "refund order t1"
    assert (first.replaced_by, second.replaced_by, ended.replaced_by) == (None, None, "d")
    assert ended.item.generation == "g1" and ended.item.status is MemoryStatus.RETIRED
    (new,) = blame(store, "d")
    assert (new.replaces, new.replaced_by) == ("a", None) and new.change == ended.change
    with pytest.raises(UnknownName, match="instar memory list"):
        blame(store, "nobody")


# The commands


@pytest.fixture
def instar(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, str, str]]:
    """Run a command in a workspace that remembers something; exit code, stdout, stderr."""
    monkeypatch.setenv("INSTAR_WORKSPACE", str(tmp_path / "ws"))

    def run(*arguments: object) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    run("init")
    with opened(tmp_path) as store:
        store.add_generation(generation("g0"))
        store.add_generation(generation("g1", "g0", status="active"))
    return run


def opened(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "ws" / "instar.db")


def remember(tmp_path: Path, *ops: MemoryOp, generation: str = "g1") -> None:
    with opened(tmp_path) as store:
        bank = Bank(store, HashEmbedder(), None)
        bank.write(ops, generation, "me")


def answer(instar: Any, *arguments: object) -> dict[str, Any]:
    code, out, err = instar(*arguments, "--json")
    assert code == 0, err
    return dict(json.loads(out))


def test_a_change_is_found_in_the_log_and_taken_back_in_a_candidate(
    instar: Any, tmp_path: Path
) -> None:
    remember(tmp_path, op("add", new="abc"), op("add", new="xyz"))
    remember(tmp_path, op("supersede", "abc", "new"))
    code, out, _ = instar("memory", "log")
    head, newest, *rest = out.splitlines()
    assert code == 0 and head.split() == [
        "change", "when", "kind", "memory", "generation", "author", "reason"
    ]  # fmt: skip
    assert newest.startswith("3 ") and "abc -> new" in newest and len(rest) == 2
    assert [c["change"] for c in answer(instar, "memory", "log", "--item", "xy")["changes"]] == [2]
    code, out, _ = instar("memory", "undo", 3)
    assert code == 0 and "abc is active, new is retired" in out and "generations promote" in out
    found = answer(instar, "memory", "undo", 3)
    assert [i["id"] for i in found["items"]] == ["abc", "new"]
    with opened(tmp_path) as store:
        assert len(changes(store)) == 4, "made once"
        assert set(seen(store, "g1")) == {"new", "xyz"}
        assert set(seen(store, found["generation"])) == {"abc", "xyz"}
        assert store.generation(found["generation"]).parent == "g1"
    told = answer(instar, "memory", "diff", "g1", found["generation"])
    assert [i["id"] for i in told["added"]] == ["abc"] and [i["id"] for i in told["removed"]] == [
        "new"
    ]
    assert instar("generations", "promote", found["generation"])[0] == 0
    code, _, err = instar("memory", "undo", 3)
    assert code == 2 and "has been changed since, by change 5 (undo)" in err
    assert answer(instar, "memory", "undo", 5)["items"][0]["status"] == "retired"


def test_undo_refuses_what_it_may_not_write_and_leaves_no_generation(
    instar: Any, tmp_path: Path
) -> None:
    code, _, err = instar("memory", "undo", 1)
    assert code == 2 and "There is no change 1" in err and err.count("\n") == 1
    remember(tmp_path, op("add", new="abc"))
    remember(tmp_path, op("edit", "abc", "abc"))
    code, _, err = instar("memory", "undo", 1)
    assert code == 2 and "changed since, by change 2 (edit)" in err and "--force" in err
    code, _, err = instar("memory", "undo", 2, "--generation", "g0")
    assert code == 2 and "g0 is candidate" not in err and "does not see" in err
    code, _, err = instar("memory", "undo", 2, "--generation", "g1")
    assert code == 2 and "g1 is active, and what it shows never changes" in err
    with opened(tmp_path) as store:
        assert [g.id for g in store.generations()] == ["g0", "g1"] and len(changes(store)) == 2
        store.add_generation(generation("g2", "g1"))
    found = answer(instar, "memory", "undo", 1, "--generation", "g2", "--force")
    assert found["generation"] == "g2" and found["items"][0]["status"] == "retired"


def test_several_are_taken_back_or_none_and_nothing_that_the_gate_has_measured(
    instar: Any, tmp_path: Path
) -> None:
    remember(tmp_path, op("add", new="abc"), op("add", new="xyz"))
    remember(tmp_path, op("edit", "abc", "abc", content="2"))
    remember(tmp_path, op("edit", "abc", "abc", content="3"))
    with opened(tmp_path) as store:
        for id, verdict in (("g2", None), ("g3", {"decision": "undecided"}), ("g4", None)):
            made = generation(id, "g1").model_copy(update={"verdict": verdict})
            store.add_generation(made)
        lived = trajectory(task("t1", Split.GATE), Status.PASS)
        store.save_trajectory(lived.model_copy(update={"generation": "g4", "purpose": "gate"}))
    for measured in ("g3", "g4"):
        code, _, err = instar("memory", "undo", 2, "--generation", measured)
        assert code == 2 and "measured by the gate" in err and "Leave out --generation" in err
    code, _, err = instar("memory", "undo", 4, 1, "--generation", "g2")
    assert code == 2 and "by change 3 (edit)" in err
    with opened(tmp_path) as store:
        assert len(changes(store)) == 4 and len(store.generations()) == 5
    found = answer(instar, "memory", "undo", 1, 3, 4)
    assert [(i["id"], i["status"]) for i in found["items"]] == [("abc", "retired")]
    assert answer(instar, "memory", "undo", 4, 3, 1) == found
    with opened(tmp_path) as store:
        assert set(seen(store, found["generation"])) == {"xyz"} and len(changes(store)) == 7


def test_diff_and_blame_read_like_the_rest(instar: Any, tmp_path: Path) -> None:
    remember(tmp_path, op("add", new="abc", sources=("t1-0",)), generation="g0")
    remember(tmp_path, op("edit", "abc", "abc", content="other"), op("add", new="xyz"))
    with opened(tmp_path) as store:
        store.save_trajectory(trajectory(task("t1", Split.PRACTISE), Status.PASS))
    code, out, _ = instar("memory", "diff", "g0", "g1")
    assert code == 0 and "+ xyz  refund xyz -> add xyz" in out
    assert "~ abc  content: 'add abc' -> 'other'" in out
    assert out.endswith("From g0 to g1: 1 added, 0 removed, 1 changed.\n")
    code, out, _ = instar("memory", "blame", "ab")
    assert code == 0 and "t1-0  pass  t1  refund order t1" in out and "2 (edit)" in out
    versions = answer(instar, "memory", "blame", "abc")["versions"]
    assert [v["change"]["change"] for v in versions] == [1, 2]
    for arguments in (
        ("diff", "g0", "g9"),
        ("blame", "nobody"),
        ("log", "--generation", "g9"),
        ("log", "--item", "zzz"),
    ):
        code, out, err = instar("memory", *arguments)
        assert (code, out) == (2, "") and "Unknown" in err and err.count("\n") == 1


# What a person took back


def learnt(store: Store, *ops: MemoryOp, generation: str = "g1") -> list[str]:
    """Of what a distiller would change, what it may: ids."""
    return [o.item.id if o.item else str(o.target) for o in allowed(store, generation, ops)]


def test_what_a_person_took_back_is_not_learnt_again_until_a_person_brings_it_back(
    store: Store,
) -> None:
    do(store, *START)
    again = op("add", new="a")
    assert learnt(store, op("add", new="d")) == ["d"]
    store.undo(1, "g1", UNDO)
    same = op("add", new="other", when="refund  A", content="add A\n")
    gone = op("add", new="a"), same, op("merge", "b", "a"), op("supersede", "c", "a")
    follows = op("edit", "other", "other"), op("retire", "other"), op("edit", "a", "a")
    rest = op("edit", "b", "b"), op("retire", "c"), op("add", new="d"), op("merge", "b", "c")
    assert learnt(store, *gone, *follows, *rest) == ["b", "c", "d", "c"]
    assert learnt(store, again, generation="g2") == [], "those made over it neither"
    assert learnt(store, again, generation="g3") == ["a"], "elsewhere nobody took it back"
    store.undo(changes(store, limit=1)[0].change, "g2", UNDO)
    assert learnt(store, op("edit", "a", "a"), generation="g2") == ["a"]


def test_what_an_import_ended_is_not_learnt_again_and_what_a_method_ended_is(store: Store) -> None:
    do(store, *START)
    store.apply([op("retire", "a")], "g1", {}, "import")
    store.apply([op("retire", "b")], "g1", {}, "g1/reflect_1/forget/uplift")
    assert learnt(store, op("add", new="a"), op("add", new="b")) == ["b"]
    store.apply([op("edit", "c", "c", when="refund a", content="add a")], "g1", {}, "me")
    assert learnt(store, op("edit", "c", "c", when="refund a", content="add a")) == ["c"]


def test_a_distiller_lifts_no_quarantine_that_it_has_not_seen(store: Store) -> None:
    do(store, *START)
    ops = still_held(store, "g1", [op("edit", "b", "b"), op("edit", "a", "a"), op("retire", "c")])
    assert [o.item and o.item.status.value for o in ops] == ["quarantined", "active", None]
