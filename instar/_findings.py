"""What a check-up finds."""

from __future__ import annotations

from enum import StrEnum

from instar.types import Record

__all__ = ["Finding", "State"]


class State(StrEnum):
    """What a check found."""

    FOUND = "found"
    MISSING = "missing"
    BROKEN = "broken"


class Finding(Record):
    """One thing that was looked at.

    Attributes:
        name: What it is.
        detail: Version, place or what is wrong.
        remedy: The command that mends it, empty where nothing has to be done.
        needed: Whether Instar with the pocket model needs it; what is not needed may be missing.
    """

    name: str
    state: State
    detail: str = ""
    remedy: str = ""
    needed: bool = True
