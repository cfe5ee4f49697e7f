"""The folder of adapters: what is served, and how everything else is found out."""

import os
import shutil

import pytest

from finetune.registry import MANIFEST, Registry, base_hash, seal, workspace_beside
from instar.errors import UnknownName, UserError, WorkspaceError
from instar.store import Store


@pytest.fixture
def registry(tmp_path):
    with Store.open(tmp_path / "instar.db") as store:
        yield Registry(tmp_path / "adapters", store)


def write(root, weights=b"weights", **changes):
    folder = workspace_beside(root)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(weights)
    given = {"base": "b1", "parent": None, "dataset": "d", "recipe": {"lr": 1}, "metrics": {}}
    return seal(folder, root, **{**given, **changes})


def test_a_sealed_adapter_is_recorded_and_served(registry):
    adapter = registry.record(write(registry.root))
    assert registry.get(adapter.name, base="b1") == adapter
    assert registry.record(adapter) == adapter
    assert registry.faults() == []
    assert [p.name for p in registry.root.iterdir()] == [adapter.name]


def test_the_name_follows_content_and_lineage(registry):
    first = write(registry.root)
    again = write(registry.root, metrics={"seconds": 3})
    assert again.name == first.name
    others = [
        write(registry.root, b"other"),
        write(registry.root, dataset="e"),
        write(registry.root, parent=first.name),
        write(registry.root, recipe={"lr": 2}),
    ]
    assert len({first.name, *(o.name for o in others)}) == 5


def test_another_base_is_refused(registry):
    adapter = registry.record(write(registry.root))
    with pytest.raises(UserError, match="trained over base b1, and this model is b2"):
        registry.get(adapter.name, base="b2")


def test_an_unknown_name_lists_what_exists(registry):
    adapter = registry.record(write(registry.root))
    with pytest.raises(UnknownName, match=adapter.name):
        registry.get("nothing")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda f: (f / MANIFEST).unlink(), "no manifest"),
        (lambda f: (f / MANIFEST).write_text("{"), "cannot be read"),
        (lambda f: (f / MANIFEST).write_text("[]"), "cannot be read"),
        (lambda f: (f / "adapter_config.json").unlink(), "adapter_config.json is missing"),
        (
            lambda f: (f / "adapter_model.safetensors").write_bytes(b"wei"),
            "changed or is cut short",
        ),
        (shutil.rmtree, "gone"),
    ],
)
def test_a_damaged_adapter_is_reported_with_its_remedy_and_never_served(registry, damage, why):
    adapter = registry.record(write(registry.root))
    damage(registry.root / adapter.name)
    with pytest.raises(WorkspaceError, match=why) as caught:
        registry.get(adapter.name)
    assert "instar evolve" in str(caught.value) and "\n" not in str(caught.value)
    [fault] = registry.faults()
    assert why in fault.why and adapter.name in fault.path
    registry.record(write(registry.root))
    assert registry.faults() == []


def test_a_folder_left_half_written_is_found(registry):
    left = workspace_beside(registry.root)
    assert registry.faults() == [], "its writer still runs"
    left.rename(registry.root / f".writing-{2**22 + 1}-abc")
    [fault] = registry.faults()
    assert "half-written" in fault.why and "rm -r" in fault.remedy
    beside = workspace_beside(registry.root)
    assert registry.faults() == [], "the next training clears it away"
    assert list(registry.root.iterdir()) == [beside]


def test_a_whole_folder_without_a_record_is_found(registry):
    adapter = write(registry.root)
    [fault] = registry.faults()
    assert "not recorded" in fault.why
    with pytest.raises(UnknownName):
        registry.get(adapter.name)


def test_a_moved_workspace_serves_from_its_new_place(registry, tmp_path):
    adapter = registry.record(write(registry.root))
    shutil.move(registry.root, tmp_path / "elsewhere")
    moved = Registry(tmp_path / "elsewhere", registry._store).get(adapter.name)
    assert moved.path == str(tmp_path / "elsewhere" / adapter.name)


def test_the_hash_of_a_base_is_that_of_its_weights(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"1")
        (tmp_path / name / "config.json").write_text("{}")
    assert base_hash(tmp_path / "a") == base_hash(tmp_path / "b")
    (tmp_path / "b" / "README.md").write_text("changed")
    assert base_hash(tmp_path / "a") == base_hash(tmp_path / "b")
    changed = tmp_path / "b" / "model.safetensors"
    changed.write_bytes(b"2")
    os.utime(changed, ns=(1, 1))
    assert base_hash(tmp_path / "a") != base_hash(tmp_path / "b")
    with pytest.raises(UserError, match="No model weights"):
        base_hash(tmp_path)
