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
    Origin,
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


async def test_a_fact_is_recalled_beside_what_to_do(bank: Bank) -> None:
    write(
        bank,
        item("w1", "polish lamp $1", "polish $1", support=2),
        item("l1", "polish lamp $1", "polish $1 -> refused: oil it first", LESSON),
        item("f1", "polish lamp $1", "lamps stand in the hall", MemoryKind.FACT),
        item("f2", "sweep yard", "the yard has two gates", MemoryKind.FACT),
    )
    assert await items(bank, "polish lamp 1") == ["w1", "f1"]
    assert await items(bank, "sweep yard") == ["f2"]
    only = Bank(bank.store, bank.embedder, None, kinds=[MemoryKind.FACT])
    assert await items(only, "polish lamp 1") == ["f1"]


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("always tag the order red before you refund it", "never tag the order red before you refund it"),
        ("tag the order red before you refund it twice", "don't tag the order red before you refund it twice"),
        ("use code a7 before the refund and then log it well", "use code b9 before the refund and then log it well"),
        ('open "puba" before the refund and then log it well', 'open "fama" before the refund and then log it well'),
    ],
)  # fmt: skip
def test_one_word_may_make_another_rule(bank: Bank, one: str, other: str) -> None:
    written = write(bank, item("w1", "refund $1", one), item("w2", "refund $1", other))
    assert written["w2"].cluster == ""
    assert write(bank, item("w3", "refund $1", f"{one} now"))["w3"].cluster == "w1"


def test_what_a_user_says_is_no_duplicate_of_what_was_found_out(bank: Bank) -> None:
    said = "take the oil and polish the lamp $1 with it"
    written = write(
        bank,
        item("w1", "polish lamp $1", said),
        item("w2", "polish lamp $1", said, origin=Origin.USER),
        item("w3", "polish lamp $1", said, origin=Origin.WEB_PAGE),
    )
    assert {i: w.cluster for i, w in written.items()} == {"w1": "", "w2": "", "w3": "w2"}


def test_what_takes_the_place_of_another_joins_those_that_say_the_same(bank: Bank) -> None:
    said = "take the oil and polish the lamp $1 with it"
    write(bank, item("w1", "polish lamp $1", "sell it"), item("w2", "polish lamp $1", said))
    better = MemoryOp(
        kind=OpKind.SUPERSEDE, target="w1", item=item("w3", "polish lamp $1", f"{said} twice")
    )
    ended, written = bank.write([better], "g1")
    assert (ended.id, written.id, written.cluster) == ("w1", "w3", "w2")


async def test_an_edit_that_makes_another_rule_of_it_leaves_the_cluster(bank: Bank) -> None:
    said = "take the oil and polish the lamp $1 with it"
    first = item("w1", "polish lamp $1", said)
    written = write(bank, first, item("w2", "polish lamp $1", f"{said} twice"))
    assert written["w2"].cluster == "w1"

    def edit(target: str, content: str) -> MemoryItem:
        changed = written[target].model_copy(update={"content": content})
        [after] = bank.write([MemoryOp(kind=OpKind.EDIT, target=target, item=changed)], "g1")
        return after

    assert edit("w2", f"{said} soon").cluster == "w1"
    apart = edit("w1", "sell it").cluster
    assert apart not in ("", "w1", "w2") and apart.startswith("w1.")
    assert edit("w1", f"{said} daily").cluster == "w1"  # where what says the same is
    assert edit("w2", "sell it").cluster != "w1"


async def test_a_pinned_one_stands_for_its_cluster(bank: Bank) -> None:
    said = "take the oil and polish the lamp $1 with it"
    write(
        bank,
        item("w1", "polish lamp $1", said, pinned=True),
        item("w2", "polish lamp $1", f"{said} twice", support=5),
        item("p1", "always", "be kind to the lamps and the people", MemoryKind.PRINCIPLE),
        item("p2", "always", "be kind to the lamps and the people too", MemoryKind.PRINCIPLE, pinned=True),
    )  # fmt: skip
    found = await recall(bank, "polish lamp 1", withholding=Withholding(bank=0.9, active=0.9))
    assert [(m.item, m.shown, m.propensity) for m in found.memories] == [
        ("w1", True, 1.0),
        ("p2", True, 1.0),
    ]


async def test_many_that_say_the_same_leave_room_for_others(bank: Bank) -> None:
    said = "take the oil and polish the lamp $1 with it"
    crowd = [item(f"w{n:03}", "polish lamp $1", said, LESSON) for n in range(100)]
    others = [
        item("x1", "polish lamp $1 now", "polish $1 -> refused: oil first", LESSON),
        item("x2", "polish lamp $1 now", "polish $1 -> refused: ask first", LESSON),
    ]
    write(bank, *crowd, *others)
    found = await items(bank, "polish lamp 1")
    assert found[0].startswith("w") and set(found[1:]) == {"x1", "x2"}


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


async def test_only_kinds_that_are_asked_for_are_recalled(store: Store) -> None:
    said = [
        item("w1", "polish lamp $1", "polish $1"),
        *(item(f"l{n}", "polish lamp $1", f"{n} -> no", LESSON, support=9) for n in range(300)),
        item("p1", "always", "be kind", MemoryKind.PRINCIPLE),
        item("n1", "polish", "needs glue", MemoryKind.TOOL_NOTE, tools=("polish",)),
    ]
    write(Bank(store, HashEmbedder(), None), *said)
    note = MemoryKind.TOOL_NOTE
    bank = Bank(store, HashEmbedder(), None, kinds=[WORKFLOW, note])
    assert await items(bank, "polish lamp 1") == ["w1", "n1"]
    assert [i.id for i, _ in bank.search("polish lamp", kinds=[WORKFLOW])] == ["w1"]


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


async def test_what_always_holds_gets_its_room_first(store: Store) -> None:
    bank = Bank(store, HashEmbedder(), None, tokens=60)
    write(
        bank,
        item("l1", "polish lamp $1", "polish $1 -> refused: " + "very " * 40, LESSON, support=5),
        item("l2", "polish lamp $1", "polish $1 -> refused: oil first", LESSON),
        item("p1", "always", "be " + "very " * 20 + "kind", MemoryKind.PRINCIPLE),
    )
    assert await items(bank, "polish lamp 1") == ["l2", "p1"]
    # A second recall has the room that the first one left.
    before = (await recall(bank, "polish lamp 1")).memories
    write(bank, item("l3", "polish lamp $1", "ask " + "very " * 12, LESSON, support=9))
    assert await items(bank, "polish lamp 1", before=before) == []
    assert await items(bank, "polish lamp 1", before=before[1:]) == ["l3"]


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
