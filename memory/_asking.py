"""Vectors of texts: each distinct one is embedded once, and those of questions are kept, for tasks come again."""

from __future__ import annotations

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
        self._questions: dict[str, list[float]] = {}

    def of(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return []
        found = dict(zip(distinct, self._embed(distinct), strict=True))
        return [found[text] for text in texts]

    def known(self, question: str) -> list[float] | None:
        """That of a question which was asked lately."""
        return self._questions.get(question)

    def asked(self, question: str) -> list[float]:
        """That of a question."""
        if question not in self._questions:
            if len(self._questions) >= _CACHED:
                self._questions = {}
            (self._questions[question],) = self._embed([question])
        return self._questions[question]
