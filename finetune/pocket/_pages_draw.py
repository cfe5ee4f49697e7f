"""Drawing plain pages: controls of every kind in made-up order, with made-up names and states."""

from __future__ import annotations

from collections.abc import Callable

from finetune.pocket._pages_model import FIELDS, Item, Page
from finetune.pocket.office import Words
from finetune.pocket.words import digits

__all__ = ["SUBMITS", "Maker", "controls", "draw_value", "settled"]

_CLONES = ("button", "link", "checkbox", "radio", "tab", "textbox")
SUBMITS = ("submit", "ok", "send", "save", "go", "next", "continue", "search")
_STYLES: dict[Callable[[str], str], float] = {
    str: 0.55,
    str.capitalize: 0.27,
    str.title: 0.12,
    str.upper: 0.06,
}


class Maker:
    """Makes the items of one page: no name and no reference twice, but for wanted clones."""

    def __init__(self, words: Words) -> None:
        self.words, self.rng = words, words.rng
        self._refs = iter(self.rng.sample(range(100), 100))
        self._taken: set[str] = set()
        self._named: dict[str, str] = {}
        self._style = self._draw_style()
        self._mixed = self.rng.random() < 0.15

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return self.rng.random() < share

    def _draw_style(self) -> Callable[[str], str]:
        return self.rng.choices(list(_STYLES), list(_STYLES.values()))[0]

    def _fresh(self, draw: Callable[[], str]) -> str:
        while True:
            name = draw()
            style = self._draw_style() if self._mixed else self._style
            name = name if "@" in name else style(name)
            if name.lower() not in self._taken:
                self._taken.add(name.lower())
                return name

    def word(self) -> str:
        """A word that is new to the page."""
        return self._fresh(self.words.word)

    def name(self) -> str:
        """A name that is new to the page: one to three words, a number, a code or an address."""
        roll = self.rng.random()
        draws = (self._three, self.words.word, self.words.name)
        return self._fresh(draws[0 if roll < 0.06 else 1 if roll < 0.5 else 2])

    def _three(self) -> str:
        return " ".join(self.words.word() for _ in range(3))

    def sentence(self, least: int = 3, most: int = 9) -> str:
        """Words that mean nothing."""
        said = " ".join(self.words.word() for _ in range(self.rng.randint(least, most)))
        return said.capitalize() + "." if self.chance(0.5) else said

    def item(
        self,
        role: str,
        name: str | None = None,
        value: tuple[str, ...] = (),
        states: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> Item:
        """Something to act on; its name is drawn if none is given, rarely that of another role."""
        if name is None:
            others = [n for n, r in self._named.items() if r != role]
            clone = role in _CLONES and others and self.chance(0.04)
            name = self.rng.choice(others) if clone else self.name()
            if clone:
                del self._named[name]
            elif role in _CLONES:
                self._named[name] = role
        return Item(role, name, f"e{next(self._refs)}", value, states, options)

    def button(self) -> Item:
        """A button in one of its states, rarely without a name."""
        roll = self.rng.random()
        state = {0: ("disabled",), 1: ("expanded",), 2: ("pressed",)}.get(int(roll * 20), ())
        return self.item("button", "" if roll > 0.97 else None, states=state)

    def link(self) -> Item:
        """A link."""
        return self.item("link")

    def several(self, role: str, state: str = "", least: int = 2, most: int = 5) -> list[Item]:
        """A group of which one at most has the state."""
        count = self.rng.randint(least, most)
        chosen = self.rng.randrange(count) if state and self.chance(0.5) else -1
        return [self.item(role, states=(state,) if i == chosen else ()) for i in range(count)]

    def boxes(self, role: str = "checkbox", most: int = 4) -> list[Item]:
        """Boxes, some of them ticked."""
        count = self.rng.randint(1, most)
        return [
            self.item(role, states=("checked",) if self.chance(0.3) else ()) for _ in range(count)
        ]

    def field(self) -> Item:
        """A field to fill in, often filled."""
        role = self.rng.choice(
            ("textbox",) * 6 + ("searchbox", "spinbutton", "spinbutton", "slider")
        )
        full = role == "slider" or self.chance(0.35)
        value = (draw_value(self.words, role),) if full else ()
        states = ("disabled",) if self.chance(0.03) else ()
        return self.item(role, "" if self.chance(0.06) else None, value, states)

    def combobox(self) -> Item:
        """A list that opens; one option always stands in it."""
        options = tuple(self.name() for _ in range(self.rng.randint(2, 5)))
        if self.chance(0.1):
            options = ("", *options)
        chosen = options[0] if self.chance(0.6) else self.rng.choice(options)
        nameless = "" if self.chance(0.08) else None
        return self.item("combobox", nameless, (chosen,), options=options)

    def listbox(self) -> list[Item]:
        """A list that shows its options."""
        own = self.item("listbox", "" if self.chance(0.2) else None)
        options = self.several("option", "selected", 2, 4)
        value = tuple(o.name for o in options if o.states)
        return [Item("listbox", own.name, own.ref, value), *options]

    def words_only(self) -> list[Item]:
        """A line without anything to act on."""
        role = self.rng.choice(("text", "text", "text", "heading", "heading", "img"))
        return [Item(role, self.sentence() if role == "text" else self.name())]

    def radios(self) -> list[Item]:
        """Radio buttons, often under a label of their own."""
        label = [Item("text", self.word())] if self.chance(0.4) else []
        return [*label, *self.several("radio", "checked", 2, 4)]

    def told(self) -> list[Item]:
        """What the page says of the last action, rarely."""
        if not self.chance(0.12):
            return []
        text = (
            f"{self.word()} {self.rng.choice(('ok', 'done', 'saved', 'sent', self.words.word()))}"
        )
        return [Item("status" if self.chance(0.8) else "alert", text)]


def draw_value(words: Words, role: str) -> str:
    """Something to fill in."""
    rng = words.rng
    if role == "slider":
        return str(rng.randint(0, 99))
    if role == "spinbutton":
        return digits(rng, rng.choice((1, 2, 2, 3)))
    roll = rng.random()
    if roll < 0.6:
        return words.name()
    if roll < 0.8:
        return words.word().capitalize()
    joined = " ".join(words.word() for _ in range(rng.randint(2, 4)))
    return joined.title() if roll > 0.9 else joined


def _blocks(maker: Maker) -> list[Callable[[], list[Item]]]:
    """Ways to make a few items."""
    rng = maker.rng
    many: list[Callable[[], list[Item]]] = [
        lambda: [maker.button() for _ in range(rng.randint(1, 4))],
        lambda: [maker.link() for _ in range(rng.randint(1, 5))],
        lambda: [maker.field() for _ in range(rng.randint(1, 3))],
        lambda: [maker.combobox()],
        maker.boxes,
        maker.radios,
    ]
    few: list[Callable[[], list[Item]]] = [
        maker.listbox,
        lambda: maker.several("tab", "selected"),
        lambda: maker.several("menuitem"),
        lambda: maker.several("treeitem", "", 2, 4),
        lambda: maker.several("generic", "", 1, 3),
        lambda: maker.boxes("switch", 3),
    ]
    return [*many, *many, *few, maker.words_only, maker.words_only, maker.words_only]


def _mixed(maker: Maker) -> list[Item]:
    size = maker.rng.randint(3, 13)
    found: list[Item] = [maker.item("button")]
    blocks = _blocks(maker)
    while len(found) < size:
        block = maker.rng.choice(blocks)()
        at = maker.rng.choice((0, len(found)))
        found[at:at] = block
    return found


def _form(maker: Maker) -> list[Item]:
    """Fields and boxes, and what sends them off at the end."""
    rng = maker.rng
    blocks: list[Callable[[], list[Item]]] = [
        *[lambda: [maker.field()]] * 4,
        *[lambda: [maker.combobox()]] * 2,
        maker.boxes,
        maker.radios,
    ]
    head = maker.words_only() if maker.chance(0.5) else []
    nav = [maker.link() for _ in range(rng.randint(1, 4))] if maker.chance(0.25) else []
    body = [i for _ in range(rng.randint(2, 5)) for i in rng.choice(blocks)()]
    submit = rng.choice(SUBMITS) if maker.chance(0.6) else None
    if submit and maker.chance(0.5):
        submit = submit.capitalize()
    others = [maker.button() for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    return [*nav, *head, *body, maker.item("button", submit), *others]


def _uniform(maker: Maker) -> list[Item]:
    """Many of one or two kinds."""
    rng = maker.rng
    kinds = ("button", "link", "checkbox", "radio", "tab", "menuitem", "option", "generic")
    roles = rng.sample(kinds, rng.choice((1, 1, 2)))
    count = rng.randint(2, 10) if maker.chance(0.6) else rng.randint(11, 25)
    found = [maker.item(rng.choice(roles)) for _ in range(count)]
    if maker.chance(0.5):
        found.sort(key=lambda i: i.role)
    return [*found, maker.item("button")]


def _few(maker: Maker) -> list[Item]:
    """Hardly anything: a button, perhaps a field."""
    field = maker.item("textbox", "" if maker.chance(0.5) else None)
    found = [field, maker.item("button")] if maker.chance(0.7) else [maker.item("button")]
    more = [maker.link()] if maker.chance(0.3) else []
    return [*found, *more]


def _simple(maker: Maker) -> list[Item]:
    roles = ("button", "button", "link", "textbox", "textbox", "checkbox", "radio", "tab")
    count = maker.rng.randint(1, 6)
    found = [maker.item(maker.rng.choice(roles)) for _ in range(count)]
    found += [maker.item("button"), maker.item("textbox")]
    maker.rng.shuffle(found)
    return found


def settled(maker: Maker, items: list[Item]) -> tuple[Item, ...]:
    """Put a heading where a text would be taken for the label of a nameless field."""
    found: list[Item] = []
    for item in items:
        nameless = item.role in FIELDS | {"combobox"} and not item.name
        if nameless and found and found[-1].role in ("text", "row"):
            found.append(Item("heading", maker.word()))
        found.append(item)
    return tuple(found)


def controls(maker: Maker, simple: bool) -> Page:
    """A page of things to act on."""
    title = maker.name() if maker.chance(0.95) else ""
    if simple:
        return Page(title, tuple(_simple(maker)))
    look = maker.rng.choices((_mixed, _form, _uniform, _few), (0.45, 0.33, 0.15, 0.07))[0]
    heading = [Item("heading", title)] if title and maker.chance(0.3) else []
    items = look(maker)
    told = maker.told()
    items = [*told, *items] if maker.chance(0.5) else [*items, *told]
    return Page(title, settled(maker, [*heading, *items]))
