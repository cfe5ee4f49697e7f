"""What a training row is: a prefix that is shared, and the questions on it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Query", "Row"]


@dataclass(frozen=True)
class Query:
    """One question on a prefix: what follows the prefix, the answer, and what it tests."""

    body: str
    answer: str
    skill: str


@dataclass(frozen=True)
class Row:
    """A prefix and its queries."""

    prefix: str
    queries: tuple[Query, ...]
