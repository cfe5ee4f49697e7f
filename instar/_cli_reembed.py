"""``instar memory reembed``: another embedder for a workspace that has memories already."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import AsJson, Folder, Options, Seed, emit, load, progress, wait_for

if TYPE_CHECKING:
    from instar.compose import Workspace
    from instar.config import Config
    from memory.embed import Embedder

__all__ = ["register"]


def register(memory: typer.Typer) -> None:
    """Add the command to ``instar memory``."""
    memory.command("reembed")(reembed)


def reembed(
    force: Annotated[
        bool, typer.Option("--force", help="Also where the embedder is the one on record.")
    ] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Embed all memories anew with the embedder of the settings: all of them or none."""
    config = load(workspace, seed, option)
    found: dict[str, Any] = wait_for(_reembed(config, force), "instar memory reembed")
    emit(as_json, found, _told(config, found))


async def _reembed(config: Config, force: bool) -> dict[str, Any]:
    from instar._lock import exclusive
    from instar.compose import Workspace
    from memory.embed import load_embedder

    async with Workspace.open(config, create=False) as workspace:
        embedder = load_embedder(config.memory.embedder, config.memory.embedder_url)
        with exclusive(workspace.path):
            return await _changed(workspace, embedder, force)


async def _changed(workspace: Workspace, embedder: Embedder, force: bool) -> dict[str, Any]:
    from instar._reembed import Embedded, reembed
    from memory._record import record_of

    before = workspace.store.embedder()
    after = await asyncio.to_thread(record_of, embedder)
    done = Embedded(0, 0)
    if force or before != after:
        with progress().stage("embed memories") as tally:
            done = await reembed(workspace.store, embedder, lambda n, of: tally.at(n, of, ""))
    # Opening the bank makes its index hold the vectors of the store.
    indexed = workspace.bank.index is not None
    changed = {"before": before, "after": after, "changed": before != after}
    return {**changed, **done._asdict(), "indexed": indexed}


def _told(config: Config, found: dict[str, Any]) -> str:
    from instar.config import load_config

    name, before = config.memory.embedder, found["before"]
    if not found["versions"] and not found["changed"]:
        return f"Nothing to do: {name!r} has embedded the memories. Do it again: --force"
    lines = [f"Embedded anew by {name!r}: {found['versions']} versions of memories."]
    if before is not None and before["name"] != name:
        lines[0] = f"{lines[0][:-1]} (before: {before['name']!r})."
    kept = load_config(config.workspace).memory
    if (kept.embedder, kept.embedder_url) != (name, config.memory.embedder_url):
        lines.append(f"From now on the workspace needs this in instar.toml: {_lines(config)}")
    return "\n".join(lines)


def _lines(config: Config) -> str:
    url = config.memory.embedder_url
    more = f', embedder_url = "{url}"' if url else ""
    return f'[memory] embedder = "{config.memory.embedder}"{more}'
