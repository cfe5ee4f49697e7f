"""A page as text for a model: one line an element, cut to a budget.

Playwright's accessibility snapshot (``aria_snapshot(mode="ai")``) is parsed into a tree and written
again in a compact form: what can be acted on keeps a reference, containers vanish, table rows become
one line. References are drawn anew for each snapshot, so that neither a model nor a memory can
learn them by heart.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tools._tree import Node, name_fields, parse

__all__ = ["Element", "Snapshot", "count_tokens", "take", "take_tree"]

INTERACTIVE = frozenset(
    [
        "button",
        "link",
        "textbox",
        "searchbox",
        "combobox",
        "listbox",
        "option",
        "checkbox",
        "radio",
        "switch",
        "slider",
        "spinbutton",
        "tab",
        "menuitem",
        "menuitemcheckbox",
        "menuitemradio",
        "treeitem",
    ]
)
_VALUED = frozenset(["textbox", "searchbox", "combobox", "slider", "spinbutton", "generic"])
_FILLED = _VALUED - {"generic"}
_LOUD = frozenset(("alert", "status"))
_SPOKEN = frozenset(("alert", "status", "heading", "img"))
_STATES = ("checked", "disabled", "selected", "expanded", "pressed")
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")
_LONG = 160
_LABEL = re.compile(r"(?:text|row): ((?=.*\w)(?!.* \| ).{1,40})")
_MAX_OPTIONS = 30


def count_tokens(text: str) -> int:
    """A deterministic estimate of tokens: pieces of words of up to six letters, and signs."""
    return len(_TOKEN.findall(text)) + 1


@dataclass(frozen=True, slots=True)
class Element:
    """What a shown reference stands for: Playwright's own reference, role, name, usable or not."""

    handle: str
    role: str
    name: str
    disabled: bool = False


@dataclass(slots=True)
class _Line:
    text: str
    rank: int
    element: Element | None = None
    tail: str = ""
    ref: str = ""

    def name(self, label: str) -> None:
        """Give a nameless element a name."""
        if self.element:
            self.element = replace(self.element, name=label)
            self.text = f"{self.element.role} {_quoted(label)}"

    def shorten(self) -> None:
        """Cut a long text or a long value; short ones and lists of options stay."""
        if self.rank == 3 and len(self.text) > _LONG:
            self.text = self.text[: _LONG - 3].rstrip() + "..."
        if self.tail.startswith(' = "') and " options " not in self.tail and len(self.tail) > _LONG:
            self.tail = self.tail[: _LONG - 4].rstrip() + '..."'

    def render(self) -> str:
        return f"{self.text} {self.ref}{self.tail}" if self.element else self.text


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A page at one moment.

    Attributes:
        text: What the model sees.
        elements: By shown reference.
        alerts: Texts with role alert, in order.
        statuses: Texts with role status, in order.
        content: The lines without references, to tell whether anything changed.
    """

    text: str
    elements: dict[str, Element]
    alerts: tuple[str, ...]
    statuses: tuple[str, ...]
    content: str


def _quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace('"', "'") + '"'


def _state(node: Node) -> str:
    parts = []
    options = [c for c in node.children if c.role == "option"]
    chosen = [o.name for o in options if "selected" in o.attributes]
    value = node.text if node.role in _VALUED and (node.name or node.role != "generic") else ""
    shown = chosen or ([value] if value else [])
    if shown:
        parts.append("= " + " ".join(_quoted(v) for v in shown))
    parts += [s for s in _STATES if node.attributes.get(s) == "true"]
    if options and node.role == "combobox":
        listed = [_quoted(o.name) for o in options[:_MAX_OPTIONS]]
        more = [f"+{len(options) - _MAX_OPTIONS} more"] if len(options) > _MAX_OPTIONS else []
        parts.append(" ".join(["options", *listed, *more]))
    return "".join(f" {p}" for p in parts)


def _element_line(node: Node) -> _Line:
    hint = next((c.text for c in node.children if c.role == "/placeholder"), "")
    spoken = "" if node.role in _FILLED | {"listbox"} else node.words()
    name = node.name or spoken or hint
    element = Element(node.attributes["ref"], node.role, name, "disabled" in node.attributes)
    return _Line(f"{node.role} {_quoted(name)}", 1, element, _state(node))


def _acts(node: Node) -> bool:
    if "ref" not in node.attributes:
        return False
    # A generic has a name only where it is a summary or an editable region.
    named = node.role == "generic" and bool(node.name)
    return node.role in INTERACTIVE or named or node.attributes.get("cursor") == "pointer"


def _inner(node: Node) -> Iterator[_Line]:
    for child in node.children:
        yield from _lines(child)


def _lines(node: Node) -> Iterator[_Line]:
    """The lines of a node and of what is under it, in page order."""
    if node.role.startswith("/"):
        return
    if node.role in _LOUD | {"heading"}:
        words = " ".join(node.words().split())
        if words:
            yield _Line(f"{node.role}: {words}", 0 if node.role in _LOUD else 2)
        yield from (line for line in _inner(node) if line.element)
    elif node.role == "row":
        cells = [" ".join(c.words().split()) for c in node.children]
        cells = [c for c in cells if c]
        if cells:
            yield _Line("row: " + " | ".join(cells), 3)
        yield from (line for line in _inner(node) if line.element)
    elif _acts(node):
        yield from _acting(node)
    else:
        words = " ".join(f"{node.name} {node.text}".split())
        if words:
            yield _Line(f"{'img' if node.role == 'img' else 'text'}: {words}", 3)
        yield from _inner(node)


def _acting(node: Node) -> Iterator[_Line]:
    """The line of something to act on; what can be acted on inside it follows.

    A container that is clickable only because its parts are gives way to them; a link that has the
    same name as the whole, such as that in a tab, is left out.
    """
    line = _element_line(node)
    nested = [x for x in _inner(node) if x.element] if node.role != "combobox" else []
    if node.role not in INTERACTIVE and nested:
        yield from _inner(node)
        return
    yield line
    yield from (x for x in nested if not _same(x.element, line.element))


def _same(part: Element | None, whole: Element | None) -> bool:
    if part is None or whole is None or part.role not in ("link", "generic"):
        return False
    return part.name == whole.name


def _labelled(lines: list[_Line]) -> list[_Line]:
    """Names by position: a field without one takes the short text before it.

    A text that only repeats the name of the element beside it is left out.
    """
    for before, line in pairwise(lines):
        found = _LABEL.fullmatch(before.text)
        if found and line.element and line.element.role in _FILLED and not line.element.name:
            line.name(found.group(1))

    def repeats(i: int) -> bool:
        kind, _, text = lines[i].text.partition(": ")
        around = (*lines[max(0, i - 1) : i], *lines[i + 1 : i + 2])
        names = {" ".join(x.element.name.split()) for x in around if x.element}
        return kind in ("text", "row") and text in names

    return [line for i, line in enumerate(lines) if not repeats(i)]


def _cost(line: _Line) -> int:
    return count_tokens(line.render()) + (1 if line.element else 0)


def _cut(lines: list[_Line], budget: int) -> tuple[list[_Line], str]:
    """The lines that fit, in page order, and a line that says what does not."""
    if sum(_cost(x) for x in lines) <= budget:
        return lines, ""
    for line in lines:
        line.shorten()
    costs = [_cost(x) for x in lines]
    left = budget - 12  # the line that says what was cut
    kept: set[int] = set()
    for i in sorted(range(len(lines)), key=lambda i: (lines[i].rank, i)):
        if costs[i] <= left:
            kept.add(i)
            left -= costs[i]
    gone = [x for i, x in enumerate(lines) if i not in kept]
    elements = sum(x.element is not None for x in gone)
    note = f"cut: {len(gone) - elements} texts and {elements} elements; read shows more"
    return [lines[i] for i in sorted(kept)], note if gone else "cut: long texts; read shows more"


def _references(n: int, seed: str) -> list[str]:
    rng = random.Random(seed)
    small = rng.sample(range(100), 100)
    large = rng.sample(range(100, 1000), max(0, min(n, 1000) - 100))
    return [f"e{i}" for i in (*small, *large)]


def take(raw: str, title: str, seed: str, budget: int) -> Snapshot:
    """Write a page.

    Args:
        raw: Playwright's snapshot of the page's body.
        title: The page's title.
        seed: Decides the references.
        budget: Tokens, by `count_tokens`.
    """
    return take_tree(parse(raw), [f"page: {' '.join(title.split())}".rstrip()], seed, budget)


def take_tree(root: Node, head: Sequence[str], seed: str | None, budget: int) -> Snapshot:
    """Write a page that is a tree already.

    Args:
        root: The tree.
        head: Lines to begin with.
        seed: Decides the references; where it is None, the tree's own are shown.
        budget: Tokens, by `count_tokens`.
    """
    name_fields(root, _FILLED)
    lines = _labelled(list(_inner(root)))
    content = "\n".join(x.text + x.tail for x in lines)
    loud = [x.text.partition(": ") for x in lines if x.rank == 0]
    shown, note = _cut(lines, budget - sum(map(count_tokens, head)))
    acting = [(x, x.element) for x in shown if x.element]
    drawn = [e.handle for _, e in acting] if seed is None else _references(len(acting), seed)
    for (line, _), ref in zip(acting, drawn, strict=False):
        line.ref = ref
    written = [x.render() for x in shown if x.element is None or x.ref]
    return Snapshot(
        text="\n".join([*head, *written, *([note] if note else [])]),
        elements={x.ref: e for x, e in acting if x.ref},
        alerts=tuple(t for r, _, t in loud if r == "alert"),
        statuses=tuple(t for r, _, t in loud if r == "status"),
        content=content,
    )
