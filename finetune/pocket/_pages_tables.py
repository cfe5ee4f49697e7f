"""Drawing pages that say something about things: tables, cards, lists and facts, line by line."""

from __future__ import annotations

from collections.abc import Callable

from finetune.pocket._pages_draw import Maker, settled
from finetune.pocket._pages_model import Entry, Fact, Item, Page
from finetune.pocket.words import digits

__all__ = ["listed"]

_Drawn = tuple[list[Item], list[Entry]]
_ACTIONS = ("none", "none", "button", "button", "two", "link", "key", "box")


def _cell(maker: Maker, numeric: bool) -> str:
    rng = maker.rng
    return digits(rng, rng.choice((1, 2, 2))) if numeric else maker.words.name()


def _actions(maker: Maker, kind: str, names: list[str]) -> tuple[Item, ...]:
    if kind == "box":
        return (maker.item("checkbox", "", states=("checked",) if maker.chance(0.25) else ()),)
    role = "link" if kind == "link" else "button"
    shown = names if kind == "two" else names[:1]
    return tuple(maker.item(role, n) for n in shown)


def _table(maker: Maker) -> _Drawn:
    """Rows of cells, mostly under a header."""
    rng = maker.rng
    columns = [maker.word() for _ in range(rng.randint(2, 4))]
    numeric = [maker.chance(0.5) for _ in columns]
    kind = rng.choice(_ACTIONS)
    names = [maker.word(), maker.word()]
    header = Item("row", cells=tuple(columns)) if kind == "none" or maker.chance(0.85) else None
    items = [header] if header else []
    entries = []
    for _ in range(rng.randint(2, 5)):
        key = maker.name()
        rest = [_cell(maker, n) for n in numeric[1:]]
        if kind == "key":
            actions: tuple[Item, ...] = (maker.item("link", key),)
            row = Item("row", cells=(*actions, *rest))
        else:
            actions = () if kind == "none" else _actions(maker, kind, names)
            row = Item("row", cells=(key, *rest, *actions))
        said = f"{header.line()}\n{row.line()}" if header else ""
        pairs = zip(columns[1:], rest, strict=True)
        facts = tuple(Fact(c, v, said) for c, v in pairs) if header else ()
        items.append(row)
        entries.append(Entry(key, row.line(), facts, actions))
    return items, entries


def _cards(maker: Maker) -> _Drawn:
    """Headings with facts and a button each."""
    rng = maker.rng
    columns = [maker.word() for _ in range(rng.randint(1, 2))]
    name = maker.word() if maker.chance(0.7) else ""
    items: list[Item] = []
    entries = []
    for _ in range(rng.randint(2, 4)):
        head = Item("heading", maker.name())
        texts = [(c, _cell(maker, maker.chance(0.5))) for c in columns]
        lines = [Item("text", f"{c}: {v}") for c, v in texts]
        facts = tuple(
            Fact(c, v, f"{head.line()}\n{i.line()}") for (c, v), i in zip(texts, lines, strict=True)
        )
        actions = (maker.item("button", name),) if name else ()
        items += [head, *lines, *actions]
        entries.append(Entry(head.name, head.line(), facts, actions))
    return items, entries


def _list(maker: Maker) -> _Drawn:
    """Lines of text with the same button after each."""
    kind = maker.rng.choice(("button", "two", "link", "box"))
    names = [maker.word(), maker.word()]
    items: list[Item] = []
    entries = []
    for _ in range(maker.rng.randint(2, 6)):
        line = Item("text", maker.name())
        actions = _actions(maker, kind, names)
        items += [line, *actions]
        entries.append(Entry(line.name, line.line(), (), actions))
    return items, entries


def _facts(maker: Maker) -> _Drawn:
    """What the page is about, fact by fact: in one line each or in two."""
    rng = maker.rng
    two = maker.chance(0.3)
    items: list[Item] = []
    facts = []
    for _ in range(rng.randint(2, 6)):
        column, value = maker.word(), maker.name()
        lines = [column, value] if two else [f"{column}: {value}"]
        texts = [Item("text", t) for t in lines]
        items += texts
        facts.append(Fact(column, value, "\n".join(t.line() for t in texts)))
    return items, [Entry("", "", tuple(facts))]


def listed(maker: Maker) -> Page:
    """A page with entries, and a few things to act on around them."""
    rng = maker.rng
    looks: tuple[Callable[[Maker], _Drawn], ...] = (_table, _cards, _list, _facts)
    items, entries = rng.choices(looks, (0.55, 0.15, 0.12, 0.18))[0](maker)
    title = maker.name() if maker.chance(0.95) else ""
    head = [Item("heading", maker.name())] if maker.chance(0.4) else []
    nav = [maker.link() for _ in range(rng.randint(1, 4))] if maker.chance(0.3) else []
    fields = [maker.field() for _ in range(rng.choice((0, 1, 1, 2)))]
    tail = [*fields, maker.item("button")]
    around = [*maker.told(), *nav, *head]
    if maker.chance(0.3):
        return Page(title, settled(maker, [*around, *tail, *items]), tuple(entries))
    return Page(title, settled(maker, [*around, *items, *tail]), tuple(entries))
