"""The store's file: other versions, damage, full disks, and processes that are killed while writing."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import alembic.command
import alembic.config
import pytest
import sqlalchemy
from episodes import task
from sqlalchemy import event

from instar import _tables, migrations
from instar._store_items import put
from instar.errors import WorkspaceError
from instar.store import Store

WRITER = Path(__file__).with_name("store_writer.py")


def start_writer(folder, what, times, failpoint=""):
    command = [sys.executable, str(WRITER), str(folder), what, str(times)]
    environment = {**os.environ, "INSTAR_FAILPOINT": failpoint}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def killed_writer(folder, what, failpoint):
    """Numbers of the changes that were reported as saved before the kill."""
    writer = start_writer(folder, what, 20, failpoint)
    told, _ = writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    return [int(line.split()[1]) for line in told.splitlines() if line.startswith("saved")]


def test_there_must_be_a_workspace_where_none_may_be_made(tmp_path):
    with pytest.raises(WorkspaceError, match="instar init"):
        Store.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    Store.open(tmp_path / "new" / "deep").close()
    Store.open(tmp_path / "new" / "deep" / "instar.db", create=False).close()


def test_the_migrations_lead_to_the_tables(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with Store.open(tmp_path) as store, store.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), _tables.metadata) == []


def test_a_store_of_an_earlier_version_is_brought_to_this_one_with_all_that_is_in_it(tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'instar.db'}")
    with engine.begin() as connection:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, migrations.EARLIER[0])
        connection.exec_driver_sql("INSERT INTO stages VALUES ('old', '{\"x\": 1}', 0)")
    engine.dispose()
    for _ in range(2):
        with Store.open(tmp_path, create=False) as store:
            assert store.stage("old") == {"x": 1} and store.check() is None
            with store.database.write() as connection:
                put(connection, ("a",), "k", {"x": 1}, {}, (), 0.0)


@pytest.mark.parametrize(
    "statement", ["UPDATE alembic_version SET version_num = '9999'", "DROP TABLE alembic_version"]
)
def test_another_schema_version_is_refused_untouched(tmp_path, statement):
    Store.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "instar.db") as connection:
        connection.execute(statement)
    connection.close()
    before = (tmp_path / "instar.db").read_bytes()
    with pytest.raises(WorkspaceError, match=r"this Instar reads 0002\. .*--workspace DIR"):
        Store.open(tmp_path)
    assert (tmp_path / "instar.db").read_bytes() == before


def test_a_file_that_is_no_database_is_refused_untouched(tmp_path):
    path = tmp_path / "instar.db"
    path.write_text("notes, not a database" * 500)
    with pytest.raises(WorkspaceError, match="damaged"):
        Store.open(path)
    assert path.read_text() == "notes, not a database" * 500


def test_a_damaged_file_is_reported_with_the_remedy(tmp_path):
    path = tmp_path / "instar.db"
    with Store.open(path) as store:
        store.save_tasks([task(f"t{n}") for n in range(200)])
        assert store.check() is None
    data = bytearray(path.read_bytes())
    data[8192:] = random.Random(0).randbytes(len(data) - 8192)
    path.write_bytes(data)
    with (
        pytest.raises(WorkspaceError, match=r"sqlite3 instar.db .recover"),
        Store.open(path) as store,
    ):
        store.tasks()


def test_a_full_disk_loses_nothing_that_was_stored(tmp_path):
    with Store.open(tmp_path) as store:
        store.save_tasks([task("kept")])
        engine = store.database.engine
        engine.dispose()
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA max_page_count = 40"))
        with pytest.raises(WorkspaceError, match=r"Free space .* Nothing stored before is lost"):
            store.save_tasks([task(f"t{n}") for n in range(2000)])
        assert [t.id for t in store.tasks()] == ["kept"]
        store.save_tasks([task("small")])
    with Store.open(tmp_path) as store:
        assert [t.id for t in store.tasks()] == ["kept", "small"]
        assert store.check() is None


def test_a_file_held_by_another_process_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("instar._database._BUSY_SECONDS", 0.05)
    with Store.open(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "instar.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkspaceError, match="Another process"):
            store.counter("x")
        assert store.tasks() == []
        other.execute("ROLLBACK")
        other.close()
        assert store.counter("x") == 1


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        Store.open(tmp_path / "file" / "workspace")


def test_a_kill_while_saving_loses_that_trajectory_only(tmp_path):
    saved = killed_writer(tmp_path, "trajectory", "store.trajectory:4")
    assert saved == [0, 1, 2]
    with Store.open(tmp_path, create=False) as store:
        assert store.check() is None
        assert [t.task.id for t in store.trajectories()] == ["t0", "t1", "t2"]
        assert [t.id for t in store.tasks()] == ["t0", "t1", "t2"]


def test_a_kill_while_changing_memory_leaves_no_half_of_it(tmp_path):
    saved = killed_writer(tmp_path, "apply", "store.apply:3")
    assert saved == [0, 1]
    with Store.open(tmp_path, create=False) as store:
        assert [i.id for i in store.items("g0")] == ["a0", "b0", "a1", "b1"]
        assert len(store.vectors("g0")) == len(store.memory_log(100)) == 4


def test_a_kill_while_promoting_leaves_the_generation_before_it(tmp_path):
    saved = killed_writer(tmp_path, "activate", "store.activate:4")
    assert saved == [0, 1, 2]
    with Store.open(tmp_path, create=False) as store:
        assert store.active().id == "g0"
        assert [g.status.value for g in store.generations()] == ["active", "retired"]


def test_a_kill_at_any_moment_keeps_what_was_reported(tmp_path):
    writer = start_writer(tmp_path, "trajectory", 100_000)
    told = [writer.stdout.readline() for _ in range(25)]
    writer.kill()
    told += writer.stdout.readlines()
    writer.wait(timeout=60)
    writer.stdout.close()
    saved = {f"t{line.split()[1]}" for line in told if line.startswith("saved")}
    with Store.open(tmp_path, create=False) as store:
        kept = {t.task.id for t in store.trajectories()}
        assert store.check() is None
    assert len(saved) >= 24 and saved <= kept and len(kept - saved) <= 1


def test_processes_that_open_and_write_at_once_do_not_hinder_each_other(tmp_path):
    writers = [start_writer(tmp_path, "counter", 30) for _ in range(3)]
    told = [writer.communicate(timeout=60)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    counted = [line.split()[1] for text in told for line in text.splitlines() if "counted" in line]
    assert sorted(map(int, counted)) == list(range(1, 91))
