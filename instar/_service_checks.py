"""The doctor's look at what the settings of memory name: the embedder, and the server of the index."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from instar._findings import Finding, State
from instar._urls import place_of, split
from instar.config import Memory, load_config
from instar.errors import UserError

__all__ = ["embedder", "index_server"]

_SECONDS = 5.0


def _settings(workspace: Path) -> Memory | None:
    """None where they are wrong, which the check of the settings says."""
    path = workspace if workspace.is_dir() else None
    try:
        return load_config(path, env=dict(os.environ)).memory
    except UserError:
        return None


async def embedder(workspace: Path) -> list[Finding]:
    """Whether the embedder answers, and is the one that the memories were embedded by.

    Raises:
        UserError: It does not exist or does not answer.
    """
    memory = _settings(workspace)
    if memory is None:
        return []
    return [await asyncio.to_thread(_embedder, workspace, memory)]


def _embedder(workspace: Path, memory: Memory) -> Finding:
    theirs = _on_record(workspace)
    ours = _asked(memory)
    # A model in this process is not loaded for this, so of it there is only the name.
    if theirs and any(theirs.get(key) != value for key, value in ours.items()):
        remedy = f"instar memory reembed --workspace {workspace}"
        detail = f"{memory.embedder}, but the memories were embedded by {theirs['name']}"
        detail += f" ({theirs['weights_hash']})"
        return Finding(name="embedder", state=State.BROKEN, detail=detail, remedy=remedy)
    detail = memory.embedder
    if "dimension" in ours:
        detail += f", {ours['weights_hash']}"
    return Finding(name="embedder", state=State.FOUND, detail=detail)


def _asked(memory: Memory) -> dict[str, Any]:
    """The record of the embedder, as much as can be had without loading a model."""
    from memory._api_embedder import ApiEmbedder
    from memory._record import record_of
    from memory.embed import LOCAL, load_embedder

    name, url = memory.embedder, memory.embedder_url
    if name.startswith(LOCAL):
        return {"name": name}
    found = load_embedder(name, url)
    if isinstance(found, ApiEmbedder):
        found = ApiEmbedder(name, url, timeout=_SECONDS, retries=0)
    return record_of(found)


def _on_record(workspace: Path) -> dict[str, Any] | None:
    from instar.store import Store

    if not (workspace / "instar.db").exists():
        return None
    with Store.open(workspace, create=False) as store:
        return store.embedder()


async def index_server(workspace: Path) -> list[Finding]:
    """Whether the Chroma server answers, where one is set."""
    memory = _settings(workspace)
    if memory is None or memory.index_url is None:
        return []
    return [await asyncio.to_thread(_server, memory.index_url)]


def _server(url: str) -> Finding:
    from memory._chroma_server import server_version
    from memory.index import IndexBroken

    place, parts = place_of(url), split(url)
    try:
        version = server_version(url)
    except IndexBroken as error:
        said = " ".join(str(error).split())[:200]
        detail = f"{place}: {said} Memories are compared exactly meanwhile, and none is lost"
        remedy = f"chroma run --host {parts.hostname} --port {parts.port or 80} --path DIR"
        return Finding(name="index server", state=State.BROKEN, detail=detail, remedy=remedy)
    return Finding(name="index server", state=State.FOUND, detail=f"Chroma {version} at {place}")
