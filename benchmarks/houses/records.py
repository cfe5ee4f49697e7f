"""Records of the back office and its tools, as data.

A record has facts, which some work changes, and a trail of everything that was done to it. The
trail keeps repetitions, so that a write made twice differs from the same write made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from instar.types import ToolSpec

__all__ = ["KINDS", "SIDE_TOOLS", "TOOLS", "SPECS", "WORK_TOOLS", "Call", "Entry", "State", "Tool"]

KINDS = ("order", "ticket", "item", "customer")


@dataclass(frozen=True)
class Tool:
    """A tool of the back office; the first parameter names the record, except for ``open``.

    Attributes:
        kind: Kind of record it works on, empty where any will do.
        said: What the answer says when it worked, after the record's name.
    """

    name: str
    description: str
    kind: str
    parameters: tuple[str, ...]
    said: str
    optional: tuple[str, ...] = ()
    effects: tuple[str, ...] = ("write",)

    @property
    def values(self) -> tuple[str, ...]:
        """Parameters beside the record."""
        return self.parameters if self.name == "open" else self.parameters[1:]


def _work(name: str, kind: str, said: str, *more: str, code: bool = True) -> Tool:
    optional = ("code",) if code else ()
    verb = "Reply to" if name == "reply" else name.capitalize()
    description = f"{verb} {'an' if kind[0] in 'oi' else 'a'} {kind}."
    return Tool(name, description, kind, (kind, *more, *optional), said, optional)


WORK_TOOLS = {
    t.name: t
    for t in (
        _work("refund", "order", "refunded"),
        _work("ship", "order", "shipped"),
        _work("cancel", "order", "cancelled"),
        _work("fetch", "order", "fetched"),
        _work("restock", "item", "restocked", "quantity"),
        _work("close", "ticket", "closed"),
        _work("reply", "ticket", "answered", "text", code=False),
        _work("update", "customer", "updated", "email", code=False),
    )
}

SIDE_TOOLS = {
    t.name: t
    for t in (
        Tool("tag", "Tag a record with a text.", "", ("record", "text"), "tagged {text}"),
        Tool(
            "assign", "Assign a record to a person.", "", ("record", "person"), "assigned {person}"
        ),
        Tool("log", "Log a record.", "", ("record",), "logged"),
        Tool("seal", "Seal a record.", "", ("record",), "sealed"),
        Tool("approve", "Approve a record.", "", ("record",), "approved"),
        Tool("desk", "Ask the desk for an action.", "", ("record", "action"), "{action} by desk"),
        Tool("open", "Open a place.", "", ("place",), "{place} opened"),
        Tool("look", "Look at a record.", "", ("record",), "", effects=("read",)),
    )
}

TOOLS = WORK_TOOLS | SIDE_TOOLS


def _spec(tool: Tool) -> ToolSpec:
    properties: dict[str, Any] = {p: {"type": "string"} for p in tool.parameters}
    required = [p for p in tool.parameters if p not in tool.optional]
    schema = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(
        name=tool.name, description=tool.description, parameters=schema, effects=tool.effects
    )


SPECS = tuple(_spec(tool) for tool in TOOLS.values())
"""All tools as a model sees them, the same in every house."""


@dataclass(frozen=True)
class Call:
    """One call of a tool of the back office."""

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

    @property
    def large(self) -> bool:
        """Whether it is a large order."""
        return self.facts.get("size") == "large"

    def after(self, mark: str, **facts: str) -> Entry:
        """The record with one more mark on its trail."""
        return replace(self, trail=(*self.trail, mark), facts={**self.facts, **facts})

    def content(self) -> dict[str, str]:
        """Everything that scoring compares; the order of events is not part of it."""
        trail = ", ".join(sorted(self.trail))
        return {**self.facts, "trail": trail, "locked": str(self.locked)}


@dataclass(frozen=True)
class State:
    """The whole back office at one moment.

    Attributes:
        opened: Places opened, in order of time.
        events: Log of every call with its answer.
        broken: Kinds of the rules broken, one entry a time.
        over: Whether an irreversible break ended the episode.
    """

    entries: Mapping[str, Entry]
    opened: tuple[str, ...] = ()
    events: tuple[tuple[Call, str], ...] = ()
    broken: tuple[str, ...] = ()
    over: bool = False

    def put(self, entry: Entry) -> State:
        """The state with one record replaced."""
        return replace(self, entries={**self.entries, entry.name: entry})

    def content(self) -> dict[tuple[str, str], str]:
        """Everything that scoring compares: value by record and field."""
        facts = {
            (entry.title, key): value
            for entry in self.entries.values()
            for key, value in entry.content().items()
        }
        return facts | {("office", "opened"): ", ".join(sorted(self.opened))}
