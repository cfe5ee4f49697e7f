"""JSONL: one memory a line with all its fields; the format that loses nothing.

A line is a JSON object with the fields of `MemoryItem`, of which ``when`` and ``content`` are enough: without
an ``id`` it is the hash of these two. An export names version and generation too,
for reading; an import leaves both to the bank. A field that does not exist is refused rather than
dropped, so that a misspelt one is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from instar.types import MemoryItem, Record, content_hash
from memory.exchange._reading import Reader, first_line, json_object
from memory.exchange.base import Loaded

__all__ = ["Jsonl"]


class Jsonl:
    """Memories with all their fields, one JSON object a line."""

    folder = False

    class Config(Record):
        """Settings.

        Attributes:
            namespace: Of memories that name none; empty: those are refused.
        """

        namespace: str = ""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def dump(self, items: Sequence[MemoryItem]) -> dict[str, str]:
        """One file."""
        return {"memories.jsonl": "".join(i.model_dump_json() + "\n" for i in items)}

    def load(self, path: Path) -> Loaded:
        """Every line that holds a memory."""
        reader = Reader(self.config.namespace)
        for place, line in reader.lines(path):
            given = json_object(line)
            if isinstance(given, str):
                reader.refuse(place, given)
            else:
                said = json.dumps([given.get("when"), given.get("content")])
                reader.take(place, {"id": content_hash(said), **given})
        return reader.loaded()

    def recognises(self, path: Path) -> bool:
        """A file of JSON objects, each with an id, or with an occasion and a text."""
        found = json_object(first_line(path))
        known = isinstance(found, dict) and ("id" in found or {"when", "content"} <= found.keys())
        return path.is_file() and known
