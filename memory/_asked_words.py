"""What the lexical index has just read, kept while nothing is added: questions share their common words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from memory._postings import Postings

__all__ = ["AskedWords"]

_ROWS = 4_000_000
_WORDS = 100_000


class AskedWords:
    """Frequencies and rows of words, read from the file once.

    It may lose entries meanwhile, which are then not found; once it gains some, another of these has to
    take the place of this one.

    Args:
        postings: The file.
        most: How many rows are kept in memory, of four bytes each.
    """

    def __init__(self, postings: Postings, most: int = _ROWS) -> None:
        self._postings, self._most, self._held = postings, most, 0
        self._counts: dict[str, int] = {}
        self._rows: OrderedDict[str, NDArray[np.int32]] = OrderedDict()

    def frequencies(self, words: Collection[str]) -> dict[str, int]:
        """In how many entries each word stands; words in none are left out."""
        new = [word for word in words if word not in self._counts]
        if new:
            if len(self._counts) > _WORDS:
                self._counts, new = {}, list(words)
            found = self._postings.frequencies(new)
            self._counts |= {word: found.get(word, 0) for word in new}
        return {word: count for word in words if (count := self._counts[word])}

    def rows(self, word: str) -> NDArray[np.int32]:
        """The rows in which a word stands."""
        kept = self._rows.get(word)
        if kept is not None:
            self._rows.move_to_end(word)
            return kept
        rows = self._postings.rows(word).astype(np.int32)
        self._rows[word] = rows
        self._held += len(rows)
        while self._held > self._most:
            self._held -= len(self._rows.popitem(last=False)[1])
        return rows
