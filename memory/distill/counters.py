"""Rules that a model adds to, agrees with, edits and removes by id, each kept by its votes.

After ExpeL (Zhao et al. 2024) and the deltas of ACE (Zhang et al. 2025): task by task the model sees
the rules so far and all judged attempts, and answers with operations. A new rule has 2 votes, AGREE
and EDIT give one, REMOVE takes one (three where the list is full), and at none the rule is dropped;
pinned ones stay. The model never rewrites the list, an unknown rule is an error and not a new one,
and an answer is carried out whole or not at all. One question after the other, as each sees the
rules that the last one left.

Rules are shown under labels that hold for one question, since a model copies ``r3`` more surely than
a hash. A vote is the model's opinion; support counts verified successes as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from instar.asking import Answers, Asking, Refused, Request
from instar.contracts import ChatModel
from instar.types import MemoryItem, MemoryOp, Message, Trajectory
from memory.distill._records import AS_DATA, record, tasks
from memory.distill._rulebook import Rulebook, operations

__all__ = ["Counters"]

_SYSTEM = """\
You keep a list of rules for an agent. You see the list, and records of attempts at one task that
succeeded or failed, as each says. Bring the list up to date with what these records show: add what
is missing, agree with what they confirm, edit what they show to be inexact, remove what they refute
or what another rule says as well. Rules are general; a rule about one record is none.
"""
_FORM = """
Think if you need to. Then end your answer with one fenced JSON list of at most %d objects:
```json
[{"op": "ADD", "title": "...", "when": "...", "content": "..."},
 {"op": "AGREE", "id": "r1"}, {"op": "EDIT", "id": "r2", "content": "..."},
 {"op": "REMOVE", "id": "r3"}]
```
Name each rule once at most; an empty list changes nothing.
title: up to ten words. when: the kind of task that it helps with, worded as such a task is worded.
content: one to three sentences. Write $1, $2 ... for what belongs to one task alone, as in when."""


class Counters:
    """A list of rules, each kept by a model's votes.

    Attributes:
        example: An answer that is kept.
    """

    example = """\
```json
[{"op": "ADD", "title": "Tag first", "when": "refund order $1",
  "content": "Tag order $1 red before anything else is done to it."}]
```"""

    class Config(Asking):
        """Settings.

        Attributes:
            size: Rules of a namespace at most.
            operations: Operations of one answer at most.
            hard: Votes that REMOVE takes where the list is full.
        """

        size: PositiveInt = 20
        operations: PositiveInt = 4
        hard: PositiveInt = 3
        characters: Annotated[int, Field(ge=200)] = 4000

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._answers = Answers()
        self._book = Rulebook.open((), {}, self.config.size, self.config.hard)

    def state_dict(self) -> dict[str, Any]:
        """Votes by item id, and counts of the answers so far."""
        return {"answers": self._answers.state_dict(), "votes": dict(self._book.votes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._answers.load_state_dict(state["answers"])
        self._book = self._book._replace(votes=dict(state["votes"]))

    async def distill_with(
        self, model: ChatModel, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes of the list after all its tasks."""
        config = self.config
        self._book = Rulebook.open(bank, self._book.votes, config.size, config.hard)
        await self._answers.ask(model, self._requests(trajectories), config, at_once=1)
        return self._book.deltas()

    def _requests(self, trajectories: Sequence[Trajectory]) -> Iterator[Request[None]]:
        for group in tasks(trajectories):
            rules = self._book.of(group[0].task.namespace)
            labels = {f"r{n}": item.id for n, item in enumerate(rules, 1)}
            lines = [self._line(label, self._book.rules[id]) for label, id in labels.items()]
            full = " The list is full: no ADD without REMOVE." if self._full(lines) else ""
            head = f"rules: {len(lines)} of at most {self.config.size}.{full}"
            shown = [record(t, self.config.characters, n) for n, t in enumerate(group, 1)]
            user = "\n".join([head, *lines, *shown])
            system = f"{_SYSTEM}{AS_DATA}{_FORM % self.config.operations}"
            messages: list[Message] = [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ]
            yield Request(messages, partial(self._read, group, labels), group[0].seed)

    def _line(self, label: str, item: MemoryItem) -> str:
        return f"{label} ({self._book.votes[item.id]} votes): {item.when} -> {item.content}"

    def _full(self, lines: Sequence[str]) -> bool:
        return len(lines) >= self.config.size

    def _read(self, group: Sequence[Trajectory], labels: Mapping[str, str], text: str) -> None:
        ops = operations(text, labels)
        if len(ops) > self.config.operations:
            raise Refused("more operations than asked for", str(len(ops)))
        self._book = self._book.after(ops, group)
