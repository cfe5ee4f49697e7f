"""The log of the memory: what was done, by whom, in which order.

A change is one operation on the bank. It wrote one line in the log, or two where it ended one item
in favour of another: then the line of what it ended stands right before the line of the item, both
naming the first as their target. So the log itself links what is old to what came in its place. A
change is named by the number of its first line, for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from instar._tables import memory_log
from instar.errors import UnknownName
from instar.types import OpKind, Record

if TYPE_CHECKING:
    from instar.store import Store

__all__ = ["UNDO", "Change", "changes", "numbered"]

UNDO = "undo"
"""Kind of a change that takes back another one."""
_LINES = select(memory_log).where(memory_log.c.item.is_not(None))  # else purged
_NAMED = 20
_REPLACING = (OpKind.SUPERSEDE.value, OpKind.MERGE.value)


class Change(Record):
    """One operation on the bank.

    Attributes:
        change: Its number.
        at: Seconds since the epoch.
        kind: One of `OpKind`, or ``undo``.
        target: What it was done to; None for ``add``.
        item: What there was afterwards; the target itself, or what came in its place.
        wrote: Ids and versions that it wrote, the target first.
        author: Id of the method or person that asked.
    """

    change: int
    at: float
    kind: str
    target: str | None
    item: str
    wrote: tuple[tuple[str, int], ...]
    generation: str
    author: str
    reason: str

    @property
    def replaces(self) -> str | None:
        """The item that ended in favour of another, if one did."""
        replacing = self.kind in _REPLACING and self.target != self.item
        return self.target if replacing else None


def changes(
    store: Store,
    *,
    item: str | None = None,
    generation: str | None = None,
    author: str | None = None,
    limit: int | None = None,
) -> list[Change]:
    """The log of the memory, newest first.

    Args:
        store: Whose memory.
        item: Only changes that wrote a version of it.
        generation: Only those made in it.
        author: Only those of authors that begin like this.
        limit: At most so many; None: all.

    Raises:
        UnknownName: There is no such item.
    """
    if item is not None and not store.item_versions(item):
        raise UnknownName("memory", item, [i.id for i in store.items(None)][:_NAMED])
    query = _LINES.order_by(memory_log.c.row.desc())
    with store.database.read() as connection:
        found = (
            c
            for c in _folded(connection.execute(query))
            if (item is None or item in dict(c.wrote))
            and (generation is None or c.generation == generation)
            and (author is None or c.author.startswith(author))
        )
        return list(islice(found, limit))


def _folded(rows: Iterable[Any]) -> Iterator[Change]:
    """Changes from lines of the log, both newest first."""
    item: Any = None
    for row in rows:
        if item is not None:
            together = _belong(row, item)
            yield _made_of(row, item) if together else _made_of(item)
            item = None
            if together:
                continue
        if _second(row):
            item = row
        else:
            yield _made_of(row)
    if item is not None:
        yield _made_of(item)


def _second(row: Any) -> bool:
    replaces = row.kind in (*_REPLACING, UNDO)
    return replaces and row.target is not None and row.item != row.target


def _belong(target: Any, item: Any) -> bool:
    """Whether a line tells of the end of what the other, a second line, came in place of."""
    same = (target.kind, target.target) == (item.kind, item.target)
    return same and target.row == item.row - 1 and target.item == target.target


def _made_of(*rows: Any) -> Change:
    last = rows[-1]
    return Change(
        change=rows[0].row,
        at=last.at,
        kind=last.kind,
        target=last.target,
        item=last.item,
        wrote=tuple((row.item, row.version) for row in rows),
        generation=last.generation,
        author=last.author,
        reason=last.reason,
    )


def numbered(connection: Connection, number: int) -> Change | None:
    """The change of a number, or of the line of that number; None where there is none."""
    near = memory_log.c.row.between(number - 1, number + 1)
    rows = connection.execute(_LINES.where(near).order_by(memory_log.c.row.desc()))
    for change in _folded(rows):
        if change.change <= number < change.change + len(change.wrote):
            return change
    return None
