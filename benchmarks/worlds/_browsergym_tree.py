"""BrowserGym's accessibility tree in the form that our own browser shows a page in.

The nodes come from the child, parents before children. Bids stay the references. Text that only
repeats the name of what it stands in is left out, as are wrappers without a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools._snapshot import Snapshot, take_tree
from tools._tree import Node

__all__ = ["chosen", "show"]

_ROLES = {
    "StaticText": "text",
    "image": "img",
    "MenuListOption": "option",
    "ToggleButton": "button",
    "DisclosureTriangle": "button",
}
_WRAPPERS = frozenset(
    ("RootWebArea", "WebArea", "none", "MenuListPopup", "LabelText", "Section", "LineBreak")
)
_FILLED = frozenset(("textbox", "searchbox", "spinbutton"))
_SILENT = frozenset(("ListMarker", "LineBreak"))


def _node(raw: Mapping[str, Any]) -> Node:
    role = _ROLES.get(raw["role"], raw["role"])
    node = Node("generic" if role in _WRAPPERS else role)
    node.name = "" if role in _WRAPPERS or role == "text" else raw["name"]
    node.text = raw["name"] if role == "text" else raw["value"]
    if raw["bid"]:
        node.attributes["ref"] = raw["bid"]
    if raw["clickable"] and role != "text":
        node.attributes["cursor"] = "pointer"
    for state, value in raw["states"].items():
        if value in ("true", "mixed"):
            node.attributes[state] = value
    return node


def _repeats(node: Node, above: Sequence[Node]) -> bool:
    """Whether a text says only what a name above it has said, or stands in a field's value."""
    if node.role in _SILENT:
        return True
    if node.role != "text":
        return False
    words = " ".join(node.text.split())
    named = [a for a in above if a.name]
    inside = bool(named) and words in " ".join(named[-1].name.split())
    return not words or inside or any(a.role in _FILLED for a in above)


def tree(nodes: Sequence[Mapping[str, Any]]) -> Node:
    """The nodes of a page as a tree."""
    root = Node("root")
    stack: list[tuple[int, Node]] = [(-1, root)]
    for raw in nodes:
        node = _node(raw)
        while stack[-1][0] >= raw["depth"]:
            stack.pop()
        parent = stack[-1][1]
        if raw["role"] == "MenuListPopup":  # its options belong to the list
            stack.append((raw["depth"], parent))
            continue
        if not _repeats(node, [n for _, n in stack]):
            parent.children.append(node)
        stack.append((raw["depth"], node))
    return root


def show(seen: Mapping[str, Any], budget: int) -> Snapshot:
    """A page as text.

    Args:
        seen: What the child says of the page.
        budget: Tokens.
    """
    head = [f"page: {' '.join(seen['title'].split())}".rstrip()]
    if seen["tabs"][1:]:
        head += [f"tab {i}: {title}" for i, title in enumerate(seen["tabs"]) if i != seen["tab"]]
    return take_tree(tree(seen["nodes"]), head, None, budget)


def chosen(nodes: Sequence[Mapping[str, Any]], bid: str) -> list[str]:
    """Names of the options that are selected in a list of several."""
    inside, depth, found = False, 0, list[str]()
    for node in nodes:
        if inside and node["depth"] <= depth:
            break
        if inside and node["states"].get("selected") == "true":
            found.append(node["name"])
        if node["bid"] == bid:
            inside, depth = node["role"] == "listbox", node["depth"]
    return found
