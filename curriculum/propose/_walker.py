"""Draws the next call of a walk: little used tools, and arguments that were seen on the way."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from instar.types import Step, ToolCall, ToolSpec

__all__ = ["Walker"]

_WORD = re.compile(r'"([^"]+)"|(\w[\w.@-]*\w|\w)')
_TRIES = 30
_ODD = 0.1
_OPTIONAL = 0.3


class Walker:
    """Walks once.

    Args:
        told: What can be read before the first look.
        tried: How often each tool was called on earlier walks.
        heard: What each tool said on earlier walks when it refused.
        rng: Draws everything.
    """

    def __init__(
        self,
        told: str,
        tried: Mapping[str, int],
        heard: Mapping[str, Sequence[str]],
        rng: random.Random,
    ) -> None:
        self._tried, self._heard, self._rng = Counter(tried), heard, rng
        self._words: dict[str, None] = {}
        self._behind: dict[str, list[str]] = defaultdict(list)
        self._taken: dict[str, None] = {}
        self._made: set[str] = set()
        self._read(told)
        self._told = list(self._words)

    async def choose(
        self, tools: Sequence[ToolSpec], steps: Sequence[Step], seen: str
    ) -> ToolCall | None:
        """A call that was not made on this walk; None where none is found."""
        self._read(seen)
        if steps and not steps[-1].results[0].error:
            self._taken |= dict.fromkeys(str(v) for v in steps[-1].calls[0].arguments.values())
        by_name = {tool.name: tool for tool in tools}
        weights = [1 / (1 + self._tried[tool.name]) for tool in tools]
        for _ in range(_TRIES if tools else 0):
            (tool,) = self._rng.choices(tools, weights)
            asked = self._rng.choice([*self._heard.get(tool.name, ()), ""])
            arguments = self._arguments(tool, asked)
            for name, given in [*_before(by_name, tool, arguments, asked), (tool.name, arguments)]:
                made = json.dumps([name, given], sort_keys=True)
                if made not in self._made:
                    self._made.add(made)
                    self._tried[name] += 1
                    return ToolCall(id=f"call{len(steps)}", name=name, arguments=given)
        return None

    def _read(self, text: str) -> None:
        """Take in the words, and which word each of them stands behind."""
        before = ""
        for word in _words(text):
            self._words[word] = None
            if word not in self._behind[before]:
                self._behind[before].append(word)
            before = word

    def _arguments(self, tool: ToolSpec, asked: str) -> dict[str, Any]:
        """All that the tool must have, some of what it may, and what it once asked for."""
        shape = tool.parameters
        required = shape.get("required", [])
        given: dict[str, Any] = {}
        for name, form in shape.get("properties", {}).items():
            told = _told(name, asked)
            if name in required or told or self._rng.random() < _OPTIONAL:
                value = told or self._value(tool, name, form)
                if value is not None:
                    given[name] = value
        return given

    def _value(self, tool: ToolSpec, name: str, form: Mapping[str, Any]) -> Any:
        if form.get("enum"):
            return self._rng.choice(list(form["enum"]))
        if form.get("type") == "boolean":
            return self._rng.random() < 0.5
        words = list(self._words)
        near = [*self._behind.get(name, ()), *self._behind.get(tool.name, ())]
        near = near or list(self._taken) or self._told
        if form.get("type") in ("integer", "number"):
            words, near = ([w for w in some if w.lstrip("-").isdecimal()] for some in (words, near))
        some = near if near and self._rng.random() > _ODD else words
        if not some:
            return None
        word = self._rng.choice(some)
        return int(word) if form.get("type") in ("integer", "number") else word


def _words(text: str) -> list[str]:
    """Words in their order; what stands between quotation marks is one."""
    return [quoted or plain for quoted, plain in _WORD.findall(text)]


def _told(name: str, asked: str) -> str:
    """What a refusal wanted for an argument: the quoted words behind its name."""
    found = re.search(rf'\b{re.escape(name)}\b[^"]*"([^"]+)"', asked)
    return found.group(1) if found else ""


def _before(
    tools: Mapping[str, ToolSpec], tool: ToolSpec, arguments: Mapping[str, Any], asked: str
) -> list[tuple[str, dict[str, Any]]]:
    """Calls of other tools that a refusal named, on what the tool was about to be used on.

    What such a call needs beyond the quoted words behind its name it takes from the arguments.
    """
    found = []
    for name in dict.fromkeys(w for w in _words(asked) if w in tools and w != tool.name):
        needed = tools[name].parameters.get("required", [])
        quoted = _told(name, asked)
        values = [
            *list(arguments.values())[: len(needed) - bool(quoted)],
            *([quoted] if quoted else []),
        ]
        if len(values) == len(needed):
            found.append((name, dict(zip(needed, values, strict=True))))
    return found
