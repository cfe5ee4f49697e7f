"""Playwright's accessibility snapshot (``aria_snapshot(mode="ai")``) as a tree.

It is a subset of YAML with one node a line: ``- role "name" [attribute=value]: text``. Reading the
lines is a hundred times faster than a YAML parser and needs none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

__all__ = ["Node", "name_fields", "parse"]

_KEY = re.compile(r'^(\S+?)(?: "((?:[^"\\]|\\.)*)")?((?: \[[^\]]*\])*)(?::(?: (.*))?)?$')
_ATTRIBUTE = re.compile(r"\[([\w-]+)(?:=([^\]]*))?\]")
_LONGEST_LABEL = 40


@dataclass(slots=True)
class Node:
    """One element or text of the accessibility tree."""

    role: str
    name: str = ""
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def words(self) -> str:
        """All text under the node, names included."""
        children = (c for c in self.children if not c.role.startswith("/"))
        parts = [self.name or self.text, *(c.words() for c in children)]
        return " ".join(p for p in parts if p)


def _unquote(text: str) -> str:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1].replace("''", "'")
    return text


def _node(body: str) -> Node:
    if body.startswith("'"):  # YAML quotes a key that holds a colon or a quote
        end = re.match(r"'((?:[^']|'')*)'", body)
        if end:
            body = end.group(1).replace("''", "'") + body[end.end() :]
    match = _KEY.match(body)
    if match is None:
        return Node("text", text=_unquote(body))
    role, name, attributes, text = match.groups()
    return Node(
        role,
        name=_unquote(f'"{name}"') if name else "",
        text=_unquote(text.strip()) if text else "",
        attributes={k: v or "true" for k, v in _ATTRIBUTE.findall(attributes or "")},
    )


def parse(snapshot: str) -> Node:
    """The tree of an accessibility snapshot."""
    root = Node("root")
    stack: list[tuple[int, Node]] = [(-1, root)]
    for line in snapshot.splitlines():
        body = line.lstrip(" ")
        if not body.startswith("- "):
            continue
        indent = len(line) - len(body)
        while stack[-1][0] >= indent:
            stack.pop()
        node = _node(body[2:])
        stack[-1][1].children.append(node)
        stack.append((indent, node))
    return root


def name_fields(node: Node, roles: frozenset[str]) -> None:
    """Name each field that shares a box with one short text and nothing else, before it or after it.

    Args:
        node: The tree; changed in place.
        roles: Which nodes are fields.
    """
    fields = [c for c in node.children if c.role in roles and not c.name]
    if len(fields) == 1 and len(node.children) == 2:
        (other,) = (c for c in node.children if c is not fields[0])
        if _is_text(other) and 0 < len(words := " ".join(other.words().split())) <= _LONGEST_LABEL:
            fields[0].name = words
    for child in node.children:
        name_fields(child, roles)


def _is_text(node: Node) -> bool:
    """Whether there is nothing in it to act on."""
    plain = node.role in ("text", "generic") and "cursor" not in node.attributes
    return plain and all(_is_text(child) for child in node.children)
