"""The history of the memory: a change taken back, generations compared, where a memory is from.

What is done is never undone by deleting: taking a change back is a change too, as new versions, so
that it can be taken back itself and other generations see what they saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue
from sqlalchemy import Connection

from instar._database import parse
from instar._memory_log import UNDO, Change, changes, numbered
from instar._memory_rows import past
from instar._memory_writing import write
from instar.errors import UnknownName, UserError
from instar.types import MemoryItem, MemoryStatus, Record

if TYPE_CHECKING:
    from instar.store import Store

__all__ = [
    "Blamed",
    "Change",
    "Difference",
    "Source",
    "blame",
    "changes",
    "diff",
    "take_back",
]

_OWN_FIELDS = frozenset({"version", "generation"})
_NAMED = 20


# Taking back


def take_back(
    connection: Connection,
    path: Sequence[str],
    numbers: Iterable[int],
    author: str,
    at: float,
    force: bool,
) -> list[MemoryItem]:
    """Write what changes wrote as it was before, in new versions; see `Store.undo`.

    Args:
        connection: In a transaction of the caller, who rolls it back where this raises.
        path: The generation that is written in, and its ancestors.
        numbers: Of the changes, or of a line of each; the newest is taken back first.
        author: Who asked.
        at: Seconds since the epoch.
        force: Also where an item has been changed since.

    Returns:
        The versions written.

    Raises:
        UserError: There is no such change, the generation does not see it, it is not the last word
            on an item, or there is nothing left to take back.
    """
    chosen = {done.change: done for done in (_known(connection, path, n) for n in numbers)}
    written: list[MemoryItem] = []
    for _, done in sorted(chosen.items(), reverse=True):
        for id, version in () if force else done.wrote:
            _must_be_last(connection, path, id, version, done)
        written += _written_back(connection, path, done, author, at)
    if not written:
        told = ", ".join(map(str, sorted(chosen)))
        raise UserError(
            f"Nothing is left to take back of change {told}: in {path[0]} all is as it was before. "
            f"See: instar memory log --generation {path[0]}"
        )
    return written


def _known(connection: Connection, path: Sequence[str], number: int) -> Change:
    """The change of a number, if the generation at the head of ``path`` sees it."""
    done = numbered(connection, number)
    if done is None:
        raise UserError(f"There is no change {number}. See: instar memory log")
    if done.generation not in path:
        raise UserError(
            f"Change {done.change} was made in {done.generation}, which {path[0]} does not see. "
            "Name a candidate that does: --generation ID"
        )
    return done


def _written_back(
    connection: Connection, path: Sequence[str], done: Change, author: str, at: float
) -> list[MemoryItem]:
    """What was written to take one change back; nothing where all is as it was before it."""
    why = {
        "kind": UNDO,
        "target": done.target or done.item,
        "reason": f"takes back change {done.change} ({done.kind})",
        "author": author,
        "at": at,
    }
    known = {id: past(connection, path, id) for id, _ in done.wrote}
    before = {id: _before(known[id], version) for id, version in done.wrote}
    if not any(_unlike(item, _item(known[id][-1])) for id, (item, _) in before.items()):
        return []
    return [write(connection, path[0], *before[id], why) for id, _ in done.wrote]


def _must_be_last(
    connection: Connection, path: Sequence[str], id: str, version: int, done: Change
) -> None:
    known = past(connection, path, id)
    now = _item(known[-1])
    places = [i for i, row in enumerate(known) if row.version == version]
    # As the change left it, it may also be because what came later was taken back.
    if not places or not _unlike(_item(known[places[0]]), now):
        return
    # Changes that cancel each other out are no obstacle: the first that left it as it is now is.
    line = next(r.line for r in known[places[0] + 1 :] if not _unlike(_item(r), now))
    later = numbered(connection, line) if line is not None else None
    if later is not None and later.change < done.change:
        raise UserError(
            f"Change {done.change} does not reach {path[0]}: there, memory {id} is as change "
            f"{later.change} left it. To go back to what was before it all the same: --force"
        )
    named = f"change {later.change} ({later.kind})" if later else "a change that was purged"
    raise UserError(
        f"Memory {id} has been changed since, by {named}. Take that back "
        f"first, or lose it with --force. See: instar memory blame {id}"
    )


def _item(row: Any) -> MemoryItem:
    return parse(MemoryItem, row.body)


def _before(known: Sequence[Any], version: int) -> tuple[MemoryItem, bytes | None]:
    """The item as the generation saw it before a version; ended where there was none."""
    earlier = [row for row in known if row.version < version]
    if earlier:
        return _item(earlier[-1]), earlier[-1].vector
    return _item(known[-1]).model_copy(update={"status": MemoryStatus.RETIRED}), None


# Comparing


class Difference(Record):
    """What one generation sees otherwise than another.

    Attributes:
        changed: By item id and field: what the first sees, and what the second.
    """

    added: tuple[MemoryItem, ...]
    removed: tuple[MemoryItem, ...]
    changed: dict[str, dict[str, tuple[JsonValue, JsonValue]]]


def diff(store: Store, first: str, second: str) -> Difference:
    """What the second generation sees otherwise than the first.

    Raises:
        UnknownName: There is no such generation.
    """
    before, after = ({i.id: i for i in store.items(g)} for g in (first, second))
    both = [(before[id], item) for id, item in after.items() if id in before]
    fields = {b.id: _unlike(b, a) for b, a in both if b != a}
    return Difference(
        added=tuple(i for id, i in after.items() if id not in before),
        removed=tuple(i for id, i in before.items() if id not in after),
        changed={id: found for id, found in fields.items() if found},
    )


def _unlike(before: MemoryItem, after: MemoryItem) -> dict[str, tuple[JsonValue, JsonValue]]:
    old, new = (i.model_dump(mode="json", exclude=set(_OWN_FIELDS)) for i in (before, after))
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


# Where it is from


class Source(Record):
    """An episode that a memory was learnt from.

    Attributes:
        trajectory: Its id.
        task: Of it; None where the store has no such episode.
        outcome: Verdict on it; None likewise.
    """

    trajectory: str
    task: str | None = None
    instruction: str | None = None
    outcome: str | None = None


class Blamed(Record):
    """One version of a memory, who made it, and what it was learnt from.

    Attributes:
        change: None where the log does not know it.
        replaces: The item that ended in favour of this version.
        replaced_by: The item in favour of which this version ended it.
    """

    item: MemoryItem
    change: Change | None
    sources: tuple[Source, ...]
    replaces: str | None = None
    replaced_by: str | None = None


def blame(store: Store, id: str) -> list[Blamed]:
    """Every version of a memory, oldest first.

    Raises:
        UnknownName: There is none of that id.
    """
    versions = store.item_versions(id)
    if not versions:
        known = [i.id for i in store.items(None)]
        raise UnknownName("memory", id, known[:_NAMED], "See: instar memory list")
    made = {dict(c.wrote)[id]: c for c in changes(store, item=id)}
    ids = {source for item in versions for source in item.sources}
    lived = {t.id: t for t in store.trajectories(ids=ids)}

    def source(name: str) -> Source:
        if name not in lived:
            return Source(trajectory=name)
        task, score = lived[name].task, lived[name].score
        about = {"task": task.id, "instruction": task.instruction, "outcome": score.status.value}
        return Source(trajectory=name, **about)

    return [_blamed(i, made.get(i.version), tuple(map(source, i.sources))) for i in versions]


def _blamed(item: MemoryItem, change: Change | None, sources: tuple[Source, ...]) -> Blamed:
    old, new = (change.replaces, change.item) if change else (None, None)
    return Blamed(
        item=item,
        change=change,
        sources=sources,
        replaces=old if old != item.id else None,
        replaced_by=new if old == item.id else None,
    )
