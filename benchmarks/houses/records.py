"""Records, calls and the state of an office.

A record has facts, which some work changes, and a trail of everything that was done to it. The
trail keeps repetitions, so that a write made twice differs from the same write made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = ["Call", "Entry", "State"]


@dataclass(frozen=True)
class Call:
    """One call of a tool."""

    name: str
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """One record.

    Attributes:
        facts: What there is to see and what some work changes.
        trail: What was done to it by work and side tools, in order of time.
        families: Families of the work done.
    """

    kind: str
    name: str
    facts: Mapping[str, str] = field(default_factory=dict)
    trail: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    locked: bool = False

    @property
    def title(self) -> str:
        """Kind and name, as every answer and page writes it."""
        return f"{self.kind} {self.name}"

    def after(self, mark: str) -> Entry:
        """The record with one more mark on its trail."""
        return replace(self, trail=(*self.trail, mark))

    def content(self) -> dict[str, str]:
        """Everything that scoring compares; the order of events is not part of it."""
        trail = ", ".join(sorted(self.trail))
        return {**self.facts, "trail": trail, "locked": str(self.locked)}


@dataclass(frozen=True)
class State:
    """A whole office at one moment.

    Attributes:
        opened: Places opened, in order of time.
        actors: Who the clerk has acted as, in order of time.
        shifts: The times waited for, in order.
        events: Log of every call with its answer.
        broken: Kinds of the rules broken, one entry a time.
        over: Whether an irreversible break ended the episode.
    """

    entries: Mapping[str, Entry]
    opened: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()
    events: tuple[tuple[Call, str], ...] = ()
    broken: tuple[str, ...] = ()
    over: bool = False

    def put(self, entry: Entry) -> State:
        """The state with one record replaced."""
        return replace(self, entries={**self.entries, entry.name: entry})

    def content(self) -> dict[tuple[str, str], str]:
        """Everything that scoring compares: value by record and field.

        Who acted and which times were waited for count once each, because going to and fro between
        them changes nothing.
        """
        facts = {
            (entry.title, key): value
            for entry in self.entries.values()
            for key, value in entry.content().items()
        }
        return facts | {
            ("office", "opened"): ", ".join(sorted(self.opened)),
            ("office", "actors"): ", ".join(sorted(set(self.actors))),
            ("office", "shifts"): ", ".join(sorted(set(self.shifts))),
        }
