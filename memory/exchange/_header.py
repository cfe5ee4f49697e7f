"""Values of a header in Markdown: texts, JSON strings, and lists as people and YAML write them.

A list is names with commas between them, or one of YAML: in square brackets on one line, or a line
with a dash for each. Quotes are needed around what holds a comma, a bracket or a quote itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

__all__ = ["dash_item", "listed", "text_of", "written"]

_PART = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\[\]"']*?)\s*(,|\])""")
_DASH = re.compile(r"\s*-(?:\s+(.*))?")
_COMMENT = re.compile(r"\s*(?:#.*)?")
_AFTER = re.compile(r"\s+#.*")
_PLAIN = re.compile(r"""[^\s,\[\]"'#-](?:[^,\[\]"'#\n]*[^\s,\[\]"'#])?""")


def written(value: Sequence[str]) -> str:
    """A list in one line."""
    if all(_PLAIN.fullmatch(part) for part in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def listed(text: str) -> list[str]:
    """The parts of a list that stands in one line.

    Raises:
        ValueError: It is none, and why.
    """
    if not text.startswith(("[", '"', "'")):
        return [part.strip() for part in text.split(",") if part.strip()]
    return list(_parts(text[1:] if text.startswith("[") else f"{text}]"))


def _parts(text: str) -> Iterator[str]:
    place, end = 0, ""
    while end != "]":
        found = _PART.match(text, place)
        if found is None:
            raise ValueError(f"no list that ends in its line: {text[place:].strip()[:60]!r}")
        place, end = found.end(), found[2]
        if found[1]:
            yield text_of(found[1])
    if not _COMMENT.fullmatch(text[place:]):
        raise ValueError(f"{text[place:].strip()[:60]!r} behind the list")


def dash_item(line: str) -> str | None:
    """What stands behind a dash; None where a line begins with none."""
    found = _DASH.fullmatch(line)
    return None if found is None else _AFTER.sub("", found[1] or "").strip()


def text_of(text: str) -> str:
    """A text without the quotes around it.

    Raises:
        ValueError: They do not end, or an escape in them is none.
    """
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        raise ValueError(f"no text in quotes: {text[:60]}") from None
