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
    async def written() -> None:
        async with Workspace.open(load_config(None, ["workspace=w"])) as workspace:
            workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=i) for i in items], "g1", "test")

    asyncio.run(written())


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
