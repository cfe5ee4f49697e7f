"""Reading what people and other programs wrote: bytes to text, values to memories, faults to places.

Nothing here raises for what a file holds. A part that cannot be used becomes a `Problem` with its
place, and reading goes on behind it.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from instar.types import MemoryItem, MemoryKind, Origin
from memory.exchange.base import Entry, Loaded, Problem
from memory.fit import complaint

__all__ = ["Reader", "first_line", "json_object"]

_BANKS_OWN = frozenset({"version", "generation"})
_GUESS_BYTES = 65_536
_ALWAYS = "any task"
"""The occasion of a principle that names none; it is shown whatever the task."""
_WORDED = {
    "tuple_type": 'a list is needed, such as ["refund", "tag"]',
    "string_type": "a text is needed",
    "missing": "needed, but not there",
}
_UNKNOWN = f"no such field; there are {', '.join(MemoryItem.model_fields)}"


class Reader:
    """Collects the memories of a file or folder, and what was refused.

    Args:
        namespace: Of memories that name none; empty: those are refused.
    """

    def __init__(self, namespace: str = "") -> None:
        self._defaults = {
            "title": "",
            "kind": MemoryKind.LESSON,
            "origin": Origin.USER,
            "namespace": namespace,
        }
        self._entries: dict[str, Entry] = {}
        self._places: dict[str, str] = {}
        self._problems: list[Problem] = []

    def loaded(self) -> Loaded:
        """All that was found."""
        return Loaded(tuple(self._entries.values()), tuple(self._problems))

    def refuse(self, place: str, reason: str) -> None:
        """Leave something out."""
        self._problems.append(Problem(_printable(place), _printable(reason)))

    def text(self, path: Path, place: str) -> str | None:
        """A whole file; None, and a problem, where it is no text."""
        raw = self._bytes(path, place)
        return None if raw is None else self._decoded(raw, place)

    def lines(self, path: Path) -> Iterator[tuple[str, str]]:
        """Lines that are not blank, each with its place; one that is no text is a problem."""
        raw = self._bytes(path, path.name)
        for number, line in enumerate((raw or b"").split(b"\n"), 1):
            place = f"{path.name}:{number}"
            text = self._decoded(line, place)
            if text and text.strip():
                yield place, text

    def _bytes(self, path: Path, place: str) -> bytes | None:
        try:
            return path.read_bytes().removeprefix(codecs.BOM_UTF8)
        except OSError as error:
            self.refuse(place, f"cannot be read: {error.strerror}")
            return None

    def _decoded(self, raw: bytes, place: str) -> str | None:
        if b"\0" in raw:
            self.refuse(place, "binary, no text")
            return None
        try:
            return raw.decode("utf-8").replace("\r\n", "\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            self.refuse(place, f"not UTF-8 at byte {error.start + 1}")
            return None

    def take(
        self,
        place: str,
        given: Mapping[str, Any],
        at: Callable[[str], str] | None = None,
        **defaults: Any,
    ) -> None:
        """Add a memory, or a problem where it cannot be used.

        Args:
            place: Where it stands.
            given: The fields that the file says.
            at: The place of one field, where it is known better.
            defaults: Of this memory, for fields that the file does not say.
        """
        try:
            values = {**self._defaults, **defaults, **given}
            if values["kind"] == MemoryKind.PRINCIPLE and not values.get("when"):
                values["when"] = _ALWAYS
            item = MemoryItem.model_validate(values)
        except ValidationError as error:
            # A misspelt field comes before the one that is missing for it.
            first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
            worded = {**_WORDED, "extra_forbidden": _UNKNOWN}
            said = worded.get(first["type"], first["msg"])
            fault = (str(first["loc"][0]), said)
        else:
            found = complaint(item)
            if found is None:
                self._add(place, Entry(item, frozenset(given) - _BANKS_OWN, place))
                return
            fault = found
        field, reason = fault
        self.refuse(at(field) if at else place, f"{field}: {reason}")

    def _add(self, place: str, entry: Entry) -> None:
        id = entry.item.id
        if id in self._places:
            self.refuse(place, f"{id} stands at {self._places[id]} already")
            return
        self._places[id] = place
        self._entries[id] = entry


def _printable(text: str) -> str:
    # Names of files and of fields are as foreign as the rest, and these lines go to a terminal.
    return "".join(c if c.isprintable() else "?" for c in text)


def json_object(text: str) -> dict[str, Any] | str:
    """The object that a line of JSON holds, or why it does not."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return f"no JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError):
        return "no JSON that can be read"
    return value if isinstance(value, dict) else "no JSON object"


def first_line(path: Path) -> str:
    """The first line that is not blank, to guess a format by; empty where there is none."""
    try:
        with path.open("rb") as file:
            begun = file.read(_GUESS_BYTES).removeprefix(codecs.BOM_UTF8)
    except OSError:
        return ""
    return begun.decode("utf-8", errors="replace").lstrip().partition("\n")[0].rstrip()
