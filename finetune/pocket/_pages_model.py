"""A plain web page as data, and as the text that the browser tool would show of it.

The lines follow `tools._snapshot`; a test writes the same pages as HTML, opens them in a real
browser and compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["FIELDS", "Entry", "Fact", "Item", "Page", "quoted"]

FIELDS = frozenset(("textbox", "searchbox", "spinbutton", "slider"))
"""Roles that are filled in."""


def quoted(text: str) -> str:
    """A value as a page and a call line write it."""
    return '"' + text.replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Item:
    """A line of a page: something to act on if it has a reference, else words.

    Attributes:
        value: What is filled in, or the options chosen.
        states: Such as ``checked`` and ``disabled``, in the order that the browser tool has.
        options: Of a combobox.
        cells: Of a row; what can be acted on in them stands on lines of its own after the row.
    """

    role: str
    name: str = ""
    ref: str = ""
    value: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    cells: tuple[str | Item, ...] = ()

    def acting(self) -> tuple[Item, ...]:
        """What can be acted on: itself, or what is in its cells."""
        if self.ref:
            return (self,)
        return tuple(c for c in self.cells if isinstance(c, Item))

    def line(self) -> str:
        """Its own line."""
        if not self.ref:
            texts = [c.name if isinstance(c, Item) else c for c in self.cells]
            return f"{self.role}: {self.name or ' | '.join(t for t in texts if t)}"
        parts = [f"{self.role} {quoted(self.name)} {self.ref}"]
        if self.value:
            parts.append(" ".join(["=", *map(quoted, self.value)]))
        parts += self.states
        if self.options:
            parts.append(" ".join(["options", *map(quoted, self.options)]))
        return " ".join(parts)


@dataclass(frozen=True)
class Fact:
    """What a page says about an entry: a column, its value, and the lines that say so."""

    column: str
    value: str
    said: str


@dataclass(frozen=True)
class Entry:
    """A row, a card or a list item.

    Attributes:
        key: What a request calls it by; empty where the page is about one thing only.
        said: The line that shows it.
    """

    key: str
    said: str
    facts: tuple[Fact, ...] = ()
    actions: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Page:
    """A page from top to bottom."""

    title: str
    items: tuple[Item, ...]
    entries: tuple[Entry, ...] = ()

    def lines(self) -> Iterator[str]:
        """All lines, the title first."""
        yield f"page: {self.title}".rstrip()
        for item in self.items:
            yield item.line()
            if item.cells:
                yield from (inner.line() for inner in item.acting())

    def text(self) -> str:
        """What the browser tool shows."""
        return "\n".join(self.lines())

    def elements(self) -> list[Item]:
        """What can be acted on, in page order."""
        return [inner for item in self.items for inner in item.acting()]

    def loose(self) -> list[Item]:
        """What can be acted on outside of entries."""
        bound = {a.ref for e in self.entries for a in e.actions}
        return [e for e in self.elements() if e.ref not in bound]
