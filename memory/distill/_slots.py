"""From words to slots: which parts of an instruction are values, and what stands for them.

A value is what could have been another one: a number, an address, something quoted, or words that
were handed to a tool. A word that names the work (`polish` on a button is handed to a click too)
is no value; it is told by counting: it leads the instruction, it is the name of a tool or an
argument, most instructions of its family have it, several families have it, or it is handed to
tools in tasks that do not speak of it. Where nothing can be counted yet, words are left alone: an
item that is too special does no harm, one that is too general does.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from instar.render import call_line, quote
from instar.types import ToolCall, ToolSpec, Trajectory
from memory.distill.base import calls
from memory.embed import FUNCTION_WORDS

__all__ = ["Lexicon", "Lifter", "Slots"]

_TOKEN = re.compile(r'"[^"]+"|\S+')
_SURE = re.compile(r"\d|@")
_WORDS = re.compile(r"[^\W_]+")
_LONGEST = 12
_KEPT = 256
_FAMILIES = 3


class Slots:
    """The values of one instruction, ``$1`` for the first that appears."""

    def __init__(self, values: Sequence[str]) -> None:
        self.values = tuple(dict.fromkeys(values))
        self._names = {v: f"${i}" for i, v in enumerate(self.values, 1)}
        longest_first = sorted(self.values, key=lambda v: (-len(v), v))
        choice = "|".join(re.escape(v) for v in longest_first)
        self._pattern = re.compile(rf"(?<![\w@])(?:{choice})(?![\w@])") if choice else None

    def put(self, text: str) -> str:
        """The text with every value replaced by its slot."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda m: self._names[m.group(0)], text)

    def line(self, call: ToolCall, spec: ToolSpec | None) -> str:
        """A call as `instar.render.call_line` writes it, slots bare and volatile arguments out."""
        return call_line(call, spec, self._argument)

    def _argument(self, value: Any) -> str:
        text = plain_text(value)
        if text is None:
            return quote(value)
        slotted = self.put(text)
        return slotted if re.fullmatch(r"\$\d+", slotted) else quote(slotted)


def plain_text(value: Any) -> str | None:
    """A value that can hold a slot, as text: words and numbers, but no flags and no structures."""
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(value) if is_number else None


def lasting(call: ToolCall, spec: ToolSpec | None) -> dict[str, Any]:
    """The arguments that mean something later, in the order of the schema."""
    order = spec.argument_names() if spec else tuple(call.arguments)
    volatile = spec.volatile if spec else ()
    return {n: call.arguments[n] for n in order if n in call.arguments and n not in volatile}


class _Token(NamedTuple):
    start: int
    end: int
    text: str
    sure: bool


def _tokens(instruction: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(instruction):
        raw = match.group(0)
        quoted = len(raw) > 2 and raw[0] == raw[-1] == '"'
        text = raw[1:-1] if quoted else raw.strip(".,;:!?()\"'")
        if text:
            start = match.start() + raw.index(text)
            sure = quoted or bool(_SURE.search(text))
            found.append(_Token(start, start + len(text), text, sure))
    return found


class Lexicon:
    """The instructions met so far by family, to tell the words of the work from its values."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}

    def learn(self, trajectories: Iterable[Trajectory]) -> None:
        """Take in instructions, each once, up to a number a family."""
        for trajectory in trajectories:
            seen = self._seen.setdefault(_family(trajectory), [])
            if trajectory.task.instruction not in seen and len(seen) < _KEPT:
                seen.append(trajectory.task.instruction)

    def counts(self) -> dict[str, Counter[str]]:
        """By family: in how many instructions each token stands; ``""`` counts all of them."""
        return {
            family: Counter(["" for _ in seen] + [t for i in seen for t in _texts(i)])
            for family, seen in self._seen.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The instructions."""
        return {family: list(seen) for family, seen in self._seen.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._seen = {family: list(seen) for family, seen in state.items()}


def _texts(instruction: str) -> set[str]:
    return {t.text for t in _tokens(instruction)}


def _family(trajectory: Trajectory) -> str:
    return f"{trajectory.task.world}/{trajectory.task.family}"


class Lifter:
    """Finds the slots of trajectories, given all that were met together with them."""

    def __init__(self, lexicon: Lexicon, trajectories: Sequence[Trajectory]) -> None:
        self._counts = lexicon.counts()
        self._families = Counter(word for words in self._counts.values() for word in words)
        self._handed: dict[str, set[str]] = {}
        self._apart: Counter[tuple[str, str]] = Counter()
        for trajectory in trajectories:
            self._take(trajectory)

    def _take(self, trajectory: Trajectory) -> None:
        task = trajectory.task
        values = set(_values(trajectory))
        self._handed.setdefault(task.instruction, set()).update(values)
        said = _texts(task.instruction)
        for word in {w for v in values for w in _WORDS.findall(v)}:
            self._apart[task.world, word] += -1 if word in said else 1

    def slots(self, trajectory: Trajectory) -> Slots:
        """The slots of its instruction; the same for every attempt at the same words."""
        tokens = _tokens(trajectory.task.instruction)
        plain = self._plain(trajectory, tokens)
        handed = self._handed.get(trajectory.task.instruction, set())
        text = trajectory.task.instruction
        taken: dict[int, str] = {}
        covered: set[int] = set()
        for first, last in _spans(len(tokens)):
            inside = set(range(first, last + 1))
            span = text[tokens[first].start : tokens[last].end]
            if inside & covered or plain & {first, last}:
                continue
            if span in handed or (first == last and self._lifts(tokens[first], handed)):
                taken[first] = span
                covered |= inside
        return Slots([taken[i] for i in sorted(taken)])

    def _lifts(self, token: _Token, handed: set[str]) -> bool:
        return token.sure or any(Slots([token.text]).put(v) != v for v in handed)

    def _plain(self, trajectory: Trajectory, tokens: Sequence[_Token]) -> set[int]:
        """Positions of the words that name the work."""
        task = trajectory.task
        named = {n for t in trajectory.tools for n in (t.name, *t.argument_names())}
        named |= set(_WORDS.findall(f"{task.family} {task.group}")) | FUNCTION_WORDS
        leads = next((i for i, t in enumerate(tokens) if t.text not in FUNCTION_WORDS), -1)
        family = self._counts.get(_family(trajectory), Counter())
        return {
            i
            for i, t in enumerate(tokens)
            if not t.sure
            and (
                i == leads
                or t.text in named
                or family[""] < 2
                or family[t.text] > max(1, family[""] / 2)
                or self._families[t.text] >= _FAMILIES
                or self._apart[task.world, t.text] > 0
            )
        }


def _spans(count: int) -> Iterator[tuple[int, int]]:
    """First and last position of every run of tokens, the longest first."""
    for length in range(min(count, _LONGEST), 0, -1):
        for first in range(count - length + 1):
            yield first, first + length - 1


def _values(trajectory: Trajectory) -> Iterator[str]:
    specs = {t.name: t for t in trajectory.tools}
    for call, _ in calls(trajectory):
        for value in lasting(call, specs.get(call.name)).values():
            text = plain_text(value)
            if text is not None:
                yield text
