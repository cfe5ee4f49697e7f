"""The doctor finds what is there, names what is not, and never faints."""

import os
import sqlite3
import stat

import pytest
from stores import generation
from test_registry import write

from finetune.curate.base import RowSet
from instar import _workspace_checks, doctor
from instar._lock import exclusive
from instar._workspace_checks import damaged
from instar.doctor import Finding, State, examine
from instar.store import Store
from instar.types import Adapter

TABLE = 'name = "instar"\ndependencies = ["pydantic>=2"]\n[project.optional-dependencies]\n'


def only(findings: list[Finding], name: str) -> Finding:
    (finding,) = [f for f in findings if f.name == name]
    return finding


def checkout(folder, requirement, monkeypatch):
    text = f"[project]\n{TABLE}local = [{requirement!r}]\n"
    (folder / "pyproject.toml").write_text(text)
    monkeypatch.setattr(doctor, "_CHECKOUT", folder)


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def test_whole_installation(tmp_path):
    workspace = tmp_path / "new"
    findings = await examine(workspace)
    assert {"Python", "pydantic", "torch [local]", "Chromium", "disk"} <= {f.name for f in findings}
    for finding in findings:
        assert "Traceback" not in finding.detail and "\n" not in finding.detail
        assert finding.remedy or finding.state == State.FOUND or not finding.needed, finding
    missing = only(findings, "workspace")
    assert missing.state == State.MISSING and "instar init" in missing.remedy
    assert not workspace.exists()


@pytest.mark.parametrize(
    ("requirement", "state", "detail"),
    [
        ("numpy>=1", State.FOUND, ""),
        ("numpy>=9999", State.BROKEN, "needed >=9999"),
        ("there-is-no-such-package", State.MISSING, ""),
    ],
)
async def test_packages(tmp_path, monkeypatch, requirement, state, detail):
    checkout(tmp_path, requirement, monkeypatch)
    finding = only(await doctor._packages(), f"{requirement.split('>')[0]} [local]")
    assert finding.state == state and detail in finding.detail
    assert (state == State.FOUND) == (not finding.remedy)
    assert "[local]" in finding.remedy or state == State.FOUND


def test_requirements_of_an_installation(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_CHECKOUT", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "somebody-elses"\n')
    lines = ["rich>=13", 'torch>=2; extra == "local"', "ruff ; extra == 'dev'"]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: lines)
    assert doctor._requirements() == {"": ["rich>=13"], "local": ["torch>=2"], "dev": ["ruff"]}


@pytest.mark.parametrize(
    ("script", "state"),
    [("echo Chromium 1.2", State.FOUND), ("exit 1", State.BROKEN), ("exec sleep 30", State.BROKEN)],
)
async def test_chromium_has_to_answer(tmp_path, monkeypatch, script, state):
    monkeypatch.setattr("tools.chromium._ANSWER_SECONDS", 0.5)
    monkeypatch.setenv("INSTAR_CHROMIUM", str(program(tmp_path / "browser", script)))
    (finding,) = await doctor._chromium()
    assert finding.state == state and bool(finding.remedy) == (state != State.FOUND)


async def test_no_chromium(monkeypatch):
    monkeypatch.setenv("INSTAR_CHROMIUM", "there-is-no-such-program")
    (finding,) = await doctor._chromium()
    assert finding.state == State.MISSING and "install_chromium" in finding.remedy


async def test_workspace_as_it_should_be(tmp_path):
    Store.open(tmp_path / "instar.db").close()
    (tmp_path / "instar.toml").write_text("seed = 3\n")
    findings = await examine(tmp_path)
    for name in ("workspace", "settings", "adapters"):
        assert only(findings, name).state == State.FOUND


async def test_workspace_in_use(tmp_path):
    Store.open(tmp_path / "instar.db").close()
    with exclusive(tmp_path):
        held = only(await examine(tmp_path), "lock")
    assert str(os.getpid()) in held.detail
    assert not [f for f in await examine(tmp_path) if f.name == "lock"]


async def test_unknown_setting(tmp_path):
    Store.open(tmp_path / "instar.db").close()
    (tmp_path / "instar.toml").write_text("sed = 3\n")
    finding = only(await examine(tmp_path), "settings")
    assert finding.state == State.BROKEN and "'seed'" in finding.detail


async def test_other_schema_version(tmp_path):
    Store.open(tmp_path / "instar.db").close()
    with sqlite3.connect(tmp_path / "instar.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    finding = only(await examine(tmp_path), "workspace")
    assert finding.state == State.BROKEN and "9999" in finding.detail


async def test_damaged_store(tmp_path):
    (tmp_path / "instar.db").write_bytes(
        b"this is no database, and long enough to be read as one" * 99
    )
    finding = only(await examine(tmp_path), "workspace")
    assert finding.state == State.BROKEN and "damaged" in finding.detail


async def test_index_sound_and_damaged(tmp_path):
    from memory.index import VectorIndex

    Store.open(tmp_path / "instar.db").close()
    assert only(await examine(tmp_path), "index").state == State.MISSING
    index = VectorIndex.open(tmp_path / "index")
    index.sync({"a.1": [1.0, 0.0], "b.2": [0.0, 1.0]})
    index.close()
    assert only(await examine(tmp_path), "index").state == State.FOUND
    (file,) = (tmp_path / "index").glob("chroma-*/chroma.sqlite3")
    file.write_bytes(b"no database at all " * 300)
    finding = only(await examine(tmp_path), "index")
    assert finding.state == State.BROKEN and "instar memory list" in finding.remedy


async def test_half_written_adapter(tmp_path):
    Store.open(tmp_path / "instar.db").close()
    (tmp_path / "adapters" / "abc").mkdir(parents=True)
    (tmp_path / "adapters" / "abc" / "adapter_config.json").write_text("{}")
    finding = only(await examine(tmp_path), "adapter")
    assert finding.state == State.BROKEN and "half-written" in finding.detail and finding.remedy


async def test_an_adapter_that_is_gone_breaks_nothing_unless_it_serves(tmp_path):
    with Store.open(tmp_path / "instar.db") as store:
        store.add_adapter(Adapter(name="gone", path="gone", base="b", dataset="d"))
        serving = generation("g0").model_copy(update={"adapter": "gone"})
        for id, state in (("g1", State.MISSING), ("g0", State.BROKEN)):
            store.add_generation(serving if id == "g0" else generation(id))
            store.activate(id)
            finding = only(await examine(tmp_path), "adapter")
            assert (finding.state, finding.needed) == (state, state == State.BROKEN)
            assert "its folder is gone" in finding.detail


async def test_rows_that_were_changed(tmp_path):
    rows = RowSet.of([{"prompt": [], "completion": [], "tools": []}], {})
    with Store.open(tmp_path / "instar.db") as store:
        store.finish_stage("g1/curate", {"dataset": rows.hash})
        store.finish_stage("g2/curate", {"dataset": "pruned"})
    folder = rows.save(tmp_path / "datasets" / rows.hash)
    assert not [f for f in await examine(tmp_path) if f.name == "dataset"]
    (file,) = folder.glob("data/*.jsonl")
    file.write_text(file.read_text().replace("tools", "fools"))
    finding = only(await examine(tmp_path), "dataset")
    assert finding.state == State.BROKEN and str(folder) in finding.detail
    assert [str(folder) in told for told in damaged(tmp_path)] == [True]


async def test_a_store_that_is_lost_costs_no_adapter(tmp_path):
    write(tmp_path / "adapters", b"weights", base="b")
    for lose in (lambda: None, lambda: Store.open(tmp_path / "instar.db").close()):
        lose()
        (finding,) = [f for f in await examine(tmp_path) if f.state == State.BROKEN]
        assert finding.name == "workspace" and "delete nothing" in finding.detail
        assert "instar restore FILE" in finding.remedy


def test_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(_workspace_checks, "_LEAST_DISK", 2**80)
    finding = _workspace_checks.disk(tmp_path / "a" / "b")
    assert finding.state == State.BROKEN and "--workspace" in finding.remedy


def test_safetensors_cut_short(tmp_path):
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(64)}, path)
    assert doctor._is_whole(path)
    os.truncate(path, path.stat().st_size - 1)
    assert not doctor._is_whole(path)
    path.write_bytes(b"\x00")
    assert not doctor._is_whole(path)


async def test_a_check_that_fails_is_a_finding():
    async def faint() -> list[Finding]:
        raise RuntimeError("first line\nsecond line")

    (finding,) = await doctor._guarded("heart", faint)
    assert finding.state == State.BROKEN
    assert finding.detail == "could not be examined: RuntimeError: first line"
