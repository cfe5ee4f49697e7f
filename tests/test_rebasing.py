"""A base whose weights have changed: its adapter is refused, and what it made needless comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lora_adapters import adapter, tiny_base

from instar._rebasing import leave_adapter
from instar._serving import Serving
from instar.compose import Workspace
from instar.config import load_config
from instar.errors import UserError
from instar.progress import Progress
from instar.types import (
    Generation,
    GenerationStatus,
    MemoryItem,
    MemoryKind,
    MemoryOp,
    MemoryStatus,
    OpKind,
)

QUIET = Progress(quiet=True)


def item(id: str, status: MemoryStatus = MemoryStatus.ACTIVE) -> MemoryItem:
    said: Any = {"title": id, "when": f"do {id}", "content": id, "kind": MemoryKind.LESSON}
    return MemoryItem(id=id, namespace="n", status=status, support=1, **said)


def opened(folder: Path, base: Path) -> Workspace:
    own = [f"workspace={json.dumps(str(folder / 'ws'))}", f"model.name=local/{base}"]
    return Workspace.open(load_config(None, own))


def serve(workspace: Workspace, base: Path) -> Generation:
    """A generation with an adapter over the base, which has made one of two memories needless."""
    store = workspace.store
    made = adapter(base, workspace.registry.root)
    store.add_adapter(made)
    one = Generation(
        id="g0",
        seq=0,
        parent=None,
        status=GenerationStatus.CANDIDATE,
        model=f"local/{base}",
        prompts="compact",
        adapter=made.name,
    )
    store.add_generation(one)
    add = [MemoryOp(kind=OpKind.ADD, item=item(i)) for i in ("kept", "shed")]
    shed = item("shed", MemoryStatus.INTERNALISED)
    workspace.bank.write(add, "g0")
    workspace.bank.write([MemoryOp(kind=OpKind.EDIT, target="shed", item=shed)], "g0")
    return store.activate("g0")


def change(base: Path) -> None:
    from safetensors.torch import load_file, save_file

    [file] = base.glob("*.safetensors")
    weights = load_file(file)
    weights["model.norm.weight"] += 1
    save_file(weights, file, metadata={"format": "pt"})


async def test_over_other_weights_an_adapter_is_left_and_what_it_shed_comes_back(tmp_path):
    base = tiny_base(tmp_path / "base")
    async with opened(tmp_path, base) as workspace:
        active = serve(workspace, base)
        serving = Serving(generation=active.id, model=active.model, adapter=active.adapter)
        assert leave_adapter(workspace, QUIET) is None
        workspace.agent(serving, workspace.sampling(False))
    change(base)
    async with opened(tmp_path, base) as workspace:
        with pytest.raises(UserError, match="was trained over base"):
            workspace.agent(serving, workspace.sampling(False))
        assert [i.id for i in workspace.store.items("g0")] == ["kept"]
        now = leave_adapter(workspace, QUIET)
        assert now is not None and now == workspace.store.active()
        assert (now.parent, now.adapter, now.id[:5]) == ("g0", None, "base-")
        found = {i.id: i.status for i in workspace.store.items(now.id)}
        assert found == {"kept": MemoryStatus.ACTIVE, "shed": MemoryStatus.CANDIDATE}
        assert leave_adapter(workspace, QUIET) is None
        assert (
            workspace.store.go_back() is not None
        )  # it can be taken back, as anything that serves
