"""What can be asked about the entries of a page: to look something up, and to act where it stands.

Every step cites the lines that decide it, as the page has them.
"""

from __future__ import annotations

from dataclasses import replace

from finetune.pocket import _pages_wording as wording
from finetune.pocket._pages_model import Entry, Fact, Item, quoted
from finetune.pocket._pages_tasks import Step, Tasks, make_step

__all__ = ["answer", "copied", "extreme", "read_act", "reading"]

_SMALLEST = ("lowest", "smallest", "least")
_LARGEST = ("highest", "largest", "greatest")


def _answered(text: str, value: str, said: str) -> Step:
    return Step(text, f"finish {quoted(value)}", "", "table", said=said)


def _pairs(tasks: Tasks) -> list[tuple[Entry, Fact]]:
    return [(e, f) for e in tasks.page.entries for f in e.facts]


def _phrase(tasks: Tasks, frames: tuple[str, ...], entry: Entry, fact: Fact, called: str) -> str:
    rng = tasks.rng
    return rng.choice(frames).format(
        c=wording.shown(rng, fact.column), k=wording.shown(rng, entry.key), o=called
    )


def answer(tasks: Tasks) -> Step | None:
    """The value of an entry, or the entry that has a value."""
    pairs = _pairs(tasks)
    if not pairs:
        return None
    entry, fact = tasks.rng.choice(pairs)
    if entry.key and tasks.rng.random() < 0.3:
        if sum(f.column == fact.column and f.value == fact.value for _, f in pairs) > 1:
            return None
        rng = tasks.rng
        shown, column = wording.shown(rng, fact.value), wording.shown(rng, fact.column)
        text = rng.choice(wording.WHICH).format(c=column, x=shown)
        return _answered(text, entry.key, fact.said)
    frames = wording.ASK if entry.key else wording.ASK_BARE
    return _answered(_phrase(tasks, frames, entry, fact, ""), fact.value, fact.said)


def copied(tasks: Tasks) -> Step | None:
    """Enter the value of an entry into a field."""
    pairs = _pairs(tasks)
    fields = [e for e in tasks.free if e.role in ("textbox", "searchbox", "spinbutton")]
    if not pairs or not fields:
        return None
    field = tasks.rng.choice(fields)
    entry, fact = tasks.rng.choice(pairs)
    called = tasks.object(field)
    unfit = field.role == "spinbutton" and not fact.value.isdigit()
    if unfit or called is None or fact.value in field.value:
        return None
    frames = wording.COPY if entry.key else wording.COPY_BARE
    text = _phrase(tasks, frames, entry, fact, called)
    return replace(make_step(text, "fill", field, "table", fact.value), said=fact.said)


def read_act(tasks: Tasks) -> Step | None:
    """Act on what belongs to an entry."""
    entries = [e for e in tasks.page.entries if e.actions]
    if not entries:
        return None
    entry = tasks.rng.choice(entries)
    step = _act(tasks, entry, tasks.rng.choice(entry.actions))
    return replace(step, said=entry.said) if step else None


def _act(tasks: Tasks, entry: Entry, item: Item) -> Step | None:
    rng = tasks.rng
    if item.name == entry.key:
        return tasks.click(item)
    if not item.name:
        key = wording.shown(rng, entry.key)
        called = rng.choice(("the row of {k}", "{k}", "the line {k}", "the box at {k}"))
        return tasks.tick(item, called=called.format(k=key))
    key, name = wording.shown(rng, entry.key), wording.shown(rng, item.name)
    role = wording.role_word(rng, item.role)
    if rng.random() < 0.2:
        text = f"{name} {key}"
    else:
        called = rng.choice((name, name, f"{role} {name}", f"the {name} {role}"))
        verb = wording.verb(rng, item.role)
        text = rng.choice(wording.ACT).format(v=verb, a=called, k=key)
    return make_step(text, "click", item, "table")


def extreme(tasks: Tasks) -> Step | None:
    """The entry with the highest or lowest number in a column: its name, or its action."""
    columns: dict[str, list[tuple[int, Entry, Fact]]] = {}
    for entry, fact in _pairs(tasks):
        if entry.key and fact.value.isdigit() and len(fact.value) <= 2:
            columns.setdefault(fact.column, []).append((int(fact.value), entry, fact))
    full = [c for c in columns.values() if len(c) == len(tasks.page.entries) > 1]
    if not full:
        return None
    rng = tasks.rng
    ranked = sorted(rng.choice(full), key=lambda n: n[0])
    largest = rng.random() < 0.5
    best, next_best = (ranked[-1], ranked[-2]) if largest else (ranked[0], ranked[1])
    if best[0] == next_best[0]:
        return None
    most = rng.choice(_LARGEST if largest else _SMALLEST)
    _, entry, fact = best
    clicks = [a for a in entry.actions if a.role in ("button", "link")]
    if clicks and rng.random() < 0.6:
        key = f"the one with the {most} {wording.shown(rng, fact.column)}"
        item = rng.choice(clicks)
        if item.name == entry.key:
            step = tasks.click(item, called=key)
        else:
            verb, name = wording.verb(rng, item.role), wording.shown(rng, item.name)
            text = rng.choice(wording.ACT).format(v=verb, a=name, k=key)
            step = make_step(text, "click", item, "table")
        return replace(step, said=fact.said) if step else None
    text = rng.choice(wording.EXTREME).format(m=most, c=wording.shown(rng, fact.column))
    return _answered(text, entry.key, fact.said)


def reading(tasks: Tasks) -> Step | None:
    """A step about an entry, of any kind."""
    kinds = (answer, copied, read_act, extreme)
    step = tasks.rng.choices(kinds, (0.42, 0.2, 0.32, 0.06))[0](tasks)
    return replace(step, skill="table") if step else None
