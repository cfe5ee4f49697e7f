"""From what a model wrote to memories: two strict forms, checks of the text, and changes by id.

A slot (``$1``) that the content speaks of must be one of the kind of task, or nobody could fill it.
The origin is that of the least trusted text which the model had read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from instar.asking import Refused, fenced_list
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Origin, Trajectory
from memory.distill._records import passed
from memory.distill.base import FINISH, origin_behind, stable_id, verified
from memory.fit import complaint

__all__ = [
    "FORM",
    "Draft",
    "changes",
    "draft",
    "drafts",
    "experience",
    "joined",
    "lesson",
    "origin",
    "proofs",
    "safe",
    "slot_lines",
]

FORM = """\
Think if you need to. Then end your answer with one fenced JSON list:
```json
[{"title": "...", "when": "...", "content": "..."}]
```
At most %d objects, each with these three texts; an empty list where nothing is worth keeping.
title: up to ten words. when: the kind of task that it helps with, worded as such a task is worded.
content: one to three sentences of advice that can be followed without having seen a record.
Write $1, $2 ... for what belongs to one task alone (numbers, names, addresses), numbered as in when."""

_FIELDS = ("title", "when", "content")
_LIMITS = {"title": 120, "when": 300, "content": 1000}
_SLOT = re.compile(r"\$[1-9](?![\d.])")
_SLOT_LINES = re.compile(r"title: (.+)\nwhen: (.+)\ncontent: (.+)")


class Draft(NamedTuple):
    """The three texts of a memory."""

    title: str
    when: str
    content: str


def draft(entry: Mapping[str, str]) -> Draft:
    """The texts of an object that has them and nothing else.

    Raises:
        Refused: It has others.
    """
    if set(entry) != set(_FIELDS):
        raise Refused("other fields than asked for", str(sorted(entry)))
    return Draft(*(" ".join(entry[name].split()) for name in _FIELDS))


def drafts(text: str, most: int) -> list[Draft]:
    """The memories of an answer in the form of `FORM`.

    Raises:
        Refused: It has another form, or more of them.
    """
    entries = fenced_list(text)
    if len(entries) > most:
        raise Refused("more memories than asked for", str(len(entries)))
    return [draft(e) for e in entries]


def slot_lines(text: str) -> list[Draft]:
    """The one memory that the pocket model writes, a line a text.

    Raises:
        Refused: These are not the three lines.
    """
    found = _SLOT_LINES.fullmatch(text.strip())
    if found is None:
        raise Refused("not the three lines", text[:200])
    return [Draft(*(" ".join(part.split()) for part in found.groups()))]


def lesson(
    written: Draft, sources: Sequence[Trajectory], polarity: int, workflow: bool = False
) -> MemoryItem:
    """A draft as an item.

    Args:
        written: The texts.
        sources: What the model had read, all of one task.
        polarity: +1 for what worked, -1 for what went wrong.
        workflow: Whether the content is a sequence of calls, which needs its tools at hand.

    Raises:
        Refused: The text may not stand in a prompt.
    """
    task, tools = sources[0].task, {t.name for s in sources for t in s.tools}
    kind = MemoryKind.WORKFLOW if workflow else MemoryKind.LESSON
    used = _called(written.content, tools) if workflow else ()
    return safe(
        MemoryItem(
            id=stable_id(task.namespace, written.when, kind, used, written.content),
            title=written.title,
            when=written.when,
            content=written.content,
            kind=kind,
            polarity=polarity,
            group=task.group,
            namespace=task.namespace,
            origin=origin(sources),
            tools=used,
            sources=tuple(s.id for s in sources),
            support=proofs(sources),
        )
    )


def experience(items: Sequence[MemoryItem], source: Trajectory) -> MemoryItem:
    """All memories of one episode as one item, found by the words of its task.

    Each keeps its own occasion in the text, since its slots are numbered as in that.

    Args:
        items: At least one, each fit for a prompt.
        source: What all of them were made from.

    Raises:
        Refused: Together they are too long, or the words of the task may not stand in a prompt.
    """
    when = " ".join(source.task.instruction.split())[: _LIMITS["when"]]
    content = "; ".join(f"{i.title} ({i.when}): {i.content}" for i in items)
    kind = items[0].kind
    id = stable_id(source.task.namespace, when, kind, (), content)
    # A title of its own would be compared with the task too.
    whole = items[0].model_copy(update={"id": id, "title": when, "when": when, "content": content})
    return _fit(whole)


def origin(sources: Iterable[Trajectory]) -> Origin:
    """Class of the least trusted text in some episodes."""
    return origin_behind(tool for s in sources for tool in s.tools)


def proofs(sources: Sequence[Trajectory]) -> int:
    """How many verified successes vouch for what a model wrote about some episodes.

    None where it had read pages: their words may stand in what it wrote, and that an episode went well
    beside them does not make them true. Such a memory proves itself in practice, by being withheld.
    """
    return 0 if origin(sources) is Origin.WEB_PAGE else sum(verified(s) for s in sources)


def safe(item: MemoryItem) -> MemoryItem:
    """The item itself.

    Raises:
        Refused: Its text may not stand in a prompt, is too long, or has slots that nothing fills.
    """
    for field, limit in _LIMITS.items():
        if not 0 < len(getattr(item, field)) <= limit:
            raise Refused("a text is empty or too long", field)
    _fit(item)
    if not set(_SLOT.findall(item.content)) <= set(_SLOT.findall(item.when)):
        raise Refused("a slot that nothing fills", item.content)
    return item


def _fit(item: MemoryItem) -> MemoryItem:
    found = complaint(item)
    if found:
        raise Refused("text that may not stand in a prompt", ": ".join(found))
    if "```" in item.content + item.when + item.title:
        raise Refused("text that may not stand in a prompt", "a fence")
    return item


def _called(content: str, tools: set[str]) -> tuple[str, ...]:
    """Names of the tools in a sequence of calls.

    Raises:
        Refused: One was not at hand.
    """
    names = {part.strip().partition(" ")[0] for part in content.split("; ")} - {FINISH}
    if not names <= tools:
        raise Refused("a call of no tool at hand", content)
    return tuple(sorted(names))


def joined(before: MemoryItem, sources: Iterable[Trajectory]) -> MemoryItem:
    """An item with more trajectories behind it; those that it has count once."""
    fresh = [s for s in sources if s.id not in before.sources]
    more = {
        "sources": (*before.sources, *(s.id for s in fresh)),
        "support": before.support + proofs(fresh),
    }
    return before.model_copy(update=more) if fresh else before


def changes(
    found: Iterable[tuple[MemoryItem, Sequence[Trajectory]]], bank: Iterable[MemoryItem]
) -> list[MemoryOp]:
    """New items, and more sources for those that are known.

    Args:
        found: Items, each with what it was made from.
        bank: Items visible now.
    """
    known = {i.id: i for i in bank}
    now: dict[str, MemoryItem] = {}
    told: dict[str, list[Trajectory]] = {}
    for item, sources in found:
        before = now.get(item.id) or known.get(item.id)
        now[item.id] = joined(before, sources) if before else item
        told.setdefault(item.id, []).extend(sources)
    return [
        _change(item, item.id in known, told[id])
        for id, item in now.items()
        if item != known.get(id)
    ]


def _change(item: MemoryItem, known: bool, told: Sequence[Trajectory]) -> MemoryOp:
    good = sum(passed(t.score) for t in told)
    reason = f"a model wrote it of {good} successes and {len(told) - good} failures"
    kind = OpKind.EDIT if known else OpKind.ADD
    return MemoryOp(kind=kind, target=item.id if known else None, item=item, reason=reason)
