"""Routines as a model writes them: calls of tools, one a line, with a name for each value that differs.

A name (``$order``) stands in the routine's purpose, or a line before says that its result gives it.
What belongs to one task alone, a call of no tool, a single call and a sequence that no success that
was shown has are signs that it was not induced, and of such an answer nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from instar.asking import Refused, fenced_list
from memory.distill._examples import Example
from memory.distill.base import FINISH

__all__ = ["FORM", "Routine", "routines"]

FORM = """\
Think if you need to. Then end your answer with one fenced JSON list:
```json
[{"title": "...", "when": "...", "calls": "..."}]
```
At most %d objects, each with these three texts; an empty list where nothing is worth keeping.
title: up to ten words. when: what the routine gets done, worded as a task is worded.
calls: two calls or more in their order, one a line (\\n), each written as the records write calls.
Write a name such as $order for what belongs to one task alone, and the value itself for what was the
same each time. A name stands in when too; or else the line that finds its value ends with it, as in:
look_up $customer gives $order"""

_FIELDS = {"title", "when", "calls"}
_NAME = re.compile(r"\$[a-z_]\w*", re.IGNORECASE)
_GIVES = re.compile(r"(.+?) gives (\$[a-z_]\w*(?:, \$[a-z_]\w*)*)", re.IGNORECASE)
_NUMBERED = re.compile(r"\w*\d\w*|\S+@\S+")
_LEAST = 2


class Routine(NamedTuple):
    """A sequence of calls.

    Attributes:
        calls: On one line, as a memory says them.
        tools: Names of the tools in order, the last word of the agent left out.
    """

    title: str
    when: str
    calls: str
    tools: tuple[str, ...]


def routines(text: str, most: int, examples: Sequence[Example]) -> list[Routine]:
    """The routines of an answer in the form of `FORM`.

    Args:
        text: The answer.
        most: How many at most.
        examples: What the model was shown.

    Raises:
        Refused: It has another form, or one of them was not induced from the examples.
    """
    entries = fenced_list(text)
    if len(entries) > most:
        raise Refused("more memories than asked for", str(len(entries)))
    found = []
    for entry in entries:
        if set(entry) != _FIELDS:
            raise Refused("other fields than asked for", str(sorted(entry)))
        title, when = (" ".join(entry[name].split()) for name in ("title", "when"))
        found.append(_routine(title, when, entry["calls"], examples))
    return found


def _routine(title: str, when: str, text: str, examples: Sequence[Example]) -> Routine:
    lines = [" ".join(line.split()) for line in text.split("\n") if line.strip()]
    names = tuple(line.partition(" ")[0] for line in lines)
    known = {tool for e in examples for tool in e.tools} | {FINISH}
    if not set(names) <= known:
        raise Refused("a call of no tool at hand", text)
    tools = tuple(n for n in names if n != FINISH)
    if len(tools) < _LEAST:
        raise Refused("fewer than two calls", text)
    if not any(e.has(tools) for e in examples):
        raise Refused("calls that no record shows in this order", text)
    _check_names(when, lines)
    own = {value for e in examples for value in _NUMBERED.findall(e.task)}
    if own & set(_NUMBERED.findall(" ".join([when, *lines]))):
        raise Refused("a value of one task", text)
    return Routine(title, when, "; ".join(lines), tools)


def _check_names(when: str, lines: Sequence[str]) -> None:
    """See that each name is told before it is used."""
    told = set(_NAME.findall(when))
    for line in lines:
        gives = _GIVES.fullmatch(line)
        call, given = gives.groups() if gives else (line, "")
        if not set(_NAME.findall(call)) <= told:
            raise Refused("a name that nothing fills", line)
        told |= set(_NAME.findall(given))
