"""What recall makes of an episode: draws, clusters, standing items, budgets, worth, a second look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.store import Store
from instar.types import (
    BankDraw,
    Generation,
    GenerationStatus,
    MemoryItem,
    MemoryKind,
    MemoryOp,
    MemoryStatus,
    OpKind,
    Recollection,
    Task,
    ToolSpec,
)
from memory.bank import Bank, Withholding
from memory.embed import HashEmbedder

TOOLS = [ToolSpec(name=n) for n in ("polish", "mend")]
WORKFLOW, LESSON = MemoryKind.WORKFLOW, MemoryKind.LESSON


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "instar.db") as opened:
        for id, parent, status in (("g0", None, "active"), ("g1", "g0", "candidate")):
            opened.add_generation(
                Generation(
                    id=id,
                    seq=0 if parent is None else 1,
                    parent=parent,
                    status=GenerationStatus(status),
                    model="scripted",
                    prompts="compact",
                )
            )
        yield opened


@pytest.fixture
def bank(store: Store) -> Bank:
    return Bank(store, HashEmbedder(), None)


def item(id: str, when: str, content: str, kind: MemoryKind = WORKFLOW, **more: Any) -> MemoryItem:
    more = {"support": 1, "namespace": "shed/1", **more}
    return MemoryItem(id=id, title=when, when=when, content=content, kind=kind, **more)


def write(bank: Bank, *items: MemoryItem) -> dict[str, MemoryItem]:
    written = bank.write([MemoryOp(kind=OpKind.ADD, item=i) for i in items], "g1")
    return {i.id: i for i in written}


def task(instruction: str, namespace: str = "shed/1") -> Task:
    return Task(
        id=f"t {instruction}",
        instruction=instruction,
        world="shed",
        namespace=namespace,
        group="polish",
        family="polish",
    )


async def recall(bank: Bank, instruction: str, seed: int = 0, **more: Any) -> Recollection:
    return await bank.recall(task(instruction), TOOLS, as_of="g1", seed=seed, **more)


async def items(bank: Bank, instruction: str, **more: Any) -> list[str]:
    return [m.item for m in (await recall(bank, instruction, **more)).memories]


# Draws


async def test_without_withholding_nothing_is_drawn(bank: Bank) -> None:
    write(bank, item("w1", "polish lamp $1", "polish $1"))
    found = await recall(bank, "polish lamp 1")
    assert found.bank is None
    assert [(m.shown, m.propensity) for m in found.memories] == [(True, 1.0)]


@pytest.mark.parametrize(
    ("status", "share"),
    [(MemoryStatus.CANDIDATE, 0.4), (MemoryStatus.ACTIVE, 0.2), (MemoryStatus.QUARANTINED, 0.4)],
)
async def test_draws_keep_to_their_propensities(
    bank: Bank, status: MemoryStatus, share: float
) -> None:
    write(bank, item("w1", "polish lamp $1", "polish $1", status=status))
    shares = Withholding(bank=0.25, candidate=0.4, active=0.2)
    found = [await recall(bank, "polish lamp 1", s, withholding=shares) for s in range(400)]
    assert {f.bank.propensity for f in found if f.bank} == {0.75}
    assert {f.memories[0].propensity for f in found} == {1 - share}
    with_bank = [f.memories[0].shown for f in found if f.bank and f.bank.shown]
    assert abs(len(with_bank) / 400 - 0.75) < 0.07
    assert abs(sum(with_bank) / len(with_bank) - (1 - share)) < 0.09
    assert not any(f.memories[0].shown for f in found if f.bank and not f.bank.shown)
    assert found[3] == await recall(bank, "polish lamp 1", 3, withholding=shares)


async def test_what_is_in_quarantine_is_shown_in_practice_only(bank: Bank) -> None:
    write(bank, item("w1", "polish lamp $1", "polish $1", status=MemoryStatus.QUARANTINED))
    assert await items(bank, "polish lamp 1") == []
    assert await items(bank, "polish lamp 1", withholding=Withholding()) == ["w1"]


async def test_pinned_items_are_never_withheld(bank: Bank) -> None:
    write(bank, item("w1", "polish lamp $1", "polish $1", pinned=True))
    shares = Withholding(bank=0.9, candidate=0.9, active=0.9)
    for seed in range(20):
        found = await recall(bank, "polish lamp 1", seed, withholding=shares)
        assert [m.shown for m in found.memories] == [True]
        assert found.bank is None


async def test_where_nothing_fits_nothing_is_drawn(bank: Bank) -> None:
    write(bank, item("w1", "polish lamp $1", "polish $1"))
    assert await recall(bank, "sweep yard", withholding=Withholding()) == Recollection()


# Clusters


def test_items_that_say_the_same_form_a_cluster(bank: Bank) -> None:
    told = "polish $1 -> refused: oil it first"
    written = write(
        bank,
        item("l1", "polish lamp $1", told, LESSON),
        item("l2", "please polish lamp $1", "polish $1 hard -> refused: oil it first", LESSON),
        item("l3", "polish lamp $1", "polish $1 -> refused: it is Sunday", LESSON),
        item("l4", "mend lamp $1", told, LESSON),
        item("l5", "polish lamp $1", told, LESSON, namespace="shed/2"),
    )
    assert {i: w.cluster for i, w in written.items()} == {
        "l1": "",
        "l2": "l1",
        "l3": "",
        "l4": "",
        "l5": "",
    }
    assert write(bank, item("l6", "polish lamp $1", told + ".", LESSON))["l6"].cluster == "l1"


async def test_one_of_a_cluster_is_shown_and_drawn_for(bank: Bank) -> None:
    write(
        bank,
        item("w1", "polish lamp $1", "take the oil and polish the lamp $1 with it twice"),
        item("w2", "polish lamp $1", "take the oil and polish the lamp $1 with it", support=3),
    )
    found = await recall(bank, "polish lamp 1", withholding=Withholding())
    assert [(m.item, m.unit) for m in found.memories] == [("w2", "w1")]


def test_nobody_looks_for_clusters_where_that_is_off(store: Store) -> None:
    bank = Bank(store, HashEmbedder(), None, near=None)
    written = write(
        bank, item("w1", "polish $1", "polish"), item("w2", "polish $1", "polish", LESSON)
    )
    assert {w.cluster for w in written.values()} == {""}


# What stands whatever the task, and where it is looked for


async def test_principles_and_notes_on_tools_at_hand_are_always_shown(bank: Bank) -> None:
    principles = [
        item(f"p{i:02}", f"always {i}", f"do {i}", MemoryKind.PRINCIPLE, support=i)
        for i in range(12)
    ]
    note = item("n1", "mend", "needs glue", MemoryKind.TOOL_NOTE, tools=("mend",))
    far = item("n2", "weld", "needs fire", MemoryKind.TOOL_NOTE, tools=("weld",))
    write(bank, *principles, note, far, item("w1", "polish lamp $1", "polish $1"))
    found = await items(bank, "polish lamp 1")
    assert found == ["w1", "n1", *(f"p{i:02}" for i in range(11, 1, -1))]
    assert (await items(bank, "sweep yard"))[0] == "n1"


async def test_shared_namespaces_are_looked_in_too(store: Store) -> None:
    bank = Bank(store, HashEmbedder(), None, namespaces=["shared"])
    write(
        bank,
        item("w1", "polish lamp $1", "polish $1", namespace="shared"),
        item("w2", "polish lamp $1", "oil $1", namespace="agent/other"),
    )
    assert await items(bank, "polish lamp 1") == ["w1"]
    assert await items(bank, "polish lamp 1", namespaces=["agent/other"]) == ["w2"]


async def test_no_more_is_recalled_than_the_budget_holds(store: Store) -> None:
    bank = Bank(store, HashEmbedder(), None, tokens=30)
    write(
        bank,
        item("l1", "polish lamp $1", "polish $1 -> refused: " + "very " * 40, LESSON, support=5),
        item("l2", "polish lamp $1", "polish $1 -> refused: oil first", LESSON),
    )
    assert await items(bank, "polish lamp 1") == ["l2"]


async def test_what_is_known_to_help_comes_first(bank: Bank) -> None:
    write(
        bank,
        item("l1", "polish lamp $1", "polish $1 -> refused: oil first", LESSON),
        item("l2", "polish lamp $1", "polish $1 -> refused: ask first", LESSON),
    )
    assert await items(bank, "polish lamp 1") == ["l1", "l2"]
    bank.keep_worth("g0", {"l2": 0.4})
    assert await items(bank, "polish lamp 1") == ["l2", "l1"]
    bank.keep_worth("g1", {"l2": -0.4})
    assert await items(bank, "polish lamp 1") == ["l1", "l2"]


async def test_what_is_worth_much_is_found_behind_many_that_are_nearer(store: Store) -> None:
    bank = Bank(store, HashEmbedder(), None, floor=-1.0, margin=2.0)
    nearer = [
        item(f"i{i}", f"polish lamp {'abcdefghij'[i % 10] * (2 + i // 10)}", f"{i}")
        for i in range(40)
    ]
    write(bank, *nearer, item("far", "polish lamp then shelve vase", "far"))
    found = bank.search("polish lamp", k=41)
    assert found[-1][0].id == "far" and found[15][1] - found[-1][1] < 0.2
    assert "far" not in await items(bank, "polish lamp 7")
    bank.keep_worth("g1", {"far": 1.0})
    assert (await items(bank, "polish lamp 7"))[0] == "far"


# A second look


async def test_a_second_recall_looks_for_something_else_and_draws_alike(bank: Bank) -> None:
    write(
        bank,
        item("w1", "polish lamp $1", "polish $1"),
        item("w2", "mend the broken handle", "mend it"),
    )
    shares = Withholding()
    for seed in range(30):
        first = await recall(bank, "polish lamp 1", seed, withholding=shares)
        asked = {"about": "mend the broken handle", "withholding": shares}
        second = await recall(bank, "polish lamp 1", seed, before=first.memories, **asked)
        alone = await recall(bank, "polish lamp 1", seed, **asked)
        assert [(m.label, m.item) for m in second.memories] == [("m2", "w2")]
        assert second.bank == first.bank
        assert isinstance(second.bank, BankDraw)
        assert second.memories[0].shown == alone.memories[0].shown


class Meaning:
    """An embedder that knows only whether a text is about lamps."""

    name, dimension, weights_hash, floor, lexical = "meaning", 2, "meaning-1", 0.9, False

    def embed(self, texts: Any) -> list[list[float]]:
        return [[1.0, 0.0] if "lamp" in t else [0.0, 1.0] for t in texts]


async def test_words_are_looked_for_beside_likeness(store: Store, tmp_path: Path) -> None:
    bank = Bank(store, Meaning(), tmp_path / "index")
    write(
        bank,
        item("w1", "polish lamp $1", "polish $1"),
        item("w2", "error E4711 of the furnace", "relight it"),
        item("w3", "error of the furnace", "wait", namespace="shed/2"),
    )
    assert await items(bank, "polish lamp 1") == ["w1"]
    assert await items(bank, "the furnace says error E4711") == ["w2"]
    write(bank, item("w4", "lamp with error E4711", "screw it in"))
    assert await items(bank, "lamp error E4711") == ["w4", "w1", "w2"]
    bank.close()
    bank = Bank(store, Meaning(), tmp_path / "index", lexical=False)
    assert "w2" not in await items(bank, "lamp error E4711")
    bank.close()


async def test_an_episode_that_is_stuck_is_helped_by_the_words_of_the_error(
    store: Store, tmp_path: Path
) -> None:
    bank = Bank(store, HashEmbedder(), tmp_path / "index")
    others = [item(f"o{i}", f"weld pipe {i} of row {i}", f"weld {i}") for i in range(20)]
    said = "mend $1 -> refused: ask the warden first"
    write(bank, item("l1", "mend handle $1", said, LESSON), *others)
    assert await items(bank, "polish lamp 1") == []
    about = "refused: ask the warden first\nlamps: 1, 2"
    assert await items(bank, "polish lamp 1", about=about) == ["l1"]
    bank.close()


async def test_words_can_be_looked_for_after_the_index_is_lost(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    bank = Bank(store, Meaning(), folder)
    write(bank, item("w2", "error E4711 of the furnace", "relight it"))
    assert await items(bank, "furnace error E4711") == ["w2"]
    bank.close()
    for file in folder.glob("lexical.db*"):
        file.write_bytes(b"no database" * 99)
    bank = Bank(store, Meaning(), folder)
    assert await items(bank, "furnace error E4711") == ["w2"]
    bank.close()
