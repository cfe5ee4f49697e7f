"""``instar memory quarantine`` and ``pin``: what a person decides about a memory, at once.

Everything else that changes a memory waits for a candidate; these two act in the generation that
serves, since harm that somebody sees should not be shown until the next turn. A quarantine holds in
what serves after it too: see `instar._holding`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import AsJson, Folder, Seed, by_prefix, emit, load, wait_for

if TYPE_CHECKING:
    from instar.config import Config
    from instar.types import MemoryItem

__all__ = ["register"]

_Item = Annotated[str, typer.Argument(help="Its id; the beginning is enough.")]


def register(memory: typer.Typer) -> None:
    """Add the commands to ``instar memory``."""
    memory.command("quarantine")(quarantine)
    memory.command("pin")(pin)


def quarantine(
    item: _Item,
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "a person saw harm",
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Show a memory to nobody but practice, until it is undone or practice proves that it helps; its
    whole unit goes with it.
    """
    from instar.types import MemoryStatus

    def held(one: MemoryItem) -> MemoryItem:
        return one.model_copy(update={"status": MemoryStatus.QUARANTINED})

    found = wait_for(_decide(load(workspace, seed, None), item, held, reason))
    back = f" To undo it: instar memory undo {' '.join(map(str, found['changes']))}"
    told = f"In quarantine: {', '.join(found['items'])}.{back if found['changes'] else ''}"
    emit(as_json, found, told)


def pin(
    item: _Item,
    off: Annotated[bool, typer.Option("--off", help="Let it live like any other again.")] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Keep a memory: it is never withheld, judged or forgotten."""

    def kept(one: MemoryItem) -> MemoryItem:
        return one.model_copy(update={"pinned": not off})

    reason = "no longer pinned" if off else "pinned"
    found = wait_for(_decide(load(workspace, seed, None), item, kept, reason, whole=False))
    emit(as_json, found, f"{reason.capitalize()}: {', '.join(found['items'])}.")


async def _decide(
    config: Config,
    text: str,
    change: Callable[[MemoryItem], MemoryItem],
    reason: str,
    whole: bool = True,
) -> dict[str, Any]:
    """Change a memory, or all of its unit, in the generation that serves."""
    from instar._holding import PERSON, held
    from instar._memory_history import changes
    from instar._seen import nothing
    from instar.compose import Workspace
    from instar.errors import UnknownName, UserError
    from instar.types import MemoryOp, OpKind

    async with Workspace.open(config, create=False) as workspace:
        active = workspace.store.active()
        if active is None:
            raise UserError("Nothing is remembered yet. Begin with: instar evolve")
        items = {i.id: i for i in workspace.store.items(active.id)}
        if not items:
            raise UserError(nothing(workspace.store, active.id))
        name = by_prefix(text, items)
        if name not in items:
            raise UnknownName("memory", text, list(items)[:20], "See: instar memory list")
        chosen = [i for i in items.values() if whole and i.unit == items[name].unit]
        # What evidence alone holds may be shown by another generation: a person's word holds there too.
        said = held(workspace.store, active.id)
        ops = [
            MemoryOp(kind=OpKind.EDIT, target=i.id, item=change(i), reason=reason)
            for i in chosen or [items[name]]
            if change(i) != i or (whole and i.id not in said)
        ]
        if whole and (pinned := [i.id for i in chosen if i.pinned]):
            raise UserError(f"It is pinned. First: instar memory pin --off {' '.join(pinned)}")
        if not whole and change(items[name]).pinned:
            _must_serve(items[name], said.get(name))
        if ops:
            workspace.bank.write(ops, active.id, PERSON)
        made = changes(workspace.store, author=PERSON, limit=len(ops)) if ops else []
    return {
        "items": [i.id for i in chosen or [items[name]]],
        "changed": len(ops),
        "changes": sorted(c.change for c in made),
        "generation": active.id,
    }


def _must_serve(item: MemoryItem, held: int | None) -> None:
    """See that what is pinned is shown to more than practice.

    Args:
        held: The change by which a person put it into quarantine, if one did.

    Raises:
        UserError: It is in quarantine, which nothing would lift as long as it is pinned.
    """
    from instar.errors import UserError
    from instar.types import MemoryStatus

    if item.status is not MemoryStatus.QUARANTINED:
        return
    lift = f"Practice lifts that by evidence. Who put it there: instar memory blame {item.id}"
    if held is not None:
        lift = f"First: instar memory undo {held}"
    raise UserError(
        f"It is in quarantine, and pinned it would never be judged and never serve. {lift}"
    )
