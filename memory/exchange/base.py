"""What formats of exchange share: the contract, what a file held, and how that differs from the bank.

A format writes memories to text and reads them again. Most formats have no place for every field of
a memory, so what is read says which fields the file gave; the others keep the value that the bank
has. Version, generation and cluster are the bank's own and never come from a file: who could claim to
say the same as another memory would be shown in its place. Vectors are not exchanged: what is imported
is embedded where it arrives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from instar.types import MemoryItem, MemoryKind, MemoryOp, MemoryStatus, OpKind

__all__ = ["Change", "Difference", "Entry", "Format", "Loaded", "Problem", "compare"]

_ENDED = frozenset({MemoryStatus.RETIRED, MemoryStatus.INTERNALISED})
_OURS = frozenset({"id", "version", "generation", "cluster"})
_NO_TOOLS = (
    "tools: a tool_note is shown where its tools are at hand, and this one has none; add them, as "
    '"tools": ["refund"] in JSONL or tools: refund in Markdown; a format with no place for them '
    "can but name, in the text, a tool that other memories have"
)


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
        place: Where it stands.
    """

    item: MemoryItem
    given: frozenset[str]
    place: str = ""


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
        problems: What cannot be done though it could be read.
    """

    added: tuple[MemoryItem, ...]
    changed: tuple[Change, ...]
    missing: tuple[MemoryItem, ...]
    same: int
    problems: tuple[Problem, ...] = ()

    def named(self) -> dict[str, MemoryItem]:
        """What is added and what others become, by id."""
        return {i.id: i for i in (*self.added, *(c.after for c in self.changed))}

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
    known, read = {i.id: i for i in bank}, list(entries)
    tools = {t for item in (*known.values(), *(e.item for e in read)) for t in item.tools}
    added, changed, problems, same = [], [], [], 0
    for entry in read:
        before = known.get(entry.item.id)
        if before is None and entry.item.status in _ENDED:
            why = (
                f"status: {entry.item.status.value}, and there is no memory {entry.item.id} to end"
            )
            problems.append(Problem(entry.place, why))
            continue
        after = _after(before, entry)
        if after == before:
            same += 1
            continue
        after = _with_tools(after, tools)
        if after.kind is MemoryKind.TOOL_NOTE and not after.tools:
            problems.append(Problem(entry.place, _NO_TOOLS))
        elif before is None:
            added.append(after)
        else:
            changed.append(
                Change(before, after, _differing(before, after, MemoryItem.model_fields))
            )
    named = {e.item.id for e in read}
    missing = tuple(i for i in known.values() if i.id not in named)
    return Difference(tuple(added), tuple(changed), missing, same, tuple(problems))


def _after(before: MemoryItem | None, entry: Entry) -> MemoryItem:
    item, given, _ = entry
    if before is None:
        return item.model_copy(update={"cluster": ""})
    fields = _differing(before, item, given)
    return before.model_copy(update={f: getattr(item, f) for f in fields})


def _with_tools(item: MemoryItem, known: Iterable[str]) -> MemoryItem:
    """A note that names no tools, with those that its text does."""
    if item.kind is not MemoryKind.TOOL_NOTE or item.tools:
        return item
    text = f"{item.title}\n{item.when}\n{item.content}"
    said = [t for t in sorted(known) if re.search(rf"(?<!\w){re.escape(t)}(?!\w)", text)]
    return item.model_copy(update={"tools": tuple(said)})


def _differing(before: MemoryItem, after: MemoryItem, given: Iterable[str]) -> tuple[str, ...]:
    differs = {
        f for f in given if f not in _OURS and _said(getattr(before, f)) != _said(getattr(after, f))
    }
    return tuple(f for f in MemoryItem.model_fields if f in differs)


def _said(value: Any) -> Any:
    # The prompt shows a memory on one line, so other whitespace is no difference.
    return " ".join(value.split()) if isinstance(value, str) else value
