"""The lexical index: real SQLite, real processes."""

from __future__ import annotations

import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.types import MemoryItem, MemoryKind
from memory._asked_words import AskedWords
from memory._postings import Postings
from memory._words import asked, words_of
from memory.index import IndexBroken
from memory.lexical import LexicalIndex


def item(id: str, when: str, content: str = "", version: int = 1, **other: Any) -> MemoryItem:
    given = {"title": "", "kind": MemoryKind.LESSON, "namespace": "shed", **other}
    return MemoryItem(id=id, version=version, when=when, content=content, **given)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LexicalIndex]:
    opened = LexicalIndex.open(tmp_path / "index")
    assert opened is not None
    yield opened
    opened.close()


SHED = [
    item("lamp", "polish the lamp", "rub(id=$1) -> refused: error E-4021, shade is hot"),
    item("door", "oil the door", "close_order(id=$1) after the hinge"),
    item("roof", "mend the roof", "ladder first; see ticket ORD-2231-X", title="Roof in Prague"),
    item("lawn", "mow the lawn", "the lawn near the door is wet"),
]


def ids(index: LexicalIndex, text: str, n: int = 10, **filters: Any) -> list[str]:
    return [id for id, _, _ in index.query(text, n, **filters)]


# Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Polish the LAMP, please!", ["polish", "lamp"]),
        ("close_order(id=$1)", ["close_order", "close", "order", "id"]),
        ("closeOrder HTTPError", ["closeorder", "close", "order", "httperror"]),
        ("ORD-2231-X v1.2", ["ord-2231-x", "ord", "2231", "x", "v1.2", "v1", "2"]),
        ("__init__ a..b -x-", ["init", "b", "x"]),
        ("Žluťoučký KŮŇ straße", ["zlutoucky", "kun", "strasse"]),
        ("関闭订单 ok", ["関闭", "闭订", "订单", "ok"]),
        ("灯", ["灯"]),
        ("no\x00nul 🙂 \ud800 (\"'*^:", ["no", "nul"]),
        ("x" * 5000, ["x" * 64]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_value_need_not_be_found() -> None:
    assert asked('put the label "Blue Zebra" on lamp_417 now') == {
        "put": True,
        "label": True,
        "blue": False,
        "zebra": False,
        "lamp_417": False,
        "lamp": True,
        "417": False,
    }


# Questions


def test_what_covers_more_of_the_question_comes_first(index: LexicalIndex) -> None:
    index.add(SHED)
    (first, version, score), *_ = index.query("please oil the door", 10)
    assert (first, version, score) == ("door", 1, 1.0)
    assert ids(index, "oil the wet lawn door") == ["lawn", "door"]
    assert ids(index, "oil the wet lawn door", n=1) == ["lawn"]


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("error E-4021", "lamp"),
        ("4021", "lamp"),
        ("close_order", "door"),
        ("CLOSE the thing", "door"),
        ("ord-2231-x", "roof"),
        ("2231", "roof"),
        ("Přága prague", "roof"),
    ],
)
def test_the_very_word_is_found(index: LexicalIndex, text: str, id: str) -> None:
    index.add(SHED)
    assert ids(index, text) == [id]


def test_a_rare_word_says_more_than_a_common_one(index: LexicalIndex) -> None:
    index.add([*(item(f"i{n}", f"close ticket {n}") for n in range(30)), item("z", "close zebra")])
    scores = {id: score for id, _, score in index.query("close zebra ticket", 40)}
    assert scores["z"] > 0.8 > 0.2 > scores["i3"] > 0


def test_a_question_about_something_else_scores_low(index: LexicalIndex) -> None:
    index.add(SHED)
    assert index.query("lamp", 1)[0][2] == 1.0
    assert index.query("translate this lamp poem quickly", 1)[0][2] < 0.3
    # Values differ from task to task, so one that nobody knows says nothing.
    assert index.query('polish lamp 417 for "Zbigniew"', 1)[0][2] == 1.0
    assert index.query("polish lamp 4021", 1)[0] == ("lamp", 1, 1.0)
    assert index.query("wash the car", 5) == []


def test_nothing_to_look_for_finds_nothing(index: LexicalIndex) -> None:
    assert index.query("lamp", 5) == []
    index.add(SHED)
    for text in ("", "   ", "the of a", "🙂🙂", '"', "\x00", "$1"):
        assert index.query(text, 5) == [], text
    assert index.query("lamp", 0) == []


@pytest.mark.parametrize(
    "text",
    [
        'lamp" OR "door',
        "lamp AND NOT (door OR NEAR(roof lawn, 2))",
        "words: lamp* ^door - +roof",
        "lamp'); DROP TABLE entries; --",
        "lamp\x00door",
        "lamp 🙂 \ud83d",
        '{"lamp": ["door", null]}',
        "%lamp_ \\ lamp",
        "lamp " * 20_000,
    ],
)
def test_a_question_is_words_and_no_language(index: LexicalIndex, text: str) -> None:
    index.add(SHED)
    assert "lamp" in ids(index, text)
    assert len(ids(index, "lamp door roof lawn")) == 4


def test_what_was_read_is_kept_until_something_is_added(
    index: LexicalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add(SHED)
    read: list[str] = []
    rows = Postings.rows
    monkeypatch.setattr(Postings, "rows", lambda self, word: read.append(word) or rows(self, word))
    assert ids(index, "the wet lawn", 1) == ids(index, "the wet lawn", 1) == ["lawn"]
    assert len(read) == len(set(read)) > 0
    other = LexicalIndex.open(tmp_path / "index")
    assert other is not None
    other.add([item("pond", "wet lawn", "wet lawn of the pond")])
    other.close()
    assert set(ids(index, "the wet lawn")) >= {"pond", "lawn"}
    index.sync(lambda: SHED[:1])
    assert ids(index, "the wet lawn") == []


def test_no_more_is_kept_than_there_is_room_for(index: LexicalIndex, tmp_path: Path) -> None:
    index.add([item(f"i{n}", "common rare" if n < 3 else "common") for n in range(50)])
    words = AskedWords(Postings(tmp_path / "index" / "lexical.db"), most=52)
    for _ in range(2):
        assert [len(words.rows(word)) for word in ("common", "rare")] == [50, 3]
    assert words._held == 3
    assert words.frequencies(["common", "rare", "none"]) == {"common": 50, "rare": 3}


def test_a_long_question_is_quick(index: LexicalIndex) -> None:
    rng = random.Random(0)
    index.add([item(f"i{n}", f"word{n % 90} close order", f"w{n} or{n % 7}") for n in range(2000)])
    text = " ".join(f"w{rng.randrange(10**6)}" for _ in range(20_000)) + " w77"
    began = time.perf_counter()
    assert "i77" in ids(index, text)
    assert time.perf_counter() - began < 1.0
    assert ids(index, "\n" * 100_000 + "w78") == ["i78"]


def test_common_words_are_read_where_there_are_no_others(
    index: LexicalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.lexical._POSTINGS", 10)
    rare = {77: "zebra", 78: "yak"}
    index.add([item(f"i{n}", "close order", rare.get(n, "")) for n in range(100)])
    index.add([item("both", "close an order now"), item("one", "order")])
    assert ids(index, "order close", n=200)[-1] == "one"
    assert len(ids(index, "order close", n=200)) == 102
    # They are not read for candidates, but they count in the score.
    found = index.query("close order zebra yak", 200)
    assert {id for id, _, _ in found} == {"i77", "i78"} and found[0][2] == found[1][2] > 0.5


def test_equal_items_come_in_one_order(index: LexicalIndex) -> None:
    index.add([item(f"i{n}", "close order") for n in (3, 1, 2)])
    assert ids(index, "order") == ["i1", "i2", "i3"]


# Filters


def test_filters_come_before_the_cut(index: LexicalIndex) -> None:
    many = [item(f"a{n:04}", "open the box", namespace="other") for n in range(3000)]
    need = [item(f"b{n:04}", "open the box", tools=("saw", "axe")) for n in range(3000)]
    index.add(
        [*many, *need, item("c", "open a box in the old cellar of the house", tools=("axe",))]
    )
    assert ids(index, "box", namespaces={"shed"}, tools={"axe"}) == ["c"]
    assert len(ids(index, "box", n=50, namespaces=["shed"], tools={"axe", "saw"})) == 50
    assert ids(index, "box", namespaces={"nowhere"}) == ids(index, "box", namespaces=()) == []
    assert ids(index, "box", n=1, tools=()) == ["a0000"]


def test_the_caller_may_leave_out_more(index: LexicalIndex) -> None:
    index.add([item("i", "close order", version=v) for v in range(1, 400)])
    found = index.query("order", 5, keep=lambda id, version: id == "i" and version > 395)
    assert sorted(version for _, version, _ in found) == [396, 397, 398, 399]


# Following the store


def test_it_holds_exactly_what_it_was_told_to(index: LexicalIndex) -> None:
    index.sync(lambda: SHED)
    newer = item("lamp", "polish the chandelier", version=2)
    index.sync(lambda: [newer, SHED[1]])
    assert ids(index, "lamp") == ids(index, "hot shade") == ids(index, "roof") == []
    assert index.query("chandelier", 5) == [("lamp", 2, 1.0)]
    assert ids(index, "oil") == ["door"]
    index.sync(lambda: [])
    assert ids(index, "chandelier oil door") == []
    index.sync(lambda: SHED)
    assert ids(index, "lamp") == ["lamp"]


def test_adding_again_changes_nothing(index: LexicalIndex) -> None:
    index.add(SHED)
    before = index.query("lamp door", 5)
    index.add([*SHED, SHED[0], SHED[0]])
    index.sync(lambda: [*SHED, SHED[0]])
    assert index.query("lamp door", 5) == before


def test_another_text_of_the_same_version_is_noticed(index: LexicalIndex) -> None:
    index.add(SHED)
    index.sync(lambda: [item("lamp", "polish the boots"), item("door", "oil", namespace="barn")])
    assert ids(index, "boots") == ["lamp"]
    assert ids(index, "oil", namespaces={"barn"}) == ["door"]


def test_it_lasts(tmp_path: Path) -> None:
    first = LexicalIndex.open(tmp_path)
    assert first is not None
    first.sync(lambda: SHED)
    first.close()
    second = LexicalIndex.open(tmp_path)
    assert second is not None
    assert ids(second, "lamp") == ["lamp"]
    second.close()


def test_two_at_once_see_what_the_other_adds(index: LexicalIndex, tmp_path: Path) -> None:
    other = LexicalIndex.open(tmp_path / "index")
    assert other is not None
    index.add(SHED[:2])
    assert ids(other, "lamp") == ["lamp"]
    other.add(SHED[1:])
    assert ids(index, "roof", namespaces={"shed"}) == ["roof"]

    def stored_meanwhile() -> list[MemoryItem]:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite3.connect(tmp_path / "index" / "lexical.db", timeout=0).execute("BEGIN IMMEDIATE")
        return SHED[:3]

    index.sync(stored_meanwhile)
    assert ids(other, "lawn") == []
    other.close()


ADDER = """
import sys
from pathlib import Path
from instar.types import MemoryItem
from memory.lexical import LexicalIndex
index = LexicalIndex.open(Path(sys.argv[1]))
who, count = sys.argv[2], int(sys.argv[3])
for n in range(count):
    index.add([MemoryItem(id=f"{who}{n}", title="", when=f"open {who} box {n}", content="",
                          kind="lesson", namespace="shed")])
    print(n, flush=True)
"""


def adder(folder: Path, who: str, count: int) -> subprocess.Popen[str]:
    root = str(Path(__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", ADDER, str(folder), who, str(count)],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_add_and_one_is_killed(index: LexicalIndex, tmp_path: Path) -> None:
    steady = adder(tmp_path / "index", "steady", 150)
    killed = adder(tmp_path / "index", "killed", 10**6)
    assert killed.stdout is not None and steady.stdout is not None
    said = [killed.stdout.readline() for _ in range(20)]
    os.kill(killed.pid, signal.SIGKILL)
    rest = killed.communicate()[0].split()
    assert len(steady.communicate()[0].split()) == 150 and steady.returncode == 0
    acknowledged = int((rest or said)[-1]) + 1
    assert len(ids(index, "steady", n=500)) == 150
    # The one in flight may have got in as well.
    assert len(ids(index, "killed", n=10**6)) - min(acknowledged, 2048) in (0, 1)
    index.sync(lambda: SHED)
    assert ids(index, "lamp") == ["lamp"] and ids(index, "steady killed") == []


# Damage


def overwrite(path: Path, at: int) -> None:
    for beside in path.parent.glob("lexical.db-*"):
        beside.unlink()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(at).randbytes(200_000))


@pytest.mark.parametrize("at", [0, 4096, 40_000])
def test_a_damaged_file_is_built_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    many = [*SHED, *(item(f"i{n}", f"w{n} open box", "some words " * 20) for n in range(500))]
    index = LexicalIndex.open(tmp_path)
    assert index is not None
    index.sync(lambda: many)
    index.close()
    overwrite(tmp_path / "lexical.db", at)
    with caplog.at_level(logging.WARNING):
        again = LexicalIndex.open(tmp_path)
        assert again is not None
        again.sync(lambda: many)
    assert "rebuilt" in caplog.text
    assert ids(again, "lamp") == ["lamp"] and ids(again, "w77") == ["i77"]
    again.close()


def test_a_file_of_another_version_or_kind_is_built_anew(tmp_path: Path) -> None:
    for statement in ("PRAGMA user_version = 99", "DROP TABLE entries"):
        index = LexicalIndex.open(tmp_path)
        assert index is not None
        index.sync(lambda: SHED)
        index.close()
        other = sqlite3.connect(tmp_path / "lexical.db")
        other.execute(statement)
        other.close()
        index = LexicalIndex.open(tmp_path)
        assert index is not None
        index.sync(lambda: SHED)
        assert ids(index, "lamp") == ["lamp"]
        index.close()


def test_damage_met_at_a_question_is_told(index: LexicalIndex, tmp_path: Path) -> None:
    index.add(SHED)
    other = sqlite3.connect(tmp_path / "index" / "lexical.db")
    other.execute("DROP TABLE entries")
    with pytest.raises(IndexBroken):
        index.query("lamp", 1)
    with pytest.raises(IndexBroken):
        index.add([item("x", "open")])
    other.close()
    index.sync(lambda: SHED)
    assert ids(index, "lamp") == ["lamp"]


def test_where_it_cannot_be_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / "lexical.db").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert LexicalIndex.open(tmp_path / "file") is None
        assert LexicalIndex.open(tmp_path / "taken") is None
    assert caplog.text.count("no lexical index") == 2


def test_a_failed_reading_of_the_store_leaves_it_as_it_was(index: LexicalIndex) -> None:
    index.add(SHED)

    def read() -> list[MemoryItem]:
        raise RuntimeError("store")

    with pytest.raises(RuntimeError, match="store"):
        index.sync(read)
    assert ids(index, "lamp") == ["lamp"]
