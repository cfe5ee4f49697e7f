"""Training rows: what comes first is shared, then as many questions as fit, each with its answer.

A row is a prefix (tools, memories, page) and several queries that see the prefix and themselves
only. Every query is one turn exactly as `instar.render` and the chat template write it; a test
holds the two together. Sorts of row: an office through its tools, an office through its pages,
plain pages with plain requests, tools of all kinds, and episodes to be remembered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from finetune.pocket.calls import call_row
from finetune.pocket.cases import SYSTEM
from finetune.pocket.office import Office, Words
from finetune.pocket.office_rows import asked, listed, tools_row, web_row
from finetune.pocket.pages import WEB_TOOLS, Asked, plain_row
from finetune.pocket.query import Query, Row
from finetune.pocket.reflections import REFLECT, reflect_row

__all__ = ["Mixture", "draw_row"]


@dataclass(frozen=True)
class Mixture:
    """What rows are made of; ``memory`` and ``recital`` are switched off to see what they are worth.

    Attributes:
        memory: Whether there are memories to follow, or to leave aside.
        recital: Whether an answer first says what it follows from: a memory, a refusal, a line.
        simple: Whether all rows are of the first sort that is learnt: small pages and bare offices.
    """

    memory: bool = True
    recital: bool = True
    simple: bool = False


_SHARES = {"tools": 0.38, "web": 0.28, "page": 0.22, "calls": 0.09, "reflect": 0.03}
_SIMPLE = {"tools": 0.25, "page": 0.75}


def _query(one: Asked) -> Query:
    body = "\n" + asked(list(one.done), one.task)
    return Query(body, f"{one.said}<|call|>{one.call}", one.skill)


def _page_row(words: Words, count: int, mixture: Mixture) -> Row:
    page, pairs = plain_row(words, count, mixture.simple)
    head = f"{listed(*WEB_TOOLS)}<|system|>{SYSTEM}<|user|>{page}"
    return Row(head, tuple(_query(a) for a in pairs))


def _call_row(words: Words, count: int) -> Row:
    tools, seen, pairs = call_row(words, count)
    head = f"{listed(*tools, 'finish answer?')}<|system|>{SYSTEM}<|user|>{seen}"
    queries = tuple(_query(a) for a in pairs)
    if not seen:
        queries = tuple(replace(q, body=q.body.removeprefix("\n")) for q in queries)
    return Row(head, queries)


def _reflect_row(words: Words, count: int) -> Row:
    prefix, pairs = reflect_row(words, count)
    head = f"<|system|>{REFLECT}<|user|>{prefix}"
    return Row(head, tuple(Query(body, answer, "reflect") for body, answer in pairs))


def _bare(row: Row) -> Row:
    """The same answers without what is said before the call."""
    queries = (
        q if q.skill == "reflect" else replace(q, answer=q.answer[q.answer.index("<|call|>") :])
        for q in row.queries
    )
    return Row(row.prefix, tuple(queries))


def _row(words: Words, count: int, mixture: Mixture) -> Row | None:
    shares = _SIMPLE if mixture.simple else _SHARES
    sort = words.rng.choices(list(shares), list(shares.values()))[0]
    if sort == "page":
        return _page_row(words, count, mixture)
    if sort == "calls":
        return _call_row(words, count)
    if sort == "reflect":
        return _reflect_row(words, count)
    office = Office.draw(words)
    if not office.mains:
        return None
    if sort == "web":
        return web_row(office, count, mixture.memory)
    return tools_row(office, count, mixture.memory and not mixture.simple)


def draw_row(
    rng: random.Random,
    held_out: bool,
    count: int,
    pool: list[str] | None = None,
    mixture: Mixture | None = None,
) -> Row:
    """A row of a random sort with about ``count`` queries."""
    words = Words(rng, held_out, pool)
    mixture = mixture or Mixture()
    while True:
        row = _row(words, count, mixture)
        if row and row.queries:
            return row if mixture.recital else _bare(row)
