"""What a memory may say, whoever wrote it: bounded plain text that cannot pass for structure of a prompt.

A memory is shown to a model between fences, on one line with a label. Text that holds a fence, or a
token by which chat templates part messages, could step out of them, and a label makes one memory
pass for another; control, direction and other characters that nobody sees hide text from the person
who reads the diff, and a fence from what looks for it. Whether what a memory says is good advice cannot be
seen from its text and is not tried here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from unicodedata import category

from instar.structure import structure_in
from instar.types import MemoryItem, MemoryOp, OpKind

__all__ = ["complaint", "fitting"]

_LOG = logging.getLogger(__name__)
_LIMITS = {"content": 4000, "when": 2000, "title": 2000}
_OTHER_LIMIT = 400
_MOST_SUPPORT = 1_000_000
_ID = re.compile(r"[^\s\[\]]{1,200}")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_JOINERS = "\u200c\u200d"
_FIRST_JOINED = "\u0600"
"""From here on there are scripts, and pictures, that are not written without joiners."""


def complaint(item: MemoryItem) -> tuple[str, str] | None:
    """The first field that cannot be taken and why, or None."""
    found = _shape(item)
    if found:
        return found
    for field, text in _texts(item):
        reason = _text(text, _LIMITS.get(field, _OTHER_LIMIT))
        if reason:
            return field, reason
    return None


def fitting(ops: Sequence[MemoryOp]) -> list[MemoryOp]:
    """The changes whose texts may stand in a prompt, without those to an item that is left out.

    What a tool answered or a page said comes into memories word for word, so it is looked at like what a
    person sends.
    """
    kept: list[MemoryOp] = []
    unknown: set[str] = set()
    for op in ops:
        found = complaint(op.item) if op.item is not None else None
        if op.item is not None and found:
            unknown |= {op.item.id} if op.kind is not OpKind.EDIT else set()
            _LOG.info("memory left out, %s: %s: %s", op.item.id, *found)
        elif op.target not in unknown:
            kept.append(op)
    return kept


def _shape(item: MemoryItem) -> tuple[str, str] | None:
    for field in ("content", "when", "namespace"):
        if not getattr(item, field).strip():
            return field, "empty"
    if not _ID.fullmatch(item.id):
        return "id", "1 to 200 characters without spaces and square brackets are needed"
    if item.polarity not in (1, -1):
        return "polarity", f"{item.polarity}; 1 stands for what worked, -1 for what went wrong"
    if not 0 <= item.support <= _MOST_SUPPORT:
        return "support", f"{item.support}; it is a number of successes"
    if "\n" in item.namespace:
        return "namespace", "a line break"
    return None


def _texts(item: MemoryItem) -> Iterator[tuple[str, str]]:
    for field in MemoryItem.model_fields:
        value = getattr(item, field)
        if isinstance(value, str):
            yield field, value
        elif isinstance(value, tuple):
            yield from ((field, part) for part in value)


def _text(text: str, limit: int) -> str:
    if len(text) > limit:
        return f"{len(text)} characters, at most {limit}"
    if hidden := _HIDDEN.search(text):
        return f"control character U+{ord(hidden.group()):04X} at {hidden.start() + 1}"
    if unseen := _unseen(text):
        return f"invisible character U+{ord(text[unseen - 1]):04X} at {unseen}"
    if structure := structure_in(text):
        return f"holds {structure!r}, which has a meaning of its own in a prompt"
    return ""


def _unseen(text: str) -> int:
    """Where a character of format stands, counted from 1; 0 where none does that is not needed."""
    if text.isascii():
        return 0
    places = (n for n, c in enumerate(text) if category(c) == "Cf" and not _joins(text, n))
    return next(places, -1) + 1


def _joins(text: str, place: int) -> bool:
    """Whether a joiner stands between two letters or pictures that may need it."""
    sides = text[max(place - 1, 0) : place], text[place + 1 : place + 2]
    needed = all(s >= _FIRST_JOINED and category(s)[0] in "LMS" for s in sides if s)
    return text[place] in _JOINERS and all(sides) and needed
