"""What the memory commands say to somebody who decides about memories: states, where they are, what to type next."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from test_service import fill, item

from instar import __main__, cli
from instar._cli_common import readable, table
from instar.compose import Workspace
from instar.config import load_config
from instar.store import Store
from instar.types import GenerationStatus, MemoryItem, MemoryOp, MemoryStatus, OpKind


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A workspace in the current folder that knows three things, two of which say the same."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(fill(Path("w")))
    write(
        item("m-two", "live/support", "look up the state").model_copy(update={"cluster": "m-all"})
    )
    return Path("w")


def write(*items: MemoryItem) -> None:
    write_into("g1", *items)


def write_into(generation: str, *items: MemoryItem) -> None:
    change(generation, "test", *(MemoryOp(kind=OpKind.ADD, item=i) for i in items))


def change(generation: str, author: str, *ops: MemoryOp) -> None:
    async def written() -> None:
        async with Workspace.open(load_config(None, ["workspace=w"])) as workspace:
            workspace.bank.write(ops, generation, author)

    asyncio.run(written())


def status(of_one: MemoryStatus, generation: str, author: str) -> None:
    """Give m-one another status, as a forgetter does."""
    with Store.open(Path("w/instar.db")) as store:
        (before,) = [i for i in store.items(generation) if i.id == "m-one"]
    moved = before.model_copy(update={"status": of_one})
    change(generation, author, MemoryOp(kind=OpKind.EDIT, target="m-one", item=moved))


def run(capsys, *words: str, code: int = 0) -> str:
    """What a command says in all."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--workspace", "w"])
    told = capsys.readouterr()
    assert (ended.value.code or 0) == code, told.err
    return told.out + told.err


@pytest.mark.usefixtures("place")
def test_what_a_quarantine_advises_takes_all_of_it_back(capsys):
    told = run(capsys, "memory", "quarantine", "m-two")
    advised = re.search(r"instar (memory undo \d+ \d+)\n\(with: --workspace w\)", told)
    assert "m-all, m-two" in told and advised
    listed = run(capsys, "memory", "list")
    assert listed.count("quarantined") == 2 and listed.count("active") == 2
    undone = run(capsys, *advised[1].split())
    made = re.search(r"instar (generations promote undo-\w+)", undone)
    assert made and "m-all is active" in undone and "m-two is active" in undone
    assert run(capsys, *advised[1].split()) == undone, "asked twice, it is done once"
    run(capsys, *made[1].split())
    assert "quarantined" not in run(capsys, "memory", "list")


@pytest.mark.usefixtures("place")
def test_what_is_pinned_is_not_put_into_quarantine(capsys):
    run(capsys, "memory", "pin", "m-all")
    assert "active, pinned" in run(capsys, "memory", "list")
    shown = run(capsys, "memory", "show", "m-all")
    assert shown.count("which serves now") == 1 and "active, pinned" in shown
    refused = run(capsys, "memory", "quarantine", "m-all", code=2)
    assert "instar memory pin --off m-all" in refused and "--workspace w" in refused


@pytest.mark.usefixtures("place")
def test_what_is_in_quarantine_is_not_pinned(capsys):
    write(item("m-one", "live/support", "as a page says"))
    status(MemoryStatus.QUARANTINED, "g1", "g1/reflect_1/forget/uplift")
    assert "instar memory blame m-one" in run(capsys, "memory", "pin", "m-one", code=2)
    number = json.loads(run(capsys, "memory", "quarantine", "m-one", "--json"))["changes"][0]
    refused = run(capsys, "memory", "pin", "m-one", code=2)
    assert "never serve" in refused and f"instar memory undo {number}" in refused
    assert "pinned" not in run(capsys, "memory", "list")


@pytest.mark.usefixtures("place")
def test_a_unit_of_several_states_says_so(capsys):
    with Store.open(Path("w/instar.db")) as store:
        held = store.item_versions("m-two")[-1].model_copy(
            update={"status": MemoryStatus.QUARANTINED}
        )
    edit = [MemoryOp(kind=OpKind.EDIT, target="m-two", item=held)]

    async def edited() -> None:
        async with Workspace.open(load_config(None, ["workspace=w"])) as workspace:
            workspace.bank.write(edit, "g1", "test")

    asyncio.run(edited())
    assert "1 active, 1 quarantined" in run(capsys, "memory", "list", "--by", "uplift")


@pytest.mark.usefixtures("place")
def test_where_the_active_generation_sees_nothing_it_is_said_who_does(capsys):
    with Store.open(Path("w/instar.db")) as store:
        empty = store.generation("g1").model_copy(
            update={"id": "g0", "seq": 0, "status": GenerationStatus.CANDIDATE}
        )
        store.add_generation(empty)
        store.activate("g0")
    for command in (["list"], ["search", "refund order"], ["list", "--by", "uplift"]):
        assert "g1 holds 4" in run(capsys, "memory", *command)
    assert "instar memory list --generation g1" in run(capsys, "memory", "pin", "m-all", code=2)
    assert "m-sales" in run(capsys, "memory", "list", "--generation", "g1")


@pytest.mark.usefixtures("place")
def test_promoting_beside_what_serves_says_what_is_left_behind(capsys):
    for name in ("one", "two"):
        line = {"id": f"m-{name}", "when": "x", "content": name, "namespace": "live/support"}
        Path(f"{name}.jsonl").write_text(json.dumps(line))
        run(capsys, "memory", "import", f"{name}.jsonl", "--yes")
    first, second = (
        g["id"]
        for g in json.loads(run(capsys, "generations", "list", "--json"))["generations"]
        if g["id"].startswith("import-")
    )
    assert "changed is not in" not in run(capsys, "generations", "promote", first)
    assert f"What {first} changed is not in {second}" in run(
        capsys, "generations", "promote", second
    )
    assert "active already" in run(capsys, "generations", "promote", second)


def test_an_import_under_another_embedder_leaves_nothing_behind(place, capsys):
    Path("one.jsonl").write_text('{"when": "x", "content": "y", "namespace": "live/support"}')
    (place / "instar.toml").write_text('[memory]\nembedder = "litellm/openai/none"\n')
    before = run(capsys, "generations", "list")
    refused = run(capsys, "memory", "import", "one.jsonl", "--yes", code=2)
    assert "instar memory reembed" in refused
    assert run(capsys, "generations", "list") == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"polarity": 99}, "polarity: 99"),
        ({"support": -5}, "support: -5"),
        ({"namespace": "a\nb"}, "namespace: a line break"),
        ({"text": "hello"}, "text: no such field; there are id,"),
    ],
)
@pytest.mark.usefixtures("place")
def test_values_that_mean_nothing_are_refused(capsys, fields, said):
    Path("one.jsonl").write_text(json.dumps({"when": "x", "content": "y"} | fields))
    assert said in run(capsys, "memory", "import", "one.jsonl", "--namespace", "n", code=2)


@pytest.mark.usefixtures("place")
def test_an_occasion_and_a_text_are_enough(capsys):
    Path("one.jsonl").write_text('{"when": "refund order $1", "content": "tag it"}')
    told = run(capsys, "memory", "import", "one.jsonl", "--namespace", "live/support")
    assert "refund order $1 -> tag it" in told and "1 added" in told


def test_what_people_wrote_neither_breaks_tables_nor_steers_the_terminal():
    assert table(["a", "b"], [["x\r\n\ny", "z\u2028w"]]) == "a    b\nx y  z w"
    assert (
        readable("red \x1b[31m\x07\ttab\n")
        == "red \N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}\ttab\n"
    )


def test_ctrl_c_ends_without_a_traceback_from_the_first_moment(monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        __main__.run()
    assert ended.value.code == 130


def changed(capsys, text: str) -> str:
    """A candidate with another text of m-one, made by an import."""
    line = {"id": "m-one", "when": "x", "content": text, "namespace": "live/support"}
    Path("edit.jsonl").write_text(json.dumps(line))
    told = run(capsys, "memory", "import", "edit.jsonl", "--yes")
    made = re.search(r"in candidate (import-\w+)", told)
    assert made
    return made[1]


def held(capsys, generation: str) -> bool:
    listed = run(capsys, "memory", "list", "--generation", generation, "--json")
    (found,) = [i for i in json.loads(listed)["items"] if i["id"] == "m-one"]
    return bool(found["status"] == "quarantined")


@pytest.fixture
def one(place) -> Path:
    """The same workspace, which knows m-one too."""
    write(item("m-one", "live/support", "refund the order"))
    return place


@pytest.mark.usefixtures("one")
def test_a_quarantine_holds_in_what_was_made_before_it(capsys):
    edited, later = changed(capsys, "an edit"), changed(capsys, "another")
    run(capsys, "memory", "quarantine", "m-one", "--reason", "it lies")
    assert not held(capsys, edited)
    told = run(capsys, "generations", "promote", edited)
    lift = re.search(
        r"here too: m-one \(it lies; in quarantine since g1\)\. .*(memory undo \d+)", told
    )
    assert lift and held(capsys, edited)
    assert "here too" in run(capsys, "generations", "promote", later) and held(capsys, later)
    assert "here too" not in run(capsys, "generations", "rollback") and held(capsys, edited)
    back = re.search(r"instar (generations promote undo-\w+)", run(capsys, *lift[1].split()))
    assert back and "here too" not in run(capsys, *back[1].split())
    assert not held(capsys, back[1].split()[-1]), "a person lifted it"
    assert "here too" not in run(capsys, "generations", "promote", changed(capsys, "a third"))


@pytest.mark.usefixtures("one")
def test_a_quarantine_holds_where_one_goes_back_even_past_what_knows_the_memory(capsys):
    edited = changed(capsys, "an edit")
    run(capsys, "generations", "promote", edited)
    run(capsys, "memory", "quarantine", "m-one")
    assert "here too: m-one" in run(capsys, "generations", "rollback")
    assert held(capsys, "g1")
    log = run(capsys, "memory", "log", "--item", "m-one", "--author", "person")
    assert log.count("a person saw harm") == 2
    with Store.open(Path("w/instar.db")) as store:
        ignorant = {"id": "g0", "seq": 0, "status": GenerationStatus.CANDIDATE}
        store.add_generation(store.generation("g1").model_copy(update=ignorant))
        beside = {**ignorant, "id": "g9", "parent": None}
        store.add_generation(store.generation("g1").model_copy(update=beside))
    write_into("g9", item("m-one", "live/support", "learnt elsewhere"))
    assert "here too" not in run(capsys, "generations", "promote", "g0")
    assert "here too" in run(capsys, "generations", "promote", "g9") and held(capsys, "g9")


@pytest.mark.usefixtures("one")
def test_what_evidence_holds_can_be_held_by_a_person_and_evidence_lifts_it(capsys):
    edited = changed(capsys, "an edit")
    status(MemoryStatus.QUARANTINED, "g1", "g1/reflect_1/forget/uplift")
    assert json.loads(run(capsys, "memory", "quarantine", "m-one", "--json"))["changed"] == 1
    assert json.loads(run(capsys, "memory", "quarantine", "m-one", "--json"))["changed"] == 0
    with Store.open(Path("w/instar.db")) as store:
        turn = {"id": "g2", "seq": 2, "parent": "g1", "status": GenerationStatus.CANDIDATE}
        store.add_generation(store.generation("g1").model_copy(update=turn))
    status(MemoryStatus.CANDIDATE, "g2", "g2/reflect_1/forget/uplift")
    assert "here too" not in run(capsys, "generations", "promote", "g2")
    assert not held(capsys, "g2")
    assert "here too" not in run(capsys, "generations", "promote", edited)
    with Store.open(Path("w/instar.db")) as store:
        assert store.came_over() == []
