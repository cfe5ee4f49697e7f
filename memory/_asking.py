"""Vectors of texts: each distinct one is embedded once, and those of questions are kept, for tasks come again."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

__all__ = ["Vectors"]

_CACHED = 1024


class Vectors:
    """What is made of texts.

    Args:
        embed: Makes one vector a text.
    """

    def __init__(self, embed: Callable[[Sequence[str]], list[list[float]]]) -> None:
        self._embed = embed
        self._questions: dict[str, array[float]] = {}

    def of(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return []
        found = dict(zip(distinct, self._embed(distinct), strict=True))
        return [found[text] for text in texts]

    def known(self, question: str) -> Sequence[float] | None:
        """That of a question which was asked lately."""
        return self._questions.get(question)

    def asked(self, question: str) -> Sequence[float]:
        """That of a question."""
        vector = self._questions.get(question)
        if vector is None:
            (made,) = self._embed([question])
            vector = array("f", made)  # an eighth of what a list takes
            if len(self._questions) >= _CACHED:
                self._questions = {}  # anew, for another thread may be reading
            self._questions[question] = vector
        return vector
