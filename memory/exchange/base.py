"""What formats of exchange share: the contract, what a file held, and how that differs from the bank.

A format writes memories to text and reads them again. Most formats have no place for every field of
a memory, so what is read says which fields the file gave; the others keep the value that the bank
has. Version and generation are the bank's own and never come from a file. Vectors are not exchanged:
what is imported is embedded where it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from instar.types import MemoryItem, MemoryOp, MemoryStatus, OpKind

__all__ = ["Change", "Difference", "Entry", "Format", "Loaded", "Problem", "compare"]

_ENDED = frozenset({MemoryStatus.RETIRED, MemoryStatus.INTERNALISED})
_OURS = frozenset({"id", "version", "generation"})


class Problem(NamedTuple):
    """Something that was not imported.

    Attributes:
        place: File and line.
        reason: For people.
    """

    place: str
    reason: str


class Entry(NamedTuple):
    """A memory as a file gives it.

    Attributes:
        item: Complete: what the file does not say has a default.
        given: Names of the fields that the file says.
    """

    item: MemoryItem
    given: frozenset[str]


class Loaded(NamedTuple):
    """What a file or folder held: the memories, and what was refused with its place and reason."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


@runtime_checkable
class Format(Protocol):
    """A format of files.

    Attributes:
        folder: Whether it is a folder of files instead of one file.
    """

    folder: bool

    def dump(self, items: Sequence[MemoryItem]) -> dict[str, str]:
        """Texts by file name; exactly one where the format is one file."""
        ...

    def load(self, path: Path) -> Loaded:
        """Read a file or folder; what cannot be used is a problem and never an exception."""
        ...

    def recognises(self, path: Path) -> bool:
        """Whether this looks like the format."""
        ...


class Change(NamedTuple):
    """An item of the bank and what an import makes of it.

    Attributes:
        fields: Names of those that differ.
    """

    before: MemoryItem
    after: MemoryItem
    fields: tuple[str, ...]


class Difference(NamedTuple):
    """What distinguishes a file from the bank.

    Attributes:
        added: Known to the file only.
        changed: Known to both and different in a field that the file gives.
        missing: Known to the bank only.
        same: How many are known to both and alike.
    """

    added: tuple[MemoryItem, ...]
    changed: tuple[Change, ...]
    missing: tuple[MemoryItem, ...]
    same: int

    def ops(self, reason: str, retire_missing: bool = False) -> list[MemoryOp]:
        """The changes that make the bank say what the file says.

        Args:
            reason: Kept with each change.
            retire_missing: Whether to end what the file does not name.
        """
        added = [MemoryOp(kind=OpKind.ADD, item=i, reason=reason) for i in self.added]
        edited = [
            MemoryOp(
                kind=OpKind.EDIT,
                target=c.before.id,
                item=c.after,
                reason=f"{reason}: {', '.join(c.fields)}",
            )
            for c in self.changed
        ]
        gone = self.missing if retire_missing else ()
        why = f"{reason}: not in it"
        return [*added, *edited] + [
            MemoryOp(kind=OpKind.RETIRE, target=i.id, reason=why) for i in gone
        ]


def compare(bank: Iterable[MemoryItem], entries: Iterable[Entry]) -> Difference:
    """How a file differs from what a generation sees.

    Args:
        bank: The items that it sees.
        entries: The file's, each id once.
    """
    known = {i.id: i for i in bank}
    added, changed, same = [], [], 0
    named = set()
    for item, given in entries:
        named.add(item.id)
        before = known.get(item.id)
        if before is None and item.status not in _ENDED:
            added.append(item)
        elif before is not None and (fields := _differing(before, item, given)):
            after = before.model_copy(update={f: getattr(item, f) for f in fields})
            changed.append(Change(before, after, fields))
        else:
            same += 1
    missing = tuple(i for i in known.values() if i.id not in named)
    return Difference(tuple(added), tuple(changed), missing, same)


def _differing(before: MemoryItem, after: MemoryItem, given: Iterable[str]) -> tuple[str, ...]:
    differs = {
        f for f in given if f not in _OURS and _said(getattr(before, f)) != _said(getattr(after, f))
    }
    return tuple(f for f in MemoryItem.model_fields if f in differs)


def _said(value: Any) -> Any:
    # The prompt shows a memory on one line, so other whitespace is no difference.
    return " ".join(value.split()) if isinstance(value, str) else value
