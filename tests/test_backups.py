"""A workspace as one file and back: whole, while it is written to, and damaged ones refused."""

from __future__ import annotations

import gzip
import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
from stores import generation

from instar.backups import backup, restore
from instar.compose import Workspace
from instar.config import load_config
from instar.errors import UserError, WorkspaceError
from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind


def opened(folder: Path) -> Workspace:
    return Workspace.open(load_config(None, [f"workspace={json.dumps(str(folder))}"]))


def remember(workspace: Workspace, id: str) -> None:
    item = MemoryItem(
        id=id, title="", when=id, content=f"{id} it", kind=MemoryKind.LESSON, namespace="n"
    )
    workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=item)], "g1")


@pytest.fixture
async def filled(tmp_path: Path) -> Path:
    workspace = opened(tmp_path / "w")
    workspace.store.add_generation(generation("g1", status="active"))
    remember(workspace, "polish")
    await workspace.close()
    adapter = tmp_path / "w" / "adapters" / "abc"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"\x00weights")
    (tmp_path / "w" / "adapters" / ".writing-1").mkdir()
    (tmp_path / "w" / "adapters" / ".writing-1" / "half").write_text("half")
    return tmp_path / "w"


async def test_a_damaged_database_takes_the_place_of_no_backup(
    filled: Path, tmp_path: Path
) -> None:
    with sqlite3.connect(filled / "instar.db") as connection:
        connection.executescript("CREATE TABLE big(x); PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executemany("INSERT INTO big VALUES (?)", [("y" * 900,)] * 400)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with (filled / "instar.db").open("r+b") as file:
        file.seek(-40 * 4096, 2)
        file.write(b"\xff" * 20 * 4096)
    with pytest.raises(WorkspaceError, match="nothing was written: keep the backups"):
        backup(filled, tmp_path / "night.tar.gz")
    assert not (tmp_path / "night.tar.gz").exists()


async def test_a_workspace_comes_back_whole_and_serves(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (filled / "files").mkdir()
    for own in ("STOP", "files/.settings"):
        (filled / own).write_text("mine")
    found = backup(filled, tmp_path / "kept" / "night.tar.gz")
    assert found["files"] == 4 and Path(found["path"]).exists()
    restore(tmp_path / "kept" / "night.tar.gz", tmp_path / "again")
    assert (tmp_path / "again" / "adapters/abc/adapter_model.safetensors").read_bytes() == (
        b"\x00weights"
    )
    assert (tmp_path / "again" / "files" / ".settings").read_text() == "mine"
    assert (tmp_path / "again" / "STOP").exists(), "what is stopped stays stopped"
    assert not list((tmp_path / "again").rglob("half")), "what is half written is not taken"
    assert not list(tmp_path.glob(".*")), "nothing is left behind"
    workspace = opened(tmp_path / "again")
    assert [i.id for i in workspace.store.items("g1")] == ["polish"]
    assert [i.id for i, _ in workspace.bank.search("polish", as_of="g1")] == ["polish"]
    await workspace.close()


async def test_what_is_written_meanwhile_is_there_or_not_but_never_half(
    filled: Path, tmp_path: Path
) -> None:
    workspace = opened(filled)
    remember(workspace, "mend")
    with workspace.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE generations SET body = 'spoilt'")
        backup(filled, tmp_path / "night.tar.gz")
    await workspace.close()
    restore(tmp_path / "night.tar.gz", tmp_path / "again")
    with Store.open(tmp_path / "again" / "instar.db", create=False) as store:
        assert [i.id for i in store.items("g1")] == ["polish", "mend"]


def test_nothing_is_overwritten(filled: Path, tmp_path: Path) -> None:
    backup(filled, tmp_path / "night.tar.gz")
    with pytest.raises(UserError, match="exists already"):
        backup(filled, tmp_path / "night.tar.gz")
    with pytest.raises(UserError, match="not empty"):
        restore(tmp_path / "night.tar.gz", filled)
    with pytest.raises(WorkspaceError, match="no workspace"):
        backup(tmp_path / "nowhere", tmp_path / "other.tar.gz")
    with pytest.raises(UserError, match="or mount what belongs there"):
        backup(filled, tmp_path / "disk" / "night.tar.gz")
    assert not (tmp_path / "disk").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "text", "other", "missing"])
def test_a_damaged_backup_makes_no_workspace(filled: Path, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "night.tar.gz"
    backup(filled, file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "changed":
        spoilt = gzip.decompress(file.read_bytes()).replace(b"\x00weights", b"\x00weighty")
        file.write_bytes(gzip.compress(spoilt))
    elif damage == "text":
        file.write_text("no backup")
    elif damage == "other":
        file.unlink()
        with tarfile.open(file, "w:gz") as archive:
            archive.add(filled / "instar.db", "instar.db")
    else:
        file.unlink()
    with pytest.raises(UserError, match=r"night\.tar\.gz"):
        restore(file, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_a_backup_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar.gz"
    (tmp_path / "x").write_text("x")
    with tarfile.open(evil, "w:gz") as archive:
        archive.add(tmp_path / "x", "../escaped")
    with pytest.raises(UserError, match=r"evil\.tar\.gz"):
        restore(evil, tmp_path / "inner" / "again")
    assert not list(tmp_path.rglob("escaped"))
