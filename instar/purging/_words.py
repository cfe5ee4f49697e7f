"""A text that a purge takes out, found however it is spelt, and a text without it.

Two texts are the same where Unicode says so without regard to case: ``STRASSE`` is ``straße``, a
letter and its accent may be one character or two, and one space may be any white space. So texts are
compared folded, and what is found is cut out of them as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any
from unicodedata import combining, normalize

from instar import types
from instar.types import Record

__all__ = ["FIELDS", "MARK", "Words"]

MARK = "[purged]"
"""Stands where a text was taken out of something that stays."""

FIELDS = frozenset(
    name
    for kind in vars(types).values()
    if isinstance(kind, type) and issubclass(kind, Record)
    for name in kind.model_fields
)
"""Names that are ours, not data."""
_LIVE = "live/"
_PLACE = re.compile(rf"{_LIVE}[\w.@+/-]+")
"""A namespace of sessions: of an agent, or of one of its subjects."""
_ENDS, _GOES_ON = re.compile(r"\w[.@+-]$"), re.compile(r"[.@+-]\w")
_SPACE = re.compile(r"\s+")
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SPACES = dict.fromkeys("nrtf", " ")
_Span = tuple[int, int]


class Words:
    """A text that must go wherever it is, whatever its case.

    Args:
        text: The text.
        whole: Only where it is no part of a longer word; in a place, such as the namespace of a subject,
            only where it is no part of a longer name, for the customer ``ada-2`` is another than ``ada``.
        others: Names of other subjects; where one of these stands, no part of it is meant.
    """

    def __init__(self, text: str, whole: bool, others: Iterable[str] = ()) -> None:
        self.whole = whole
        own = _folded(text)
        longer = sorted({n for n in map(_folded, others) if own in n and n != own} if whole else ())
        self._others = re.compile("|".join(rf"(?<!\w){re.escape(n)}(?!\w)" for n in longer))
        self._beside = bool(longer)
        self._pattern = re.compile(r"\s+".join(map(re.escape, _SPACE.split(_folded(text)))))

    def said(self, text: str) -> bool:
        """Whether a text holds it."""
        return next(self._found(text), None) is not None

    def names(self, label: str) -> bool:
        """Whether a name, such as a label of a place, is it or holds it."""
        return self.said(f"{_LIVE}{label}") if self.whole else self.said(label)

    def may_hold(self, written: str) -> bool:
        """Whether JSON as written could hold it; quick, and never wrongly no."""
        if next(self._in(_folded(written)), None) is not None:
            return True
        return "\\" in written and next(self._in(_folded(_unescaped(written))), None) is not None

    def held(self, value: Any) -> bool:
        """Whether any text in a record or JSON value holds it; names of fields do not count."""
        return any(self.said(text) for text in _texts(value))

    def without(self, text: str) -> str:
        """The text with a mark in its place."""
        parts, end = [], 0
        for start, after in self._found(text):
            parts += [text[end:start], MARK]
            end = after
        return "".join([*parts, text[end:]])

    def _found(self, text: str) -> Iterator[_Span]:
        """Where a text holds it."""
        folded = _folded(text)
        if next(self._in(folded), None) is None:
            return
        starts = None if text.isascii() else _starts(text)
        places = [found.span() for found in _PLACE.finditer(text)] if self.whole else []
        beside = [n.span() for n in self._others.finditer(folded)] if self._beside else []
        last = 0
        for start, end in self._in(folded):
            if any(first <= start and end <= after for first, after in beside):
                continue
            if starts is not None:
                if start not in starts or end not in starts:  # in the middle of a letter
                    continue
                start, end = starts[start], starts[end]
            if start >= last and (not self.whole or _counts(text, start, end, places)):
                yield start, end
                last = end

    def _in(self, folded: str) -> Iterator[_Span]:
        """Where a folded text may hold it; one find may overlap the next."""
        found = self._pattern.search(folded)
        while found is not None:
            start, end = found.span()
            if end == len(folded) or not combining(folded[end]):
                yield start, end
            found = self._pattern.search(folded, start + 1)


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return normalize("NFD", normalize("NFD", text).casefold())


def _starts(text: str) -> dict[int, int]:
    """Where in a text its letters, each with its accents, begin, by where they do in it folded."""
    starts, at, begin = {}, 0, 0
    for end in range(1, len(text) + 1):
        if end == len(text) or not combining(text[end]):
            starts[at] = begin
            at, begin = at + len(_folded(text[begin:end])), end
    return starts | {at: len(text)}


def _unescaped(written: str) -> str:
    """JSON without its escapes, so far as it matters here."""

    def meant(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else _SPACES.get(found[2], found[2])

    text = _ESCAPED.sub(meant, written)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _counts(text: str, start: int, end: int, places: Sequence[_Span]) -> bool:
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    if _is_of_word(before[-1:]) or _is_of_word(after[:1]):
        return False
    if not any(first <= start < last for first, last in places):
        return True
    return _ENDS.search(before) is None and _GOES_ON.match(after) is None


def _is_of_word(letter: str) -> bool:
    return bool(letter) and (letter.isalnum() or letter == "_" or combining(letter) > 0)


def _texts(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        yield f"{_LIVE}{value}" if name == "subject" else value
    elif isinstance(value, Record):
        for field in type(value).model_fields:
            yield from _texts(getattr(value, field))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if key not in FIELDS:
                yield key
            yield from _texts(one, key)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
