"""The two doors to a made-up office, as text: calls and answers, or pages and clicks.

`walk` turns a plan into the acts of one door; `Site` draws the page that each act happens on, in
the browser tool's format. A test renders the same pages in a real browser and compares.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from finetune.pocket.office import Act, Goal, Office, Value, instantiate, lift
from finetune.pocket.words import digits

__all__ = ["Element", "Move", "Site", "quoted", "tool_call", "walk"]


def quoted(text: str) -> str:
    """A value in a call line."""
    return '"' + text.replace('"', '\\"') + '"'


def tool_call(act: Act, slots: tuple[str, ...]) -> str:
    """An act as a call through the tool door."""
    parts = [act.tool.name]
    if act.record is not None:
        parts.append(quoted(slots[act.record - 1]))
    if act.value is not None:
        parts.append(quoted(instantiate(act.value, slots)))
    if act.code is not None:
        parts.append(quoted(act.code))
    return " ".join(parts)


@dataclass(frozen=True)
class Move:
    """One browser act: on which page, what, and (for a fill) the value; ``last`` ends an office act."""

    page: tuple[str, ...]
    verb: str
    name: Value
    value: Value | None = None
    last: Act | None = None

    def call(self, slots: tuple[str, ...], reference: str = "") -> str:
        """As a call line, with the reference if there is one."""
        parts = [self.verb, quoted(instantiate(self.name, slots)), reference]
        if self.value is not None:
            parts.append(quoted(instantiate(self.value, slots)))
        return " ".join(p for p in parts if p)

    def lifted(self) -> str:
        """As a workflow writes it."""
        value = "" if self.value is None else f" {lift(self.value)}"
        return f"{self.verb} {lift(self.name)}{value}"


@dataclass(frozen=True)
class Element:
    """One line of a page."""

    role: str
    name: str
    value: str = ""

    def line(self, reference: str) -> str:
        """As the browser tool writes it."""
        state = f" = {quoted(self.value)}" if self.value else ""
        return f"{self.role} {quoted(self.name)} {reference}{state}"


class Site:
    """The pages of an office."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.rng: random.Random = office.words.rng
        word = office.words.word()
        self.form = self.rng.choice(("{} list", "{} list", "{} page", f"{{}} {word}", "all {}"))
        home: tuple[str, ...] = ("home",)
        self.start = home if self.rng.random() < 0.4 else ("list", self.rng.choice(office.nouns))
        self.grouped = self.rng.random() < 0.5

    def nav(self, noun: str) -> str:
        """Name of the link to the list of a noun."""
        return self.form.format(noun)

    def moves(self, act: Act, noun: str, record: str) -> list[Move]:
        """The clicks and fills that do an act on the record's page."""
        page = ("record", noun, record)
        moves = []
        if act.value is not None:
            moves.append(Move(page, "fill", act.tool.box(act.main), act.value))
        if act.code is not None:
            moves.append(Move(page, "fill", str(act.tool.code), act.code))
        return [*moves, Move(page, "click", act.tool.name, last=act)]

    def elements(self, page: tuple[str, ...], goal: Goal) -> list[Element]:
        """What stands on a page, the navigation first."""
        nav = [Element("link", self.nav(n)) for n in self.office.nouns]
        if page[0] == "home":
            return nav
        if page[0] == "list":
            return nav + self._records(goal)
        return nav + self._controls(page[1])

    def _records(self, goal: Goal) -> list[Element]:
        names = {goal.slots[r - 1] for r in goal.records}
        for _ in range(self.rng.randint(0, 6)):
            names.add(self.office.record_name())
        links = [Element("link", n) for n in sorted(names)]
        self.rng.shuffle(links)
        return links

    def _controls(self, noun: str) -> list[Element]:
        groups = [[Element("button", t.name)] for t in self.office.mains if t.noun == noun]
        boxes = [t.param for t in self.office.mains if t.noun == noun and t.param]
        boxes += [t.code for t in self.office.mains if t.noun == noun and t.code]
        groups += [[Element("textbox", b)] for b in dict.fromkeys(boxes)]
        for side in self.office.sides:
            box = [Element("textbox", side.box(False))] if side.param else []
            groups.append([*box, Element("button", side.name)])
        if self.rng.random() < 0.6:
            self.rng.shuffle(groups)
        elements = [e for g in groups for e in g]
        if self.grouped:
            elements.sort(key=lambda e: e.role != "textbox")
        return elements

    def heading(self, page: tuple[str, ...]) -> list[str]:
        """Title, heading and facts of a page."""
        words = self.office.words
        if page[0] == "record":
            title = f"{page[1]} {page[2]}"
            known = [f"{words.word()} {words.name()}" for _ in range(self.rng.randint(0, 3))]
            facts = ["text: " + ", ".join(known)] if known else []
        else:
            title = self.nav(page[1]) if page[0] == "list" else f"{words.word()} {digits(self.rng)}"
            facts = []
        tail = f" of {words.word()} {digits(self.rng, 2)}" if self.rng.random() < 0.5 else ""
        return [f"page: {title}{tail}", f"heading: {title}", *facts]


def walk(site: Site, goal: Goal, plan: tuple[Act, ...]) -> list[Move]:
    """A plan as browser acts from the first page on."""
    moves: list[Move] = []
    at: str | None = None
    for act in plan:
        record = act.record or goal.records[0]
        name = goal.slots[record - 1]
        if name != at:
            page = site.start if at is None else ("record", goal.noun, at)
            if page != ("list", goal.noun):
                moves.append(Move(page, "click", site.nav(goal.noun)))
            moves.append(Move(("list", goal.noun), "click", record))
            at = name
        moves += site.moves(act, goal.noun, name)
    return moves
