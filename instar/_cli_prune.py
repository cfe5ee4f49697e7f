"""``instar adapters prune``: what the policy lets go, in a table, and then off the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    emit,
    in_bytes,
    load,
    open_store,
    table,
)

if TYPE_CHECKING:
    from instar.pruning import Pruning

__all__ = ["register"]


def register(adapters: typer.Typer) -> None:
    """Add the command to ``instar adapters``."""
    adapters.command("prune")(prune)


def prune(
    turns: Annotated[
        int | None,
        typer.Option("--turns", min=0, help="What was rejected in the last so many turns stays."),
    ] = None,
    rejected: Annotated[
        int | None, typer.Option("--rejected", min=0, help="At most so many rejected ones stay.")
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option("--runs", min=1, help="So many finished bench runs stay; default: all."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Delete adapters that were rejected long ago, rows that nothing was made of, old bench runs."""
    from instar import pruning
    from instar._lock import exclusive

    given = {"turns": turns, "rejected": rejected, "runs": runs}
    more = [f"prune.{name}={value}" for name, value in given.items() if value is not None]
    config = load(workspace, seed, option, *more)
    with open_store(config) as store:
        if dry_run:
            found = pruning.find(store, config.workspace, config.prune)
        else:
            with exclusive(config.workspace):
                found = pruning.prune(store, config.workspace, config.prune)
    value = {**found.model_dump(mode="json"), "bytes": found.bytes, "pruned": not dry_run}
    emit(as_json, value, _told(found, dry_run))


def _told(found: Pruning, dry_run: bool) -> str:
    rows = [
        ["goes" if dry_run else "gone", g.kind, g.name, in_bytes(g.bytes), g.reason]
        for g in found.gone
    ]
    rows += [["stays", "adapter", name, "", why] for name, why in found.kept.items()]
    verb = "would be" if dry_run else "was"
    freed = f"{in_bytes(found.bytes)} {verb} freed." if found.gone else "Nothing is to be pruned."
    return "\n".join(filter(None, [table(["", "what", "name", "size", "why"], rows, ""), freed]))
