"""The embedder on record in a store, to which every other one is a stranger."""

from __future__ import annotations

from typing import Any

from instar.errors import WorkspaceError
from instar.store import Store
from memory.embed import Embedder

__all__ = ["check_embedder", "record_of"]


def record_of(embedder: Embedder) -> dict[str, Any]:
    """What is kept of an embedder; one behind an API may have to be asked for it."""
    return {
        "name": embedder.name,
        "dimension": embedder.dimension,
        "weights_hash": embedder.weights_hash,
    }


def check_embedder(store: Store, embedder: Embedder) -> dict[str, Any]:
    """Put the embedder on record, or see that it is the one.

    Raises:
        WorkspaceError: Another one is on record.
    """
    theirs = store.embedder()
    # One of another name is refused before anything is asked of it.
    if theirs is not None and theirs.get("name") != embedder.name:
        raise _refusal(theirs, repr(embedder.name))
    ours = record_of(embedder)
    if theirs is None:
        store.set_embedder(ours)
    elif theirs != ours:
        raise _refusal(theirs, f"{embedder.name!r} ({ours['weights_hash']})")
    return ours


def _refusal(theirs: dict[str, Any], ours: str) -> WorkspaceError:
    name = theirs.get("name")
    return WorkspaceError(
        f"This workspace's memories were embedded by {name!r} ({theirs.get('weights_hash')}), not by"
        f" {ours}: set memory.embedder to {name!r}, or embed them anew with: instar memory reembed"
    )
