"""``instar purge``: a text, a task or a session out of every file, and nothing else."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest
from episodes import task, trajectory
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from purge_workspace import HELD, OTHER, PLAIN, SECRET, TWISTED, build, item, recalled
from stores import generation

from benchmarks import runner
from instar import cli
from instar._cli_purge import _told
from instar._memory_history import changes
from instar._purge_pages import rewrite
from instar.errors import Busy, UnknownName, UserError, WorkspaceError
from instar.purging import Found, Wish, find, purge
from instar.store import Store
from instar.types import (
    MemoryOp,
    OpKind,
    Status,
)

LIVE = "0123456789abcdef"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "ws"
    build(folder)
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path) -> Path:
    """A workspace in which t1 and its text are everywhere that they can be."""
    return Path(shutil.copytree(built, tmp_path / "ws"))


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Everything in every file, as the bytes say."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield path.relative_to(folder).as_posix(), path.read_bytes().decode("utf-8", "ignore")


def holding(folder: Path, text: str) -> list[str]:
    """Files with the text in any case: as it is, escaped for JSON once or twice, or for HTML."""
    plain = [json.dumps(text, ensure_ascii=e)[1:-1] for e in (False, True)]
    twice = [json.dumps(p, ensure_ascii=False)[1:-1] for p in plain]
    pages = (html.escape(text), html.escape(text).replace("&quot;", "&#34;"))
    forms = "|".join(map(re.escape, {text, *plain, *twice, *pages}))
    pattern = re.compile(forms, re.IGNORECASE)
    return [name for name, whole in texts(folder) if pattern.search(whole)]


# What goes


def test_no_byte_of_a_text_is_left_and_the_rest_is(place: Path) -> None:
    before = holding(place, SECRET)
    assert {"instar.db", "runs/bench1/episodes.html", "runs/bench1/trajectories.jsonl"} < {*before}
    found = purge(place, Wish(kind="text", value=SECRET.upper()), rewrite)
    assert holding(place, SECRET) == holding(place, "parcel 77") == []
    assert (found.tasks, found.memories, found.lessened) == (("t1",), ("only",), ("both",))
    assert found.episodes == ("base-t1-0", "memory-t1-0", "t1-0", "t1-1")
    assert found.shown == ("base-t3-0", "memory-t3-0", "t3-0")
    assert not (place / "instar.db-wal").exists() and find_nothing(place, "text", SECRET)
    with Store.open(place, create=False) as store:
        assert store.check() is None
        assert [t.id for t in store.tasks()] == ["t2", "t3"]
        assert [t.id for t in store.trajectories()] == ["t2-0", "t3-0"]
        assert changes(store, generation="g1")[-1].author == "[purged]"
        assert changes(store, generation="g1")[-1].reason == "as [purged] says"
        assert store.generation("g1").verdict == {
            "decision": "undecided",
            "reasons": ["slower for [purged]"],
        }
        assert store.stage("g1/reflect_1") == {
            "answers": {"rules": {"refused": {"no [purged]": 1}}}
        }


def find_nothing(place: Path, kind: str, value: str) -> bool:
    return find(place, Wish.model_validate({"kind": kind, "value": value})).empty


def test_a_task_goes_with_its_episodes_and_what_was_learnt_from_them_alone(place: Path) -> None:
    found = purge(place, Wish(kind="task", value="t1"), rewrite)
    assert (found.tasks, found.memories, found.lessened) == (("t1",), ("only",), ("both",))
    assert holding(place, HELD.instruction) == holding(place, "parcel 77") == []
    with Store.open(place, create=False) as store:
        assert [t.parents for t in store.tasks()] == [(), ("t2",)]
        assert store.trajectory("t3-0").task.parents == ("t2",)
        first, second = store.trajectory("t3-0").memories
        assert (first.item, first.content, second.content) == ("only", "[purged]", "Never mind.")
        assert store.item_versions("only") == [] and len(store.items("g0")) == 2
        assert store.item_versions("other") == [OTHER.model_copy(update={"generation": "g0"})]
        told = [
            (i.version, i.generation, i.sources, i.content) for i in store.item_versions("both")
        ]
        assert told == [
            (1, "g0", ("t2-0",), "Look twice."),
            (2, "g1", ("t2-0",), "Look three times."),
            (3, "g0", ("t2-0",), "Look twice."),
            (4, "g1", ("t2-0",), "Look three times."),
        ]
        assert [i.support for i in store.item_versions("both")] == [2, 2, 1, 1]
        assert {key for key, _ in store.vectors("g1")} == {"both", "other"}
        newest, *_, oldest = changes(store)
        assert [c.change for c in changes(store)] == [6, 5, 4, 3, 2]
        assert (oldest.item, oldest.author) == ("both", "[purged]")
        assert (newest.kind, newest.author, newest.reason) == (
            "edit",
            "purge",
            "sources were purged",
        )
        assert store.stage("g1/practise_1/plan") == {"home": ["t2"], "foreign": [], "refused": 0}
        plan = store.stage("g1/reflect_1/rules") or {}
        assert [op["item"]["id"] for op in plan["ops"]] == ["both"]
        assert plan["ops"][0]["item"]["sources"] == ["t2-0"]
        assert plan["state"] == {
            "lexicon": {"toy/refund": [PLAIN.instruction]},
            "examples": {"toy/0": []},
            "votes": {"both": 1},
        }
        assert store.stage("bench1/memory/t1/0/rules") is None


def test_a_version_goes_that_was_learnt_from_what_goes_alone(place: Path) -> None:
    alone = OTHER.model_copy(update={"content": "Ring hatch 99.", "sources": ("t1-0",)})
    early = item("early", "Ring hatch 99 twice.", "t1-0")
    later = early.model_copy(update={"content": "Ring twice.", "sources": ("t1-0", "t2-0")})
    edit = MemoryOp(kind=OpKind.EDIT, target="other", item=alone, reason="hatch 99 is right")
    shown = recalled(alone).model_copy(update={"version": 2})
    with Store.open(place, create=False) as store:
        store.apply([MemoryOp(kind=OpKind.ADD, item=early)], "g0", {})
        store.apply([MemoryOp(kind=OpKind.EDIT, target="early", item=later)], "g1", {})
        store.apply([edit], "g1", {"other": [0.0] * len(store.vectors("g0")["other", 1])})
        store.save_trajectory(trajectory(PLAIN, id="seen", memories=(shown, recalled(OTHER))))
        plan = {"ops": [edit.model_dump(mode="json")], "state": {"saw": [shown.model_dump()]}}
        store.finish_stage("g1/reflect_2/rules", plan)
    found = find(place, Wish(kind="task", value="t1"))
    assert (found.memories, found.lessened) == (("only",), ("both", "early", "other"))
    assert "seen" in found.shown
    purge(place, Wish(kind="task", value="t1"), rewrite)
    assert holding(place, "hatch 99") == holding(place, "parcel 77") == []
    with Store.open(place, create=False) as store:
        assert store.check() is None
        texts_seen = {g: {i.id: i.content for i in store.items(g)} for g in ("g0", "g1")}
        assert "early" not in texts_seen["g0"] and texts_seen["g1"]["early"] == "Ring twice."
        assert texts_seen["g1"]["other"] == texts_seen["g0"]["other"] == "Never mind."
        assert [i.version for i in store.item_versions("other")] == [1, 2, 3]
        assert store.vectors("g1")["other", 3] == store.vectors("g0")["other", 1]
        first, second = store.trajectory("seen").memories
        assert (first.content, second.content) == ("[purged]", "Never mind.")
        assert store.stage("g1/reflect_2/rules") == {"ops": [], "state": {"saw": []}}


def test_runs_keep_the_other_episodes_and_their_pages(place: Path) -> None:
    before = json.loads((place / "runs/bench1/summary.json").read_text())
    purge(place, Wish(kind="task", value="t1"), rewrite)
    run = place / "runs" / "bench1"
    lines = runner.read_lines(run)
    assert [x.trajectory.id for x in lines] == ["base-t3-0", "memory-t3-0"]
    assert runner.read_settings(run).arms == ("base", "memory")
    after = json.loads((run / "summary.json").read_text())
    assert [before["arms"]["base"]["n"], after["arms"]["base"]["n"]] == [2, 1]
    pages = ("report.html", "report.png", "report.json", "episodes.html", "trajectories.jsonl")
    assert all((run / name).stat().st_size for name in pages)
    assert [p.name for p in (run / "screens" / "base").iterdir()] == ["t3-0"]
    told = json.loads((place / "runs/run1-report/report.json").read_text())
    assert [m["id"] for m in told["memories"]] == ["both"]
    assert "Look twice." in (place / "runs/run1-report/report.html").read_text()
    purge(place, Wish(kind="task", value="t3"), rewrite)
    assert sorted(p.name for p in run.iterdir() if p.is_file()) == [
        "episodes.jsonl",
        "settings.json",
    ]


def test_datasets_go_whole_and_adapters_are_named_or_removed(place: Path) -> None:
    first, second = sorted((place / "datasets").iterdir(), key=lambda p: "t1-0" not in p_text(p))
    found = find(place, Wish(kind="task", value="t1"))
    assert (found.datasets, found.adapters) == ((first.name,), ("ad1", "ad2"))
    assert found.generations == ("g1",)
    purge(place, Wish(kind="task", value="t1", adapters=True), rewrite)
    assert [p.name for p in (place / "datasets").iterdir()] == [second.name]
    assert [p.name for p in (place / "adapters").iterdir()] == ["ad3"]
    with Store.open(place, create=False) as store:
        assert [a.name for a in store.adapters()] == ["ad3"]
        assert store.generation("g1").adapter is None
        assert store.stage("g1/curate") is None, "an open turn curates again"
        assert store.stage("placebo/g1/1") is not None


def p_text(folder: Path) -> str:
    return next(folder.rglob("*.jsonl")).read_text()


def test_what_was_composed_of_an_adapter_is_named_and_a_pruned_one_is_not(place: Path) -> None:
    parts = {"parent": "ad3", "recipe": {"trainer": "compose", "parts": {"ad3": 1.0, "ad1": 1.0}}}
    with Store.open(place) as store:
        first = store.adapter("ad1")
        store.add_adapter(first.model_copy(update={"name": "ad4", "dataset": "both", **parts}))
        store.change_adapter(first.model_copy(update={"pruned": 1.0}))
    assert set(find(place, Wish(kind="task", value="t1")).adapters) == {"ad2", "ad4"}


def test_an_adapter_that_serves_is_not_removed(place: Path) -> None:
    with Store.open(place, create=False) as store:
        store.finish_stage("g1/train", {"adapter": "ad1"})
        store.activate("g1")
    with pytest.raises(UserError, match=r"g1 serves, with adapter ad1.*generations rollback"):
        purge(place, Wish(kind="task", value="t1", adapters=True), rewrite)
    assert holding(place, SECRET)
    assert purge(place, Wish(kind="task", value="t1"), rewrite).adapters == ("ad1", "ad2")
    with Store.open(place, create=False) as store:
        lineage = (store.stage("g1/curate") or {})["trajectories"]
    assert lineage == ["t1-0", "t2-0"], "nobody takes the adapter for clean"
    assert (place / "adapters" / "ad1").exists()


def test_a_subject_is_a_word_of_its_own(place: Path) -> None:
    with Store.open(place, create=False) as store:
        ops = [item("x", "Call ann now."), item("y", "Mind the annex."), item("z", "ANN's desk")]
        store.apply([MemoryOp(kind=OpKind.ADD, item=i) for i in ops], "g0", {})
    assert find(place, Wish(kind="text", value="Ann")).memories == ("x", "y", "z")
    assert purge(place, Wish(kind="subject", value="Ann"), rewrite).memories == ("x", "z")
    assert holding(place, "call ann") == [] and holding(place, "annex") == ["instar.db"]


@pytest.mark.parametrize(
    ("text", "whole", "anywhere"),
    [
        ("live/support/ada", True, True),
        ("live/support/Ada: x", True, True),
        ("see live/support/ada.", True, True),
        ("live/support/ada-2", False, True),
        ("live/support/x.ada", False, True),
        ("live/ada@x.org/bob", False, True),
        ("live/support/adam", False, True),
        ("live/support/ada-2 and Ada", True, True),
        ("Ada-2 called", True, True),
        ("ada@x.org", True, True),
    ],
)
def test_in_a_place_a_longer_name_is_another_one(text: str, whole: bool, anywhere: bool) -> None:
    for kind, held in (("subject", whole), ("text", anywhere)):
        words = Wish.model_validate({"kind": kind, "value": "ada"}).words
        assert words and words.said(text) is words.held({"x": [text]}) is held
        assert (words.without(text) != text) is held
    subject = Wish(kind="subject", value="ada").words
    assert subject and not subject.held({"subject": "ada-2"}) and subject.held({"subject": "Ada"})
    assert subject.names("ada") and not subject.names("ada-2") and subject.names("Ada Byron")


def test_what_names_another_customer_is_not_about_this_one() -> None:
    words = Wish(kind="subject", value="Ada").words_beside(
        ["ada-2", "ada", "ben", "ada.byron@x.org"]
    )
    assert words and not words.said("Ada-2 called") and not words.said("write to ada.byron@x.org")
    for text in ("Ada-2 called Ada", "ada-21", "Ada-related", "ada.byron@x.org2", "ada@x.org"):
        assert words.said(text), text
    assert words.without("ADA-2 and ADA") == "ADA-2 and [purged]"


def test_a_success_that_goes_stands_behind_nothing_any_more(tmp_path: Path) -> None:
    with Store.open(tmp_path / "instar.db") as store:
        store.add_generation(generation("g0", status="active"))
        for name, status in (("won", Status.PASS), ("lost", Status.FAIL), ("too", Status.FAIL)):
            store.save_trajectory(trajectory(task(name), status), stage="g1/practise_1")
        both = item("both", "Look twice.", "won-0", "lost-0", "too-0").model_copy(
            update={"support": 1}
        )
        store.apply([MemoryOp(kind=OpKind.ADD, item=both)], "g0", {})
    purge(tmp_path, Wish(kind="task", value="too"), rewrite)
    with Store.open(tmp_path / "instar.db") as store:
        assert [i.support for i in store.items("g0")] == [1]
    purge(tmp_path, Wish(kind="task", value="won"), rewrite)
    with Store.open(tmp_path / "instar.db") as store:
        (left,) = store.items("g0")
        assert (left.support, left.sources) == (0, ("lost-0",))


def test_sessions_of_a_customer_with_a_longer_name_stay(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "instar.db")
    with store:
        for subject, said in (("ada", "refund 1 for Ada"), ("ada-2", "refund 2 for Ada-2")):
            place = {"namespace": f"live/support/{subject}", "params": {"subject": subject}}
            one = task(said, instruction=said, **place)
            store.save_trajectory(trajectory(one, purpose="live"), stage="live")
    assert find(tmp_path, Wish(kind="subject", value="Ada")).episodes == ("refund 1 for Ada-0",)


@pytest.mark.parametrize(
    ("text", "held", "kept"),
    [
        ("Frau Müller", ["FRAU\n\tMÜLLER", "Frau Mu\u0308ller"], ["Frau Muller", "Frau Mueller"]),
        ("Mu\u0308ller", ["müller", "MU\u0308LLER"], ["Mu ller"]),
        ("straße", ["STRASSE", "Strasse", "straße", "STRAẞE"], ["strase"]),
        ("Frau\nSchmidt", ["frau  Schmidt", "Frau\u00a0Schmidt"], ["FrauSchmidt"]),
        ("Mu", ["Mu"], ["Mü", "Mu\u0308"]),
        ("gros", ["Gros"], ["Groß"]),
    ],
)
def test_a_text_is_found_however_it_is_spelt(text: str, held: list[str], kept: list[str]) -> None:
    words = Wish(kind="text", value=text).words
    assert words is not None
    for one in held:
        told = f"ß ü {one}, ü"
        assert words.said(told) and words.without(told) == told.replace(one, "[purged]")
        for ascii_only in (False, True):
            assert words.may_hold(json.dumps({"content": told}, ensure_ascii=ascii_only))
    for one in kept:
        assert not words.said(f"ü {one}") and words.without(f"ü {one}") == f"ü {one}"
    subject = Wish(kind="subject", value="ann").words
    assert subject and not subject.said("re\u0301ann") and subject.said("é ANN")


def test_no_spelling_of_a_text_is_left_and_others_stay_as_they_are(place: Path) -> None:
    told = ["Frau\nMU\u0308LLER", "Ask frau  Müller", "Frau Mueller knows"]
    with Store.open(place, create=False) as store:
        ops = [item(f"s{n}", content) for n, content in enumerate(told)]
        store.apply([MemoryOp(kind=OpKind.ADD, item=i) for i in ops], "g0", {})
        store.finish_stage("g1/noted", {"said": "of Frau \t Müller, no more"})
    assert purge(place, Wish(kind="text", value="Frau Müller"), rewrite).memories == ("s0", "s1")
    assert holding(place, "müller") == holding(place, "MU\u0308LLER") == []
    assert holding(place, told[2]) == ["instar.db"]
    with Store.open(place, create=False) as store:
        assert store.stage("g1/noted") == {"said": "of [purged], no more"}
    assert find_nothing(place, "text", "frau mu\u0308ller")


def test_a_text_goes_from_notes_and_from_what_was_deleted_before(place: Path) -> None:
    with Store.open(place, create=False) as store:
        store.apply(
            [MemoryOp(kind=OpKind.RETIRE, target="other", reason="import of mona.md")], "g1", {}
        )
        seen = recalled(OTHER).model_copy(update={"content": "Ask Liv Moe."})
        store.save_trajectory(trajectory(PLAIN, id="late", memories=(seen,)))
    deleted(place / "instar.db", "by Ruth Olm " * 1000)
    assert find(place, Wish(kind="subject", value="mona")).notes == 1
    assert find(place, Wish(kind="text", value="liv moe")).shown == ("late",)
    assert find(place, Wish(kind="text", value="Ruth Olm")).traces
    for text in ("Ruth Olm", "mona", "liv moe"):
        assert holding(place, text) == ["instar.db"]
        purge(place, Wish(kind="text", value=text), rewrite)
        assert holding(place, text) == [] and find_nothing(place, "text", text)


def deleted(path: Path, text: str) -> None:
    """Write a record and delete it, as where SQLite does not overwrite what is deleted."""
    for statement in (
        "INSERT INTO stages VALUES ('old', ?, 0)",
        "DELETE FROM stages WHERE value = ?",
    ):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(statement, (text,))
        connection.close()


class State(TypedDict):
    id: str
    said: str


def talk(path: Path, thread: str, state: State) -> None:
    graph = StateGraph(State)
    graph.add_node("answer", lambda s: {"said": s["said"] + "!"})
    graph.add_edge(START, "answer")
    with SqliteSaver.from_conn_string(str(path)) as saver:
        config = {"configurable": {"thread_id": thread}}
        graph.compile(checkpointer=saver).invoke(state, config)


def threads(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT DISTINCT thread_id FROM checkpoints ORDER BY 1").fetchall()
    connection.close()
    return [id for (id,) in found]


def test_a_session_goes_with_its_checkpoints(place: Path) -> None:
    live = task("live-1", instruction="tidy my desk", world="live", namespace="live/files")
    with Store.open(place, create=False) as store:
        found = trajectory(live, Status.UNKNOWN, id=LIVE, purpose="live")
        store.save_trajectory(found, stage="live")
        store.apply([MemoryOp(kind=OpKind.ADD, item=item("desk", "Top.", LIVE))], "g0", {})
    path = place / "sessions.db"
    talk(path, "s1", {"id": LIVE, "said": "my drawer"})
    talk(path, "s2", {"id": "f" * 16, "said": TWISTED})
    talk(path, "s3", {"id": "e" * 16, "said": "my window"})
    (place / "evolve.checkpoints").write_bytes(path.read_bytes())
    with pytest.raises(UnknownName, match=f"session.*{LIVE}"):
        find(place, Wish(kind="session", value="nobody"))
    gone = purge(place, Wish(kind="session", value="s1"), rewrite)
    assert (gone.tasks, gone.episodes, gone.memories) == (("live-1",), (LIVE,), ("desk",))
    assert gone.sessions == ("s1",) and threads(path) == ["s2", "s3"]
    assert holding(place, "my drawer") == holding(place, "tidy my desk") == []
    assert not (place / "evolve.checkpoints").exists()
    assert purge(place, Wish(kind="text", value=SECRET), rewrite).sessions == ("s2",)
    assert holding(place, SECRET) == [] and holding(place, "my window") == ["sessions.db"]


# Interruptions and other processes


KILLED = """
import sys
from pathlib import Path
from instar._purge_pages import rewrite
from instar.purging import Wish, purge
purge(Path(sys.argv[1]), Wish(kind="task", value="t1"), rewrite)
"""


@pytest.mark.parametrize("point", ["purge.run", "purge.store", "purge.shrink"])
def test_a_purge_that_was_killed_is_run_again(place: Path, point: str) -> None:
    talk(place / "sessions.db", "s2", {"id": "f" * 16, "said": SECRET})
    environment = {**os.environ, "INSTAR_FAILPOINT": point}
    command = [sys.executable, "-c", KILLED, str(place)]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    purge(place, Wish(kind="task", value="t1"), rewrite)
    assert holding(place, HELD.instruction) == holding(place, "parcel 77") == []
    with Store.open(place, create=False) as store:
        assert store.check() is None and len(store.item_versions("both")) == 4
    with pytest.raises(UnknownName):
        find(place, Wish(kind="task", value="t1"))
    assert purge(place, Wish(kind="text", value=SECRET), rewrite).sessions == ("s2",)
    assert holding(place, SECRET) == []


def test_a_workspace_that_another_has_open_is_left_alone(place: Path) -> None:
    before = dict(texts(place))
    with Store.open(place, create=False) as store:
        store.tasks()
        with pytest.raises(Busy, match="another process has it open; end it and type"):
            purge(place, Wish(kind="text", value=SECRET), rewrite)
    after = dict(texts(place))
    assert {k: v for k, v in after.items() if k in before and k != "instar.db"} == {
        k: v for k, v in before.items() if k != "instar.db"
    }
    with pytest.raises(WorkspaceError, match="instar init"):
        purge(place.parent / "none", Wish(kind="text", value=SECRET), rewrite)
    assert not (place.parent / "none").exists()


# The command


@pytest.fixture
def instar(
    capsys: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, str, str]]:
    """Run a command in the workspace; exit code, stdout, stderr."""
    monkeypatch.setenv("INSTAR_WORKSPACE", str(place))

    def run(*arguments: object) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    return run


def test_nothing_goes_before_it_is_agreed_to(instar: Any, place: Path) -> None:
    before = holding(place, SECRET)
    for more, told in ((["--dry-run"], "Nothing was changed.\n"), ([], "add --yes\n")):
        code, out, _ = instar("purge", "--text", SECRET, *more)
        assert code == 0 and out.endswith(told) and holding(place, SECRET) == before
        rows = dict(re.findall(r"^(\S.*?)  +(\d+) ", out, re.MULTILINE))
        assert (rows["tasks"], rows["episodes"], rows["runs that change"]) == ("1", "4", "2")
        assert rows["adapters trained on it, which stay"] == "2"
    (place / "files").mkdir()
    (place / "files" / "note.txt").write_text(f"for {TWISTED}")
    code, out, err = instar("purge", "--text", SECRET, "--yes", "--json")
    found = json.loads(out)
    assert code == 0 and found["purged"] and found["left"] == ["files/note.txt"], err
    assert holding(place, SECRET) == ["files/note.txt"]
    assert list((place / "index").glob("chroma-*/chroma.sqlite3")), "made anew"
    code, out, _ = instar("purge", "--text", SECRET, "--yes")
    assert (code, out) == (0, "Nothing here holds it.\n")
    assert instar("memory", "search", "refund")[0] == 0


def test_the_end_says_that_backups_keep_it() -> None:
    told = _told(Found(), Wish(kind="text", value=SECRET), [])
    assert "instar backup" in told.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "one of: --task, --session, --subject, --text"),
        (["--task", "t1", "--text", "x"], "one of: --task"),
        (["--text", " "], "--text is empty"),
        (["--task", "t9"], "Unknown task 't9'"),
        (["--task", "t"], "'t' could be t1, t2, t3: type more of it."),
    ],
)
def test_mistakes_are_told_in_a_line(instar: Any, arguments: list[str], told: str) -> None:
    code, out, err = instar("purge", *arguments, "--yes")
    assert (code, out) == (2, "") and told in err and err.count("\n") == 1
