"""What must not be kept is taken out of sessions before they are written or looked up with.

Texts are changed and nothing else: names, ids and types stay, so that a tool's answer still finds its
call. Whoever cannot redact before sending (`instar_client` can) does so here, for every door alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from instar.types import Step

__all__ = ["MARK", "Redacting"]

MARK = "[redacted]"
"""Stands where something was."""


class Redacting:
    """Takes out what any of some patterns finds.

    Args:
        patterns: Regular expressions, of `service.redact`.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def text(self, text: str) -> str:
        """The same without what is found."""
        for pattern in self._patterns:
            text = pattern.sub(MARK, text)
        return text

    def step(self, step: Step) -> Step:
        """The same turn: what was seen and said, arguments, and what tools answered."""
        if not self._patterns:
            return step
        calls = [c.model_copy(update={"arguments": self._value(c.arguments)}) for c in step.calls]
        results = [
            r.model_copy(
                update={"text": self.text(r.text), "observation": self._value(r.observation)}
            )
            for r in step.results
        ]
        seen = {"observation": self.text(step.observation), "content": self.text(step.content)}
        return step.model_copy(update={**seen, "calls": tuple(calls), "results": tuple(results)})

    def _value(self, value: Any) -> Any:
        """An argument; a number in which something is found becomes text."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._value(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._value(inner) for inner in value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            told = self.text(str(value))
            return value if told == str(value) else told
        return value
