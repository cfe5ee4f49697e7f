"""Markdown: a folder with one file a memory, for people to read, edit and import again.

    ---
    id: 3f2a90c1
    when: refund order $1
    kind: workflow
    namespace: house_rules/0
    tools: refund, tag
    ---
    # Refunds want a tag

    tag $1 "red"; refund $1

The header holds ``key: value`` lines; a value with line breaks or outer spaces is a JSON string. The
tools may be a list of YAML too: ``tools: [refund, tag]``, or ``- refund`` on a line of its own.
A line that is left out leaves that field as the bank has it. A new file needs no more than ``when``
and a text: without an ``id`` its name is its id. Sources, version and generation have no place here.
Whitespace at both ends of a text is lost. Sub-folders are read, hidden files are not.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instar.types import MemoryItem, Record, content_hash
from memory.exchange._header import dash_item, listed, text_of, written
from memory.exchange._reading import Reader, first_line
from memory.exchange.base import Loaded

__all__ = ["Markdown"]

_FENCE = "---"
_BODY = ("title", "content")
_ELSEWHERE = frozenset({*_BODY, "version", "generation", "sources"})
_KEYS = tuple(name for name in MemoryItem.model_fields if name not in _ELSEWHERE)
_LISTS = frozenset(name for name in _KEYS if MemoryItem.model_fields[name].default == ())
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}", re.ASCII)


class Markdown:
    """A folder with one Markdown file a memory, to edit by hand."""

    folder = True

    class Config(Record):
        """Settings.

        Attributes:
            namespace: Of memories that name none; empty: those are refused.
        """

        namespace: str = ""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def dump(self, items: Sequence[MemoryItem]) -> dict[str, str]:
        """One file a memory, named by its id where that is a file name."""
        return {f"{_stem(i.id)}.md": _page(i) for i in items}

    def load(self, path: Path) -> Loaded:
        """Every file of the folder that holds a memory; a single file works too."""
        reader = Reader(self.config.namespace)
        files = sorted(path.rglob("*.md")) if path.is_dir() else [path]
        for file in files:
            inner = file.relative_to(path) if path.is_dir() else Path(file.name)
            if not any(part.startswith(".") for part in inner.parts):
                text = reader.text(file, inner.as_posix())
                if text is not None:
                    _Page(reader, inner, text).read()
        return reader.loaded()

    def recognises(self, path: Path) -> bool:
        """A folder, or one file that begins with a header."""
        return path.is_dir() or first_line(path) == _FENCE


def _stem(id: str) -> str:
    return id if _FILE_NAME.fullmatch(id) else content_hash(id)


def _page(item: MemoryItem) -> str:
    values = item.model_dump(mode="json")
    lines = [
        f"{key}: {_written(values[key])}" for key in _KEYS if values[key] not in ("", [], None)
    ]
    plain = item.title and item.title == " ".join(item.title.split())
    if not plain:
        lines.append(f"title: {_written(item.title)}")
    head = [f"# {item.title}", ""] if plain else []
    return "\n".join([_FENCE, *lines, _FENCE, *head, item.content, ""])


def _written(value: Any) -> str:
    if isinstance(value, list):
        return written(value)
    if not isinstance(value, str):
        return json.dumps(value)
    awkward = value.startswith('"') or value != value.strip() or len(value.splitlines()) > 1
    return json.dumps(value, ensure_ascii=False) if awkward else value


def _meant(key: str, text: str) -> Any:
    if key in _LISTS:
        return listed(text)
    if text.startswith('"'):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


class _Page:
    """One file on its way to the reader."""

    def __init__(self, reader: Reader, path: Path, text: str) -> None:
        self.reader, self.path = reader, path
        self.lines = text.split("\n")
        self.given: dict[str, Any] = {}
        self.numbers: dict[str, int] = {}
        self.open: list[str] | None = None

    def read(self) -> None:
        """Hand over the memory, or what is wrong with the page."""
        end = self._header()
        if end is None:
            return
        self._body(end)
        self.given.setdefault("id", self.path.stem)
        self.reader.take(self._place(1), self.given, lambda key: self._place(self.numbers.get(key)))

    def _place(self, number: int | None) -> str:
        return f"{self.path.as_posix()}:{number or 1}"

    def _header(self) -> int | None:
        """Read the header; the index of the line that ends it, or None where it is broken."""
        if self.lines[0].rstrip() != _FENCE:
            self.reader.refuse(self._place(1), f"no header: the first line must be {_FENCE}")
            return None
        end = next((n for n, line in enumerate(self.lines[1:], 1) if line.rstrip() == _FENCE), 0)
        if not end:
            reason = f"the header that begins here has no closing {_FENCE}"
            self.reader.refuse(self._place(1), reason)
            return None
        for number, line in enumerate(self.lines[1:end], 2):
            if line.strip() and (fault := self._line(number, line)):
                self.reader.refuse(self._place(number), fault)
                return None
        return end

    def _line(self, number: int, line: str) -> str:
        """Take one line of the header; what is wrong with it, or nothing."""
        try:
            return self._item(line) if self._goes_on(line) else self._field(number, line)
        except ValueError as fault:
            return str(fault)

    def _goes_on(self, line: str) -> bool:
        return self.open is not None and dash_item(line) is not None

    def _item(self, line: str) -> str:
        item = dash_item(line)
        if item and self.open is not None:
            self.open.append(text_of(item))
        return ""

    def _field(self, number: int, line: str) -> str:
        key, colon, text = line.partition(":")
        key = key.strip()
        if not colon:
            return f"no colon in {line[:60]!r}"
        if key not in (*_KEYS, "title"):
            close = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_KEYS)}"
            return f"unknown key {key[:60]!r}; {hint}"
        if key in self.given:
            return f"{key!r} stands in line {self.numbers[key]} already"
        meant = _meant(key, text.strip())
        self.given[key], self.numbers[key] = meant, number
        self.open = meant if isinstance(meant, list) and not meant else None
        return ""

    def _body(self, end: int) -> None:
        """Title and content; a title in the header leaves the whole body to the content."""
        start = self._text_after(end)
        first = self.lines[start] if start < len(self.lines) else ""
        if "title" not in self.given and first.startswith("# "):
            self.given["title"], self.numbers["title"] = first[2:].strip(), start + 1
            start = self._text_after(start)
        self.given["content"] = "\n".join(self.lines[start:]).strip()
        self.numbers["content"] = min(start + 1, len(self.lines))

    def _text_after(self, index: int) -> int:
        """The next line that is not blank, or the end."""
        later = range(index + 1, len(self.lines))
        return next((n for n in later if self.lines[n].strip()), len(self.lines))
