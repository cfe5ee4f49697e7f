"""ReasoningBank items: one record a kind of task, with its memory items (title, description, content).

After Ouyang et al. 2025 (arXiv:2509.25140) and the file that their code keeps: JSONL of ``task_id,
query, think_list, action_list, status, memory_items, template_id``, where each item is Markdown with
the headings *Title*, *Description* and *Content*. Written are records that their code can read, one
for all memories of one occasion and polarity: ``query`` and *Description* are the occasion, thoughts
and actions are empty, and ``item_ids`` is ours. Read are items as Markdown, in one string or a list,
and as objects with these three keys; text before the first heading is a model thinking aloud and is
skipped.

An occasion is what the bank compares with an instruction, so it is the ``query`` here; a description
that says something else goes before the content. ``status`` says the polarity and is the judge's
word, so nothing is counted as a verified success. Kind, group, namespace, tools, sources, origin,
status and support are lost; without ``item_ids`` an id is the hash of what the item says.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instar.types import MemoryItem, MemoryKind, Record, content_hash
from memory.distill.base import stable_id
from memory.exchange._reading import Reader, first_line, json_object
from memory.exchange.base import Loaded

__all__ = ["ReasoningBank"]

_ITEM = re.compile(r"#\s*Memory Item\b.*", re.IGNORECASE)
_FIELD = re.compile(r"##\s*(Title|Description|Content)\b:?\s*(.*)", re.IGNORECASE)
_FENCED = re.compile(
    r"^```\w*\n(#\s*Memory Item\b.*)\n```", re.IGNORECASE | re.MULTILINE | re.DOTALL
)
_ESCAPED = re.compile(r"^(\\*)(?=#)", re.MULTILINE)
_HASHED = ("when", "content")
_POLARITY = {"success": 1, "fail": -1}


class ReasoningBank:
    """Records of ReasoningBank with their memory items, one JSON object a line."""

    folder = False

    class Config(Record):
        """Settings.

        Attributes:
            namespace: Of memories that the bank does not know.
        """

        namespace: str = ""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def dump(self, items: Sequence[MemoryItem]) -> dict[str, str]:
        """One file, a record for each occasion and polarity."""
        groups: dict[tuple[str, bool], list[MemoryItem]] = defaultdict(list)
        for item in items:
            groups[item.when, item.polarity > 0].append(item)
        lines = [json.dumps(_record(group), ensure_ascii=False) for group in groups.values()]
        return {"reasoning_bank.jsonl": "".join(line + "\n" for line in lines)}

    def load(self, path: Path) -> Loaded:
        """Every item of every record."""
        reader = Reader(self.config.namespace)
        for place, line in reader.lines(path):
            record = json_object(line)
            if isinstance(record, str):
                reader.refuse(place, record)
            else:
                self._take(reader, place, record)
        return reader.loaded()

    def _take(self, reader: Reader, place: str, record: Mapping[str, Any]) -> None:
        items = _items(record.get("memory_items"))
        if items is None:
            reader.refuse(place, "memory_items: no text, list or objects with title and content")
            return
        ids = record.get("item_ids")
        if not isinstance(ids, list) or len(ids) != len(items):
            ids = [None] * len(items)
        for number, (item, id) in enumerate(zip(items, ids, strict=True), 1):
            given = _given(record, item)
            given["id"] = self._id(given) if id is None else id
            reader.take(f"{place}, item {number}", given)

    def _id(self, given: Mapping[str, Any]) -> str:
        # What is not text is refused later; half a surrogate pair cannot be hashed.
        when, content = (str(given[k]).encode(errors="replace").decode() for k in _HASHED)
        return stable_id(self.config.namespace, when, MemoryKind.LESSON, (), content)

    def recognises(self, path: Path) -> bool:
        """A file of JSON objects with memory items."""
        found = json_object(first_line(path))
        return path.is_file() and isinstance(found, dict) and "memory_items" in found


def _record(items: Sequence[MemoryItem]) -> dict[str, Any]:
    first = items[0]
    worked = first.polarity > 0
    return {
        "task_id": content_hash([first.when, worked]),
        "query": first.when,
        "think_list": [],
        "action_list": [],
        "status": "success" if worked else "fail",
        "memory_items": [_markdown(number, item) for number, item in enumerate(items, 1)],
        "template_id": first.group,
        "item_ids": [i.id for i in items],
    }


def _markdown(number: int, item: MemoryItem) -> str:
    title, when = (" ".join(text.split()) for text in (item.title, item.when))
    # A heading inside the content would read as the next field.
    content = _ESCAPED.sub(r"\1\\", item.content)
    head = f"# Memory Item {number}\n## Title {title}\n## Description {when}"
    return f"{head}\n## Content {content}"


def _items(value: Any) -> list[dict[str, Any]] | None:
    """Items with title, description and content, whatever their form; None where it is no form."""
    if isinstance(value, str):
        return _parsed(value) or ([] if not value.strip() else None)
    if not isinstance(value, list):
        return None
    if all(isinstance(part, str) for part in value):
        return _items("\n\n".join(value))
    if all(isinstance(part, dict) for part in value):
        return [{str(k).lower(): v for k, v in part.items()} for part in value]
    return None


def _parsed(text: str) -> list[dict[str, Any]]:
    items: list[dict[str, list[str]]] = []
    field = ""
    fenced = _FENCED.search(text)
    for line in (fenced[1] if fenced else text).split("\n"):
        if _ITEM.match(line):
            items.append({})
            field = ""
        elif found := _FIELD.match(line):
            field = found[1].lower()
            if not items or field in items[-1]:
                items.append({})
            items[-1][field] = [found[2]]
        elif field:
            items[-1][field].append(line)
    return [
        {name: _unescaped("\n".join(lines)).strip() for name, lines in item.items()}
        for item in items
        if item
    ]


def _unescaped(text: str) -> str:
    return re.sub(r"^\\(\\*#)", r"\1", text, flags=re.MULTILINE)


def _given(record: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    description, content = item.get("description") or "", item.get("content") or ""
    query = record.get("query") or description
    texts = all(isinstance(part, str) for part in (description, content, query))
    if texts and description.split() not in ([], query.split()):
        content = f"{description} {content}"
    given = {"title": item.get("title") or "", "when": query, "content": content}
    polarity = _POLARITY.get(str(record.get("status")))
    return given | ({} if polarity is None else {"polarity": polarity})
