"""What an office is, as data: its records, tools, families of work, and the words it uses.

Machine, rules, doors and agents read an office and hold no name of any. Side tools are found by the
role they play in rules: ``mark``, ``give``, ``note``, ``close``, ``allow``, ``counter``, ``open``,
``look``, ``act``, ``wait``, ``confirm``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from instar.types import ToolSpec

__all__ = ["ROLES", "Change", "Draw", "Family", "Kind", "Office", "Tool", "Value", "one_of", "upto"]

ROLES = (
    "mark",
    "give",
    "note",
    "close",
    "allow",
    "counter",
    "open",
    "look",
    "act",
    "wait",
    "confirm",
)

Draw = Callable[[random.Random], str]


def one_of(*values: str) -> Draw:
    """One of these, each as likely."""
    return lambda rng: rng.choice(values)


def upto(low: int, high: int) -> Draw:
    """A whole number between both, ends included."""
    return lambda rng: str(rng.randint(low, high))


@dataclass(frozen=True)
class Kind:
    """A kind of record.

    Attributes:
        facts: What there is to see of one, in this order, and how it is drawn.
        numbered: Whether records are named by numbers of ``digits`` digits; else by things.
        greater: Word for the greater half of the records, which instructions then say; empty
            where there are no halves.
        size: The fact that tells the halves apart.
        lesser: Its value for the other half.
        subject: The fact that a reason has to name.
        sort: A fact of a few values by which exceptions are made.
        amount: A fact that holds a number.
        written: Whether others write its records, who may give advice in them.
    """

    name: str
    facts: Mapping[str, Draw]
    numbered: bool = True
    greater: str = ""
    size: str = "size"
    lesser: str = "small"
    subject: str = ""
    sort: str = ""
    amount: str = ""
    written: bool = False


@dataclass(frozen=True)
class Value:
    """A value that a task may ask for.

    Attributes:
        draw: How one is drawn; a record's name is drawn elsewhere.
        pattern: What a task may ask for, as a regular expression.
        accepts: What a tool takes, as a regular expression; empty takes anything.
        wrong: What a tool says to anything else, after the value's name.
        number: Whether it is a number, which tasks carry as such.
        record: Kind of record that it names, empty where it names none.
    """

    pattern: str
    draw: Draw | None = None
    accepts: str = ""
    wrong: str = ""
    number: bool = False
    record: str = ""


@dataclass(frozen=True)
class Change:
    """What a tool changes in a fact.

    Attributes:
        value: The new value; ``{email}`` stands for an argument.
        add: Whether the value is added to the number that stands there.
        on: The argument that names the record changed; empty for the record worked on.
    """

    fact: str
    value: str
    add: bool = False
    on: str = ""


@dataclass(frozen=True)
class Tool:
    """A tool of an office.

    Attributes:
        kind: Kind of record it works on, empty where any will do.
        parameters: The first names the record, where the tool takes one.
        said: What the answer says when it worked, and the mark it leaves.
        role: Of a side tool.
        repeats: Whether it may be used again on the same record.
    """

    name: str
    description: str
    kind: str
    parameters: tuple[str, ...]
    said: str
    optional: tuple[str, ...] = ()
    effects: tuple[str, ...] = ("write",)
    changes: tuple[Change, ...] = ()
    role: str = ""
    repeats: bool = False

    @cached_property
    def on_record(self) -> bool:
        """Whether the first parameter names a record."""
        return self.role not in ("open", "act", "wait")

    @cached_property
    def values(self) -> tuple[str, ...]:
        """Parameters beside the record."""
        return self.parameters[1:] if self.on_record else self.parameters

    @cached_property
    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        properties: dict[str, Any] = {p: {"type": "string"} for p in self.parameters}
        required = [p for p in self.parameters if p not in self.optional]
        return ToolSpec(
            name=self.name,
            description=self.description,
            parameters={"type": "object", "properties": properties, "required": required},
            effects=self.effects,
        )


@dataclass(frozen=True)
class Family:
    """A family of work: what is asked, and what one would naively do.

    Attributes:
        calls: Work tools that are called on each record, in this order.
        sentence: The plain request; ``{records}``, ``{name}`` and ``{value}`` are filled in.
        others: Other ways to ask for the same.
        value: The value that it asks for.
        single: Whether only one record may be asked for.
        facts: Facts of a record that is asked for, where they are not drawn.
    """

    name: str
    kind: str
    calls: tuple[str, ...]
    sentence: str
    others: tuple[str, ...] = ()
    value: str = ""
    single: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Office:
    """An office.

    Attributes:
        title: What the first observation says, with ``{house}`` for the number.
        page: What the title of each page ends in.
        digits: How many a numbered record's name has.
        departments: Kinds of record that belong together; a task is offered its department's tools.
        shifts: Times of the day; the first is when a case begins.
        wordings: Frames of politeness around a request, the bare one first.
        joint: What stands between the requests of a compound task.
        done: Answer to a record's work, with ``{kind}``, ``{name}`` and ``{said}``.
        refusal: Answer to a broken rule, with ``{opening}`` and ``{demand}``.
        openings: First words of a refusal by what it does: ``locked``, ``rejected``, ``escalated``.
        demands: Sentences by kind of rule; a house has one of them.
        notice: How advice is written, with ``{family}`` and ``{demand}``.
        names: What the office calls the values that rules ask for: ``code``, ``reason``, ``text``.
    """

    title: str
    page: str
    kinds: Mapping[str, Kind]
    work: Mapping[str, Tool]
    side: Mapping[str, Tool]
    families: Mapping[str, Family]
    values: Mapping[str, Value]
    things: tuple[str, ...]
    departments: tuple[tuple[str, ...], ...]
    shifts: tuple[str, ...]
    wordings: tuple[str, ...]
    openings: Mapping[str, tuple[str, ...]]
    demands: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]
    digits: int = 3
    joint: str = "; then "
    done: str = "{kind} {name} {said}"
    refusal: str = "{opening}: {demand}"
    notice: str = "for {family} {demand}"

    @cached_property
    def tools(self) -> Mapping[str, Tool]:
        """All tools by name, work first."""
        return {**self.work, **self.side}

    @cached_property
    def roles(self) -> Mapping[str, Tool]:
        """Side tools by role."""
        return {tool.role: tool for tool in self.side.values()}

    @cached_property
    def by_tool(self) -> Mapping[str, tuple[Family, ...]]:
        """Families that a work tool may belong to; those told by facts come first."""
        ranked = sorted(self.families.values(), key=lambda f: not f.facts)
        return {name: tuple(f for f in ranked if name in f.calls) for name in self.work}

    def offered(self, kinds: frozenset[str]) -> list[Tool]:
        """Tools of the departments that the kinds belong to, and all side tools."""
        near = {k for d in self.departments if kinds & set(d) for k in d} | kinds
        return [t for t in self.tools.values() if t.role or t.kind in near]

    def kind_of(self, family: str) -> Kind:
        """Kind of the records of a family."""
        return self.kinds[self.families[family].kind]
