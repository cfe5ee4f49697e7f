"""Rules with votes, changed by the operations of an answer: all of them or none.

Votes are kept by item id. Where a branch of generations is left, its rules go and their votes stay:
a rule that comes back to nothing starts anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from instar.asking import Refused, fenced_list
from instar.types import MemoryItem, MemoryOp, OpKind, Trajectory
from memory.distill._drafts import Draft, draft, joined, lesson, origin, proofs, safe
from memory.distill.base import least_trusted

__all__ = ["NEW", "Op", "Rulebook", "operations"]

NEW = 2
"""Votes of a new rule."""

_ORDER = ("REMOVE", "AGREE", "EDIT", "ADD")
_FIELDS = {"REMOVE": {"id"}, "AGREE": {"id"}, "EDIT": {"id", "content"}}


class Op(NamedTuple):
    """An operation of an answer.

    Attributes:
        id: Item id of the rule that is meant; None for ADD.
        content: The new text of EDIT.
        written: The rule of ADD.
    """

    name: str
    id: str | None = None
    content: str = ""
    written: Draft | None = None


def operations(text: str, labels: Mapping[str, str]) -> list[Op]:
    """The operations of an answer: removals first, then agreement, edits and additions.

    Args:
        text: The answer.
        labels: Item id by the label that the model was shown.

    Raises:
        Refused: It has another form, names a rule that was not shown, or one twice.
    """
    found = [_operation(entry, labels) for entry in fenced_list(text)]
    named = [op.id for op in found if op.id is not None]
    if len(set(named)) < len(named):
        raise Refused("one rule is named twice", text[-200:])
    return sorted(found, key=lambda op: _ORDER.index(op.name))


def _operation(entry: Mapping[str, str], labels: Mapping[str, str]) -> Op:
    name = entry.get("op", "")
    rest = {k: v for k, v in entry.items() if k != "op"}
    if name == "ADD":
        return Op(name, written=draft(rest))
    if set(rest) != _FIELDS.get(name):
        raise Refused("other fields than asked for", str(dict(entry)))
    if rest["id"] not in labels:
        raise Refused("an unknown rule", rest["id"])
    return Op(name, labels[rest["id"]], " ".join(rest.get("content", "").split()))


class Rulebook(NamedTuple):
    """Rules with votes.

    Attributes:
        bank: Items visible now, by id; a rule that stands there already is taken over.
        votes: By id of each that is or was a rule.
        rules: By id.
        size: At most so many rules in a namespace.
        hard: Votes that a removal takes from a full list.
    """

    bank: Mapping[str, MemoryItem]
    votes: Mapping[str, int]
    rules: Mapping[str, MemoryItem]
    size: int
    hard: int

    @classmethod
    def open(
        cls, bank: Iterable[MemoryItem], votes: Mapping[str, int], size: int, hard: int
    ) -> Rulebook:
        """The book as a bank shows it."""
        visible = {i.id: i for i in bank}
        rules = {id: i for id, i in visible.items() if id in votes}
        return cls(visible, votes, rules, size, hard)

    def of(self, namespace: str) -> list[MemoryItem]:
        """The rules of a namespace, the oldest first."""
        return [i for i in self.rules.values() if i.namespace == namespace]

    def after(self, ops: Sequence[Op], sources: Sequence[Trajectory]) -> Rulebook:
        """The book once an answer about some attempts at a task is carried out.

        Raises:
            Refused: A text may not stand in a prompt, there is no room, or a pinned rule would change.
        """
        namespace = sources[0].task.namespace
        less = self.hard if len(self.of(namespace)) >= self.size else 1
        book = self
        for op in ops:
            book = book._after(op, sources, less)
        if len(book.of(namespace)) > max(self.size, len(self.of(namespace))):
            raise Refused("no room for another rule")
        return book

    def _after(self, op: Op, sources: Sequence[Trajectory], less: int) -> Rulebook:
        if op.written is not None:
            return self._add(lesson(op.written, sources, 1), sources)
        assert op.id is not None
        item, votes = self.rules[op.id], self.votes[op.id]
        if op.name == "REMOVE":
            return self._less(item, votes - less)
        if op.name == "EDIT" and item.pinned:
            raise Refused("a person has pinned the rule", op.content)
        if op.name == "EDIT":
            return self._put(_edited(item, op.content, sources), votes + 1)
        return self._put(joined(item, sources), votes + 1)

    def _add(self, item: MemoryItem, sources: Sequence[Trajectory]) -> Rulebook:
        if item.id in self.rules:
            return self._put(joined(self.rules[item.id], sources), self.votes[item.id] + 1)
        known = self.bank.get(item.id)
        return self._put(joined(known, sources) if known else item, NEW)

    def _put(self, item: MemoryItem, votes: int) -> Rulebook:
        rules, counted = {**self.rules, item.id: item}, {**self.votes, item.id: votes}
        return self._replace(rules=rules, votes=counted)

    def _less(self, item: MemoryItem, votes: int) -> Rulebook:
        if votes > 0 or item.pinned:
            return self._put(item, max(votes, 1))
        rules = {k: v for k, v in self.rules.items() if k != item.id}
        return self._replace(rules=rules, votes={**self.votes, item.id: NEW})

    def deltas(self) -> list[MemoryOp]:
        """The changes that make the bank hold these rules."""
        gone = [id for id in self.votes if id in self.bank and id not in self.rules]
        ops = [MemoryOp(kind=OpKind.RETIRE, target=id, reason="no votes left") for id in gone]
        for id, item in self.rules.items():
            if item != self.bank.get(id):
                kind = OpKind.EDIT if id in self.bank else OpKind.ADD
                target = id if id in self.bank else None
                reason = f"{self.votes[id]} votes"
                ops.append(MemoryOp(kind=kind, target=target, item=item, reason=reason))
        return ops


def _edited(item: MemoryItem, content: str, sources: Sequence[Trajectory]) -> MemoryItem:
    """The rule with another text, which what proved the old one does not prove."""
    more: dict[str, object] = {"content": content, "support": proofs(sources)}
    more["origin"] = least_trusted([item.origin, origin(sources)])
    fresh = [s.id for s in sources if s.id not in item.sources]
    return safe(item.model_copy(update={**more, "sources": (*item.sources, *fresh)}))
