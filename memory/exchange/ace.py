"""ACE playbook: sections of bullets with an id and counters, as Agentic Context Engineering has it.

    ## STRATEGIES & INSIGHTS
    [3f2a90c1] helpful=4 harmful=0 :: When "refund order $1": tag the order first

After the playbook of Zhang et al. 2025 (arXiv:2510.04618) and their code. The section says the kind:
lessons about what went wrong stand under COMMON MISTAKES TO AVOID, and so on. A bullet without the
``When "..."`` of ours is for occasions like its own text, since recall needs one; a section that is
not in the table below leaves the kind open, and a new memory in it is a lesson.

``helpful`` is written from the number of verified successes. It is not read: the counters of others
are a model's opinion of its own playbook. ``harmful`` is written as 0, which means not counted. A note on
a tool is about the tools of other memories that its text names; a new one that names none is refused.
Title, group, namespace, tools, sources, origin, status and line breaks are lost, and the polarity of
what is no lesson. The ids of two playbooks may be equal by chance; look at what is said to change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instar.types import MemoryItem, MemoryKind, Record
from memory.exchange._reading import Reader, first_line
from memory.exchange.base import Loaded

__all__ = ["Ace"]

_SECTIONS: dict[str, dict[str, Any]] = {
    "STRATEGIES & INSIGHTS": {"kind": MemoryKind.LESSON, "polarity": 1},
    "COMMON MISTAKES TO AVOID": {"kind": MemoryKind.LESSON, "polarity": -1},
    "CODE SNIPPETS & TEMPLATES": {"kind": MemoryKind.WORKFLOW},
    "PROBLEM-SOLVING HEURISTICS": {"kind": MemoryKind.PRINCIPLE},
    "CONTEXT CLUES & INDICATORS": {"kind": MemoryKind.FACT},
    "TOOL NOTES": {"kind": MemoryKind.TOOL_NOTE},
    "OTHERS": {},
}
_BULLET = re.compile(r"(?:[-*]\s+)?\[([^\]]+)\]\s*helpful=(\d+)\s*harmful=(\d+)\s*::\s*(.*)")
_WHEN = re.compile(r'When ("(?:[^"\\]|\\.)*"):\s*(.*)')
_WHEN_LIMIT = 400


class Ace:
    """The playbook of Agentic Context Engineering: bullets with counters in sections."""

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
        """One file with all sections, empty ones too: ACE's curator adds to those it finds."""
        blocks = [
            "\n".join([f"## {name}", *(_bullet(i) for i in items if _section(i) == name)])
            for name in _SECTIONS
        ]
        return {"playbook.md": "\n\n".join(blocks) + "\n"}

    def load(self, path: Path) -> Loaded:
        """Every bullet, under whatever heading."""
        reader = Reader(self.config.namespace)
        section: dict[str, Any] = {}
        for place, line in reader.lines(path):
            text = line.strip()
            if text.startswith("#"):
                section = _SECTIONS.get(_heading(text), {})
            elif found := _BULLET.fullmatch(text):
                given = {"id": found[1].strip(), **_said(found[4]), **section}
                reader.take(place, given, when=given["content"][:_WHEN_LIMIT])
            else:
                form = "[id] helpful=X harmful=Y :: content"
                reader.refuse(place, f"neither a heading nor a bullet {form}")
        return reader.loaded()

    def recognises(self, path: Path) -> bool:
        """A file that begins with a heading or a bullet."""
        first = first_line(path)
        return path.is_file() and bool(first.startswith("#") or _BULLET.fullmatch(first))


def _heading(line: str) -> str:
    return line.strip("# :").upper().replace(" AND ", " & ")


def _section(item: MemoryItem) -> str:
    wrong = item.kind is MemoryKind.LESSON and item.polarity < 0
    wanted = {"kind": item.kind} | ({"polarity": -1} if wrong else {})
    return next(name for name, says in _SECTIONS.items() if wanted.items() <= says.items())


def _bullet(item: MemoryItem) -> str:
    when = json.dumps(" ".join(item.when.split()), ensure_ascii=False)
    content = " ".join(item.content.split())
    return f"[{item.id}] helpful={item.support} harmful=0 :: When {when}: {content}"


def _said(text: str) -> dict[str, str]:
    found = _WHEN.fullmatch(text)
    if found is None:
        return {"content": text}
    try:
        return {"when": json.loads(found[1]), "content": found[2]}
    except ValueError:
        return {"content": text}
