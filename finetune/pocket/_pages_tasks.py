"""What can be asked of the elements of a page: to click, to tick, to fill in and to choose.

A step is one call with the words that ask for it. A step that is *met* is one that the page shows
as done: a request that has it begins after it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from finetune.pocket import _pages_wording as wording
from finetune.pocket._pages_draw import SUBMITS, draw_value
from finetune.pocket._pages_model import FIELDS, Item, Page, quoted
from finetune.pocket.office import Words

__all__ = ["Step", "Tasks", "make_step"]

_LISTS = frozenset(("combobox", "listbox"))
_TICKED = frozenset(("checkbox", "radio"))
_MOST = 6


@dataclass(frozen=True)
class Step:
    """A call and the words that ask for it.

    Attributes:
        past: The call as the history shows it.
        brief: What it is about, for a request that asks for several of its kind at once.
        said: The facts that decide it.
        ref: What it acts on.
    """

    text: str
    call: str
    past: str
    skill: str
    brief: str = ""
    said: str = ""
    ref: str = ""


def make_step(
    text: str, act: str, item: Item, skill: str, value: str | None = None, brief: str = ""
) -> Step:
    """A step on an element."""
    tail = "" if value is None else f" {quoted(value)}"
    name = quoted(item.name)
    call, past = f"{act} {name} {item.ref}{tail}", f"{act} {name}{tail}"
    return Step(text, call, past, skill, brief, ref=item.ref)


class Tasks:
    """What can be asked on one page."""

    def __init__(self, words: Words, page: Page) -> None:
        self.words, self.rng, self.page = words, words.rng, page
        self._names = Counter(e.name.lower() for e in page.elements())
        self._roles = Counter(e.role for e in page.elements())
        self._inner: dict[str, list[Item]] = {}
        self.free = [e for e in self._without_options() if "disabled" not in e.states]

    def _without_options(self) -> list[Item]:
        """What can be acted on, but for entries and for the options that belong to a list."""
        found: list[Item] = []
        for item in self.page.loose():
            if item.role == "option" and found and found[-1].role == "listbox":
                self._inner.setdefault(found[-1].ref, []).append(item)
            else:
                found.append(item)
        return found

    def object(self, item: Item) -> str | None:
        """What a request calls an element, None where nothing tells it from others."""
        if item.name:
            return wording.object_of(self.rng, item, self._names[item.name.lower()] > 1)
        if self._roles[item.role] == 1:
            return f"the {wording.role_word(self.rng, item.role, exact=True)}"
        return None

    def click(self, item: Item, called: str | None = None) -> Step | None:
        """Click it."""
        called = called or self.object(item)
        if called is None:
            return None
        frame = self.rng.choice(wording.CLICK)
        text = frame.format(o=called, v=wording.verb(self.rng, item.role))
        return make_step(text, "click", item, "pick")

    def tick(self, item: Item, met: bool = False, called: str | None = None) -> Step | None:
        """Tick it, or take the tick off."""
        checked = "checked" in item.states
        off = item.role == "checkbox" and checked != met
        called = called or self.object(item)
        if called is None or (checked != met and not off) or (met and not checked):
            return None
        frames = wording.UNCHECK if off else wording.CHECK
        text = self.rng.choice(frames).format(o=called)
        value, brief = ("false", "") if off else (None, called)
        return make_step(text, "check", item, "pick", value, brief)

    def fill(self, item: Item, met: bool = False, called: str | None = None) -> Step | None:
        """Fill it in; what stands in it already if ``met``."""
        current = item.value[0] if item.value else ""
        value = current if met else draw_value(self.words, item.role)
        found = called or self.object(item)
        if found is None or not value or (value == current) != met:
            return None
        if called:
            shown = wording.shown(self.rng, value)
            text = wording.fill_frame(self.rng, False).format(o=called, x=shown)
            return make_step(text, "fill", item, "copy", value)
        return self._filled(item, found, value)

    def _filled(self, item: Item, called: str, value: str) -> Step:
        """In a wording that may leave out what the page makes plain."""
        rng = self.rng
        sole = sum(self._roles[r] for r in FIELDS) == 1
        named = bool(item.name) and self._names[item.name.lower()] == 1
        shown = wording.shown(rng, value)
        if sole and item.role == "searchbox" and rng.random() < 0.6:
            text = rng.choice(wording.SEARCH).format(x=shown)
        elif sole and rng.random() < (0.25 if item.name else 0.7):
            text = rng.choice(wording.ONLY).format(x=shown)
        else:
            name = wording.shown(rng, item.name)
            text = wording.fill_frame(rng, named).format(o=called, s=name, x=shown)
        brief = f"{wording.shown(rng, item.name)} {shown}" if named else ""
        return make_step(text, "fill", item, "copy", value, brief)

    def choose(self, item: Item, met: bool = False) -> Step | None:
        """Choose an option of a list."""
        options = item.options or tuple(o.name for o in self._inner.get(item.ref, []))
        options = tuple(o for o in options if o and (o in item.value) == met)
        if not options:
            return None
        rng = self.rng
        value = rng.choice(options)
        called = self.object(item)
        shown = wording.shown(rng, value)
        if called is None or rng.random() < 0.2:
            text = rng.choice(wording.FIND).format(x=shown)
        else:
            text = rng.choice(wording.CHOOSE).format(x=shown, o=called)
        return make_step(text, "select", item, "copy", value)

    def step(self, item: Item, met: bool) -> Step | None:
        """What can be asked of an element, met or not."""
        if item.role in FIELDS:
            return self.fill(item, met)
        if item.role in _LISTS:
            return self.choose(item, met)
        if item.role in _TICKED:
            return self.tick(item, met)
        return self.click(item)

    def pick(self) -> Step | None:
        """Click or tick one element."""
        item = self.rng.choice(self.free)
        roll = self.rng.random()
        if item.role in FIELDS:
            called = self.object(item)
            if called is None or roll > 0.15:
                return None
            text = self.rng.choice(wording.FOCUS).format(o=called)
            return make_step(text, "click", item, "pick")
        if item.role in _LISTS:
            return None
        if roll < 0.2:
            return self._nth(item)
        if roll < 0.3:
            return self._sole(item)
        if item.role in _TICKED and roll < 0.8:
            return self.tick(item)
        return self.click(item)

    def _sole(self, item: Item) -> Step | None:
        if self._roles[item.role] > 1:
            return None
        role = wording.role_word(self.rng, item.role, exact=True)
        return self.click(item, self.rng.choice((f"the {role}", f"the only {role}")))

    def _nth(self, item: Item, fills: bool = False) -> Step | None:
        """By its place among those of its role, which are counted up first."""
        alike = [e for e in self.page.elements() if e.role == item.role]
        at = alike.index(item)
        if at >= _MOST or len(alike) < 2:
            return None
        which = wording.ordinal(self.rng, at, len(alike))
        called = f"the {which} {wording.role_word(self.rng, item.role, exact=True)}"
        ticks = item.role in _TICKED and self.rng.random() < 0.6
        act = self.fill if fills else self.tick if ticks else self.click
        step = act(item, called=called)
        said = " ".join(f"{i} {quoted(e.name)}" for i, e in enumerate(alike[: at + 1], 1))
        return replace(step, said=said) if step else None

    def copy(self) -> Step | None:
        """Fill in a field or choose from a list."""
        items = [e for e in self.free if e.role in FIELDS | _LISTS]
        if not items:
            return None
        item = self.rng.choice(items)
        if item.role == "textbox" and self.rng.random() < 0.12 and self._roles["textbox"] > 1:
            return self._nth(item, fills=True)
        return self.step(item, met=False)

    def submit(self) -> Step | None:
        """Press a button, the only one without calling it by name."""
        buttons = [e for e in self.free if e.role == "button" and e.name]
        if not buttons:
            return None
        last = buttons[-1] if self.rng.random() < 0.5 else self.rng.choice(buttons)
        plain = last.name.lower() in SUBMITS and self._names[last.name.lower()] == 1
        lower = plain and self.rng.random() < 0.3
        step = self.click(last, last.name.lower() if lower else None)
        if step and self._roles["button"] == 1 and self.rng.random() < 0.4:
            return replace(step, text=self.rng.choice(wording.SUBMIT))
        return step

    def several(self, done: int, most: int) -> tuple[list[Step], list[Step]]:
        """Steps on several elements: up to ``done`` that are met, up to ``most`` that are not."""
        states = [e for e in self.free if e.role in FIELDS | _LISTS | _TICKED]
        items = states if states and self.rng.random() < 0.8 else self.free
        met = self._on(self.rng.sample(items, len(items)), True)[:done]
        gone = {i.ref for i, _ in met}
        radio = any(i.role == "radio" for i, _ in met)
        rest = [i for i in items if i.ref not in gone and not (radio and i.role == "radio")]
        unmet = self._on(self.rng.sample(rest, len(rest)), False)[:most]
        return [s for _, s in met], [s for _, s in unmet]

    def _on(self, items: list[Item], met: bool) -> list[tuple[Item, Step]]:
        """Steps on elements in that order, on one radio button at most."""
        radios = [e.ref for e in items if e.role == "radio"]
        used = [e for e in items if e.role != "radio" or e.ref == radios[0]]
        return [(e, s) for e in used if (s := self.step(e, met))]
