"""What becomes of what serves once the weights under it are others.

An adapter belongs to the weights that it was trained over. Where they have changed, a generation without
it takes its place before the next turn, and with it what the adapter had made needless comes back.
"""

from __future__ import annotations

from instar._runs import unfinished
from instar.compose import Workspace
from instar.progress import Progress
from instar.store import Store
from instar.types import (
    Generation,
    MemoryOp,
    MemoryStatus,
    OpKind,
    content_hash,
)

__all__ = ["leave_adapter"]

_AUTHOR = "base changed"


def leave_adapter(workspace: Workspace, progress: Progress) -> Generation | None:
    """Let a generation without an adapter serve, if the active one has one over other weights.

    An open turn is let alone: what it has measured was of the weights before.

    Args:
        workspace: Locked by the caller.
        progress: Told of it.

    Returns:
        The generation that serves now; None where nothing has changed.
    """
    store, active = workspace.store, workspace.store.active()
    if active is None or active.adapter is None or unfinished(store):
        return None
    base = workspace.base(active.model)
    if base is None or base == store.adapter(active.adapter).base:
        return None
    made = active.child(f"base-{content_hash([active.id, base], 6)}", adapter=None)
    store.add_generation(made)
    back = _back(store, made.id)
    if back:
        workspace.bank.write(back, made.id, _AUTHOR)
    progress.say(
        f"The weights of {active.model} have changed: {made.id} takes the place of {active.id}, without "
        f"its adapter, and {len(back)} memories that it had made needless come back"
    )
    return store.activate(made.id)


def _back(store: Store, generation: str) -> list[MemoryOp]:
    """What brings back all that was shed; nothing where it is back already."""
    return [
        MemoryOp(
            kind=OpKind.ADD,
            item=item.model_copy(update={"status": MemoryStatus.CANDIDATE}),
            reason="the weights under the adapter that made it needless have changed",
        )
        for item in store.internalised(generation)
    ]
