"""Made-up offices: nouns, verbs, tools and goals.

An office is drawn anew for every row, with words of its own, so that nothing about any office can
be learnt: only how a goal, a tool list, a page and a memory go together. A *plan* is a list of
acts with values that are constants or slots of the goal; the habit is to do just what the goal
says.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from finetune.pocket.words import COMMON, digits, pseudo_word

__all__ = ["Act", "Goal", "Office", "Tool", "Value", "Words", "from_verb", "instantiate", "lift"]

Value = str | int | tuple[int, str]
"""A constant, a slot number counted from 1, or a slot followed by a constant word."""

_PREFIXES = (
    *("please ", "now ", "kindly ", "next ", "today ", "please, ", "could you ", "can you "),
    *("also, ", "then ", "a job, ", "to do, ", "one more, ", "if possible, "),
)
_SUFFIXES = (" today", " please", " now", " soon", " at once", ", please", ".")
_BY = ("with", "with", "with", "by", "to", "at", "as", "in", "on")
_THEN = (" and then {verb} {ask} $1", ", then {verb} {ask} $1", " and {verb} {ask} $1")
_TWO = "&"


class Words:
    """A source of words from one side of the split."""

    def __init__(self, rng: random.Random, held_out: bool, pool: list[str] | None = None) -> None:
        self.rng = rng
        self.held_out = held_out
        self.pool = pool

    def word(self) -> str:
        """A common word or, more often, a pseudo-word."""
        if self.rng.random() < 0.35:
            return self.rng.choice(COMMON)
        if self.pool:
            return self.rng.choice(self.pool)
        return pseudo_word(self.rng, self.held_out)

    def distinct(self, count: int) -> list[str]:
        """``count`` different words."""
        found: dict[str, None] = {}
        while len(found) < count:
            found.setdefault(self.word())
        return list(found)

    def name(self) -> str:
        """A word, sometimes two, a number or a code."""
        roll = self.rng.random()
        if roll < 0.55:
            return self.word()
        if roll < 0.67:
            return f"{self.word()} {self.word()}"
        if roll < 0.78:
            return digits(self.rng, self.rng.choice((1, 2, 2, 3)))
        if roll < 0.85:
            # Not an "e", which would look like a reference.
            letter = self.word()[:1].replace("e", "k")
            return f"{letter}{digits(self.rng, self.rng.choice((1, 2)))}"
        return f"{self.word()}.{self.word()}@{self.word()}.{self.word()[:3]}"


@dataclass(frozen=True)
class Tool:
    """A tool of an office; ``param`` is the value it takes, ``code`` one that it takes if it must."""

    name: str
    noun: str | None
    param: str | None = None
    code: str | None = None

    def signature(self) -> str:
        """One line, as the chat template writes it."""
        parts = [self.name, self.noun or "", self.param or "", f"{self.code}?" if self.code else ""]
        return " ".join(p for p in parts if p)

    def box(self, main: bool) -> str:
        """Label of the text box for its value on a page."""
        return f"{self.param}" if main else f"{self.name} {self.param}"


@dataclass(frozen=True)
class Act:
    """A tool, on a record (a slot) or on none, with a value and a code."""

    tool: Tool
    record: int | None
    value: Value | None = None
    code: str | None = None
    main: bool = True


@dataclass(frozen=True)
class Goal:
    """What is asked: instruction, its form with slots, the slots' values and the habit."""

    text: str
    when: str
    slots: tuple[str, ...]
    noun: str
    records: tuple[int, ...]
    habit: tuple[Act, ...]
    key: tuple[str, ...]


def lift(value: Value) -> str:
    """A value as a memory writes it."""
    if isinstance(value, int):
        return f"${value}"
    if isinstance(value, tuple):
        return f'"${value[0]} {value[1]}"'
    return f'"{value}"'


def instantiate(value: Value, slots: tuple[str, ...]) -> str:
    """A value with the slots of a goal put in."""
    if isinstance(value, int):
        return slots[value - 1]
    if isinstance(value, tuple):
        return f"{slots[value[0] - 1]} {value[1]}"
    return value


@dataclass
class Office:
    """Nouns and tools, and the draws of goals and memories over them."""

    words: Words
    nouns: list[str] = field(default_factory=list)
    mains: list[Tool] = field(default_factory=list)
    sides: list[Tool] = field(default_factory=list)
    adjectives: list[str] = field(default_factory=list)

    @classmethod
    def draw(cls, words: Words) -> Office:
        """A new office."""
        rng = words.rng
        nouns = words.distinct(rng.choice((1, 2, 3, 4, 4, 6)))
        names = [w for w in words.distinct(26) if w not in nouns]
        office = cls(words, nouns=nouns, adjectives=[names.pop(), names.pop()])
        code = "code" if rng.random() < 0.6 else names.pop()
        for _ in range(rng.randint(2, 8)):
            if not names:
                break
            name = names.pop()
            if rng.random() < 0.1 and names:
                name = f"{name}_{names.pop()}"
            param = words.word() if rng.random() < 0.4 else None
            named = code if rng.random() < 0.7 else None
            office.mains.append(Tool(name, rng.choice(nouns), param, named))
        record_word = "record" if rng.random() < 0.6 else words.word()
        for _ in range(min(rng.randint(2, 10), len(names))):
            record = None if rng.random() < 0.25 else record_word
            param = words.word() if record is None or rng.random() < 0.5 else None
            office.sides.append(Tool(names.pop(), record, param))
        return office

    def record_name(self) -> str:
        """The name of a record: mostly a number, sometimes a word."""
        rng = self.words.rng
        return digits(rng, rng.choice((2, 3, 3, 3, 4))) if rng.random() < 0.8 else self.words.word()

    def goal(self, tool: Tool | None = None) -> Goal:
        """A goal on one or two records, or of two verbs on one record."""
        rng = self.words.rng
        main = tool or rng.choice(self.mains)
        adjective = f"{rng.choice(self.adjectives)} " if rng.random() < 0.3 else ""
        ask = f"{adjective}{main.noun}"
        given = f" {rng.choice(_BY)} {main.param} " if main.param else ""
        key: tuple[str, ...] = (main.name, ask)
        if rng.random() < 0.3:
            end = f"{given}$3" if given else ""
            core = self._framed(main.name, f"{ask} $1 and {ask} $2", end)
            value = 3 if given else None
            habit: tuple[Act, ...] = (Act(main, 1, value), Act(main, 2, value))
            return self._worded(self.dress(core), 3 if given else 2, main, habit, (*key, _TWO))
        if given:
            core = self._framed(main.name, f"{ask} $1", f"{given}$2")
            return self._worded(self.dress(core), 2, main, (Act(main, 1, 2),), key)
        return self._of_verbs(main, ask, key)

    def _of_verbs(self, main: Tool, ask: str, key: tuple[str, ...]) -> Goal:
        """A goal of one verb without a value, or of two."""
        rng = self.words.rng
        others = [t for t in self.mains if t.noun == main.noun and not t.param and t != main]
        end, habit = "", [Act(main, 1)]
        if others and rng.random() < 0.3:
            other = rng.choice(others)
            end = rng.choice(_THEN).format(verb=other.name, ask=ask)
            habit.append(Act(other, 1))
            key = (*key, other.name)
        core = self._framed(main.name, f"{ask} $1", end)
        return self._worded(self.dress(core), 1, main, tuple(habit), key)

    def _framed(self, verb: str, records: str, end: str) -> str:
        """The verb before the records, or after them."""
        rng = self.words.rng
        if rng.random() < 0.3:
            return f"{records}: {verb}{end}"
        return f"{verb} {'to ' if rng.random() < 0.15 else ''}{records}{end}"

    def _worded(
        self, core: str, count: int, main: Tool, habit: tuple[Act, ...], key: tuple[str, ...]
    ) -> Goal:
        names = [self.record_name() for _ in range(2 if key[-1] == _TWO else 1)]
        while len(set(names)) < len(names):
            names[-1] = self.record_name()
        slots = (*names, *(self.words.name() for _ in range(count - len(names))))
        when = text = core
        for number, value in enumerate(slots, 1):
            text = text.replace(f"${number}", value)
        records = (1, 2) if key[-1] == _TWO else (1,)
        return Goal(text, when, slots, str(main.noun), records, habit, key)

    def dress(self, core: str) -> str:
        """Put a polite word or a name around a goal, often nothing."""
        rng = self.words.rng
        if rng.random() < 0.3:
            core = rng.choice(_PREFIXES) + core
        elif rng.random() < 0.1:
            core = f"for {self.words.word()}, {core}"
        return core + (rng.choice(_SUFFIXES) if rng.random() < 0.3 else "")

    def again(self, goal: Goal) -> Goal:
        """The same kind of goal on other records, in other words."""
        main = next(t for t in self.mains if t.name == goal.key[0])
        core = self.reworded(goal)
        return self._worded(core, len(goal.slots), main, goal.habit, goal.key)

    def qualified(self, goal: Goal) -> Goal:
        """A goal on a record of a certain sort; what holds for any sort holds for it."""
        adjective = self.words.rng.choice(self.adjectives)
        core = self.reworded(goal).replace(f" {goal.noun} ", f" {adjective} {goal.noun} ")
        main = next(t for t in self.mains if t.name == goal.key[0])
        return self._worded(core, len(goal.slots), main, goal.habit, goal.key)

    def twice(self, goal: Goal) -> Goal:
        """A goal on one record, asked of two."""
        main = next(t for t in self.mains if t.name == goal.key[0])
        ask = goal.key[1]
        core = self.reworded(goal).replace(f"{ask} $1", f"{ask} $1 and {ask} $2")
        key = (*goal.key, _TWO)
        return self._worded(core, 2, main, (Act(main, 1), Act(main, 2)), key)

    def reworded(self, goal: Goal) -> str:
        """The goal's ``when`` in other dress."""
        core = from_verb(goal.when)
        for suffix in _SUFFIXES:
            core = core.removesuffix(suffix)
        return self.dress(core)


def from_verb(when: str) -> str:
    """A goal's words without what is put before the verb."""
    for prefix in _PREFIXES:
        when = when.removeprefix(prefix)
    if when.startswith("for ") and ", " in when:
        return when.split(", ", 1)[1]
    return when
