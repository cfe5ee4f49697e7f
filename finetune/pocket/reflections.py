"""Rows that turn the story of an episode into one memory, by filling slots.

The story has the history lines, the task and how it ended. The memory has a title, the kind of
task, and its content: the calls that went through after a success, or the refused call and the
refusal after a failure, with the values of the task lifted to slots as `memory.distill` writes
them. Which words of a task are values is seen from the calls that were handed them. Every story is
written once, with slots, so that story and memory cannot disagree; a story in which a value stands
elsewhere too is drawn again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from finetune.pocket.door import Move, Site, tool_call, walk
from finetune.pocket.memories import Memory, call_text, lesson, workflow
from finetune.pocket.office import Act, Goal, Office, Words, from_verb

__all__ = ["REFLECT", "reflect_row"]

REFLECT = "write one memory"

_RESULTS = ("ok", "ok", "done", "{noun} ${n} {name}ed", "{name} ${n} done", "{noun} ${n}: {word}")
_REFUSALS = ("{error}", "{error}", "{noun} $1 {error}", "{error} for $1", "$1: {error}")


@dataclass(frozen=True)
class _Line:
    """One call of a story: as history shows it, as a memory writes it, and its result with slots."""

    shown: str
    lifted: str
    result: str
    refused: bool = False


class _Story:
    """An office and one of its goals, told through its tools or its pages."""

    def __init__(self, words: Words) -> None:
        self.words, self.rng = words, words.rng
        self.office = Office.draw(words)
        while not self.office.mains:
            self.office = Office.draw(words)
        self.goal = self.office.goal()
        self.site = Site(self.office) if self.rng.random() < 0.5 else None
        self.failed = self.rng.random() < 0.4
        self.lines = self._failure() if self.failed else self._success()

    def _told(self, plan: tuple[Act, ...]) -> list[_Line]:
        """A plan that went through."""
        slots = self.goal.slots
        if self.site is None:
            return [_Line(tool_call(a, slots), call_text(a), self._result(a)) for a in plan]
        referring = self.rng.random() < 0.2
        return [self._moved(m, referring) for m in walk(self.site, self.goal, plan)]

    def _moved(self, move: Move, referring: bool) -> _Line:
        reference = f"e{self.rng.randrange(100)}" if referring else ""
        result = self._result(move.last) if move.last else "ok"
        return _Line(move.call(self.goal.slots, reference), move.lifted(), result)

    def _result(self, act: Act) -> str:
        frame = self.rng.choice(_RESULTS)
        noun, word = self.goal.noun, self.words.word()
        return frame.format(noun=noun, name=act.tool.name, n=act.record or 1, word=word)

    def _success(self) -> list[_Line]:
        """All went through, or all but a call whose refusal was got round."""
        roll = self.rng.random()
        refused: list[_Line] = []
        plan = self.goal.habit if roll < 0.4 else workflow(self.office, self.goal).plan
        if roll < 0.2 and self.site is None:
            met = lesson(self.office, self.goal)
            if met and met.at == 0 and met.form not in ("last", "strange"):
                refused, plan = self._up_to(met), met.plan
        ended = [_Line("finish", "finish", "finished")] if self.rng.random() < 0.5 else []
        return [*refused, *self._told(plan), *ended]

    def _failure(self) -> list[_Line]:
        """The habit until it was refused, and sometimes refused again."""
        while (met := lesson(self.office, self.goal)) is None:
            self.goal = self.office.goal()
        lines = self._up_to(met)
        return [*lines, lines[-1]] if self.rng.random() < 0.2 else lines

    def _up_to(self, met: Memory) -> list[_Line]:
        error = self.rng.choice(_REFUSALS).format(error=met.error, noun=self.goal.noun)
        if met.form == "last":
            done = self._told(self.goal.habit)
            return [*done, _Line("finish", "finish", error, refused=True)]
        *before, tried = self._told(self.goal.habit[: met.at + 1])
        return [*before, replace(tried, result=error, refused=True)]

    def clear(self) -> bool:
        """Whether the values of the task stand where its slots do and nowhere else, all to be seen."""
        calls = "\n".join(line.lifted for line in self.lines)
        told = "\n".join([self.goal.when, calls, *(line.result for line in self.lines)])
        slots = dict(enumerate(self.goal.slots, 1))
        return len(set(slots.values())) == len(slots) and not any(
            re.search(rf"(?<!\w){re.escape(value)}(?!\w)", told)
            or not (re.search(r"[\d@]", value) or f"${number}" in calls)
            for number, value in slots.items()
        )

    def body(self) -> str:
        """History, task and end."""
        done = [f"{line.shown} -> {self._filled(line.result)}" for line in self.lines]
        ended = "failure" if self.failed else "success"
        return "\n".join(["done:", *done, f"task: {self.goal.text}", f"ended: {ended}"])

    def _filled(self, text: str) -> str:
        for number, value in enumerate(self.goal.slots, 1):
            text = text.replace(f"${number}", value)
        return text

    def memory(self) -> str:
        """Title, when and content."""
        if self.failed:
            content = f"{self.lines[-1].lifted} -> {self.lines[-1].result}"
        else:
            calls = [line.lifted for line in self.lines if not line.refused]
            content = "; ".join([*(c for c in calls if c != "finish"), "finish"])
        return f"title: {_title(self.goal)}\nwhen: {self.goal.when}\ncontent: {content}"


def _title(goal: Goal) -> str:
    """The task without polite words: it ends with a value or with the verb."""
    core = from_verb(goal.when)
    found = re.match(rf".*(?:\$\d|\b{re.escape(goal.key[0])}\b)", core)
    return found.group(0) if found else core


def reflect_row(words: Words, count: int) -> tuple[str, list[tuple[str, str]]]:
    """``count`` stories, each with the memory to write; there is nothing that they share."""
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        story = _Story(words)
        if story.clear():
            pairs.append((story.body(), story.memory()))
    return "", pairs
