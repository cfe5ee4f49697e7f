"""The processes that share one training, as far as there are several; else all of it is free.

Each has the same model and a part of the rows of every step. What decides how the training goes on
is taken from the first one, and files are written by it alone.
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["count", "each", "first", "from_first", "number", "wait"]

Value = TypeVar("Value")


def _together() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def count() -> int:
    """How many processes there are."""
    from torch import distributed

    return distributed.get_world_size() if _together() else 1


def number() -> int:
    """Which of them this one is, from 0."""
    from torch import distributed

    return distributed.get_rank() if _together() else 0


def first() -> bool:
    """Whether this one writes files and decides."""
    return number() == 0


def from_first(value: Value) -> Value:
    """What the first process has, whatever this one has; all of them have to ask."""
    from torch import distributed

    if not _together():
        return value
    held = [value]
    distributed.broadcast_object_list(held, src=0)
    return held[0]


def each(value: Value) -> list[Value]:
    """What each process has, in their order; all of them have to ask."""
    from torch import distributed

    if not _together():
        return [value]
    held: list[Any] = [None] * count()
    distributed.all_gather_object(held, value)
    return held


def wait() -> None:
    """Wait until all have come here."""
    from torch import distributed

    if _together():
        distributed.barrier()
