"""``instar memory log``, ``undo``, ``diff`` and ``blame``: what was done to the memory, and back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Seed,
    by_prefix,
    emit,
    facts,
    load,
    open_store,
    table,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from instar._memory_history import Blamed, Change, Difference, Source
    from instar.config import Config
    from instar.store import Store
    from instar.types import Generation, MemoryItem

__all__ = ["register"]

_AUTHOR = "undo"
_SHOWN_CHARACTERS = 100


def register(memory: typer.Typer) -> None:
    """Add the commands to ``instar memory``."""
    memory.command("log")(log)
    memory.command("undo")(undo)
    memory.command("diff")(diff)
    memory.command("blame")(blame)


def _generation(store: Store, text: str) -> Generation:
    return store.generation(by_prefix(text, [g.id for g in store.generations()]))


def _item(store: Store, text: str) -> str:
    return by_prefix(text, [i.id for i in store.items(None)])


# Log


def log(
    item: Annotated[str | None, typer.Option("--item", help="Only changes of this memory.")] = None,
    generation: Annotated[
        str | None, typer.Option("--generation", help="Only changes made in this generation.")
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", help="Only by authors that begin like this.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 40,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """What was done to the memory, newest first; each change has a number."""
    from instar._memory_history import changes

    with open_store(load(workspace, seed, None)) as store:
        made = _generation(store, generation).id if generation else None
        chosen = _item(store, item) if item else None
        found = changes(store, item=chosen, generation=made, author=author, limit=limit)
    rows = [
        [str(c.change), _when(c.at), c.kind, _what(c), c.generation, c.author, c.reason]
        for c in found
    ]
    head = ["change", "when", "kind", "memory", "generation", "author", "reason"]
    value = {"changes": [c.model_dump(mode="json") for c in found]}
    asked = item or generation or author
    emit(as_json, value, table(head, rows, f"No change{' is like that' if asked else ' yet'}."))


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _what(change: Change) -> str:
    return " -> ".join([change.replaces, change.item] if change.replaces else dict(change.wrote))


# Undo


def undo(
    change: Annotated[list[int], typer.Argument(help="Its number; see: instar memory log")],
    generation: Annotated[
        str | None,
        typer.Option(
            "--generation", help="A candidate to write into; default: a new one under the active."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where the memory has been changed since.")
    ] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Take changes back; what generations show now stays, a candidate shows them taken back."""
    newest_first = sorted(set(change), reverse=True)
    found = wait_for(_undo(load(workspace, seed, None), newest_first, generation, force))
    emit(as_json, found, found["told"])


async def _undo(
    config: Config, undone: list[int], generation: str | None, force: bool
) -> dict[str, Any]:
    from instar._lock import exclusive
    from instar.compose import Workspace

    async with Workspace.open(config, create=False) as workspace:
        store = workspace.store
        with exclusive(workspace.path):
            into = _named(store, generation) if generation else _candidate(store, undone, force)
            items = [] if generation else _before(store, into.id)
            if not items:
                made = None if generation else into
                items = store.undo(undone, into.id, _AUTHOR, force, made)
                workspace.bank.reconcile()  # what came back may have left the index
    became = ", ".join(f"{i.id} is {i.status.value}" for i in _last(items))
    what = f"Change{'s' * (len(undone) > 1)} {', '.join(map(str, sorted(undone)))}"
    return {
        "changes": sorted(undone),
        "generation": into.id,
        "items": [i.model_dump(mode="json") for i in _last(items)],
        "told": f"{what} taken back in candidate {into.id}: {became}. "
        f"Let it serve: instar generations promote {into.id}",
    }


def _last(items: Sequence[MemoryItem]) -> list[MemoryItem]:
    """What became of each in the end: several changes may have been of the same."""
    return list({i.id: i for i in items}.values())


def _named(store: Store, text: str) -> Generation:
    from instar.errors import UserError
    from instar.types import GenerationStatus

    found = _generation(store, text)
    if found.status is not GenerationStatus.CANDIDATE:
        raise UserError(
            f"{found.id} is {found.status.value}, and what it shows never changes. "
            "Leave out --generation, or name a candidate. See: instar generations list"
        )
    # Episodes of a gate that was cut short count when it goes on.
    if found.verdict is not None or store.trajectories(generation=found.id, purpose="gate"):
        raise UserError(
            f"{found.id} has been measured by the gate, which would not hold for what it became. "
            "Leave out --generation: then a new candidate is made"
        )
    return found


def _candidate(store: Store, undone: list[int], force: bool) -> Generation:
    """A new one under the active, which is there once something was written into it."""
    from instar.errors import UserError
    from instar.types import content_hash

    active = store.active()
    if active is None:
        raise UserError("Nothing is remembered yet. Begin with: instar evolve")
    # Its id is a hash of what is asked: asked again, or after a kill, it is found again.
    key = content_hash([active.id, undone, force], 6)
    return active.child(f"undo-{key}", memory=True)


def _before(store: Store, generation: str) -> list[MemoryItem]:
    """What an undo that was asked for before has written in its generation, the first first."""
    from instar._memory_history import changes

    return [
        i
        for c in reversed(changes(store, generation=generation, author=_AUTHOR))
        for id, version in c.wrote
        for i in store.item_versions(id)
        if i.version == version
    ]


# Diff


def diff(
    first: Annotated[str, typer.Argument(metavar="G1", help="A generation.")],
    second: Annotated[str, typer.Argument(metavar="G2", help="Another one.")],
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """What generation G2 sees otherwise than G1; the beginning of an id is enough."""
    from instar._memory_history import diff as compare

    with open_store(load(workspace, seed, None)) as store:
        one, other = (_generation(store, text).id for text in (first, second))
        found = compare(store, one, other)
    value = {"from": one, "to": other, **found.model_dump(mode="json")}
    emit(as_json, value, _difference(found, one, other))


def _difference(found: Difference, one: str, other: str) -> str:
    lines = [f"+ {i.id}  {_short(i)}" for i in found.added]
    lines += [f"- {i.id}  {_short(i)}" for i in found.removed]
    lines += [
        f"~ {id}  {name}: {_cut(repr(old))} -> {_cut(repr(new))}"
        for id, fields in found.changed.items()
        for name, (old, new) in fields.items()
    ]
    counts = (len(found.added), len(found.removed), len(found.changed))
    told = "{} added, {} removed, {} changed".format(*counts)
    return "\n".join([*lines, f"From {one} to {other}: {told}."])


def _short(item: MemoryItem) -> str:
    return _cut(" ".join(f"{item.when} -> {item.content}".split()))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


# Blame


def blame(
    item: Annotated[str, typer.Argument(metavar="ID", help="The beginning of it is enough.")],
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Every version of a memory: who made it, when, why, and which episodes it was learnt from."""
    from instar._memory_history import blame as look

    with open_store(load(workspace, seed, None)) as store:
        found = look(store, _item(store, item))
    value = {"versions": [b.model_dump(mode="json") for b in found]}
    emit(as_json, value, "\n\n".join(_version(b) for b in found))


def _version(found: Blamed) -> str:
    item, change = found.item, found.change
    lines = facts(
        {
            "memory": f"{item.id}, version {item.version}, {item.status.value}",
            "change": f"{change.change} ({change.kind}), {_when(change.at)}" if change else None,
            "made in": f"{item.generation} by {change.author}" if change else item.generation,
            "reason": change.reason if change else None,
            "replaces": found.replaces,
            "replaced by": found.replaced_by,
            "text": _short(item),
            "learnt from": f"{len(item.sources)} episodes",
        }
    )
    return "\n".join([lines, *(f"  {_source(s)}" for s in found.sources)])


def _source(source: Source) -> str:
    known = [source.outcome or "not in this workspace", source.task or "", source.instruction or ""]
    return _cut("  ".join([source.trajectory, *filter(None, known)]))
