"""Text to the words of the lexical index, the same for items and questions.

Lower case without diacritics. An identifier (`close_order`, `ORD-2231`, `closeOrder`) is kept as a
whole and in its parts. Scripts that put no space between words give each pair of neighbours. Slots
(`$1`) and words that carry grammar are left out; values are kept, since an error text or a number
may be just what is looked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from memory.embed import FUNCTION_WORDS

__all__ = ["asked", "words_of"]

_SLOT = re.compile(r"\$\d+")
_WORD = re.compile(r"[^\W_]+(?:(?:__?|[.\-])[^\W_]+)*")
_JOINT = re.compile(r"[_.\-]+|(?<=[a-z0-9])(?=[A-Z])")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_QUOTED = re.compile('"[^"]*"|\u201c[^\u201d]*\u201d|`[^`]*`')
_LONGEST = 64
_READ = 2000


def words_of(text: str) -> list[str]:
    """The words of a text in their order, repeated ones too; each of at most 64 characters."""
    return [w[:_LONGEST] for w in _pieces(text) if w not in FUNCTION_WORDS]


def asked(text: str) -> dict[str, bool]:
    """The distinct words of a question, and whether each is to be found, not only to be wished for.

    False: a value (it holds a digit or was quoted) or the whole of an identifier. Values differ
    from task to task and parts stand for the whole, so that no item holds such a word says nothing.
    Of a long text the beginning and the end are read.
    """
    if len(text) > 2 * _READ:
        text = f"{text[:_READ]} {text[-_READ:]}"
    quoted = set(words_of(" ".join(_QUOTED.findall(text))))
    return {w: w.isalpha() and w not in quoted for w in words_of(text)}


def _pieces(text: str) -> Iterator[str]:
    plain = _SLOT.sub(" ", text if text.isascii() else _without_marks(text))
    for word in _WORD.findall(plain):
        if word.isascii() and word.isalnum() and word.islower():
            # As most are; what follows takes several times as long.
            yield word
            continue
        if not word.isascii() and _UNSPACED.search(word):
            yield from _pairs(word)
            continue
        yield word.casefold()
        parts = _JOINT.split(word)
        if len(parts) > 1:
            yield from (part.casefold() for part in parts)


def _without_marks(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _pairs(word: str) -> Iterator[str]:
    for run in _UNSPACED.findall(word):
        yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
    yield from (part.casefold() for part in _UNSPACED.split(word) if part)
