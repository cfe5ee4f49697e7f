"""The scripted model: prepared replies in order, for tests, examples and demonstrations.

It is reached as ``scripted`` like any other model, so what is tried out with it takes the same path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instar._toolparse import decode_arguments, parse_reply
from instar.errors import ConfigError, ModelFault
from instar.types import Message, Reply, Sampling, ToolCall, ToolSpec, Usage

__all__ = ["Scripted"]


class Scripted:
    """Plays prepared replies in order, whatever it is asked.

    Args:
        replies: Each a `Reply`, a mapping with ``content`` and ``calls`` (``name``, ``arguments``),
            or a text as an open model would write it.
        name: What trajectories call it.
        repeat: Whether to begin again after the last reply.
    """

    provider = "scripted"

    def __init__(
        self,
        replies: Sequence[Reply | Mapping[str, Any] | str],
        *,
        name: str = "scripted",
        repeat: bool = False,
    ) -> None:
        self.name = name
        self.played = 0
        self._replies = list(replies)
        self._repeat = repeat

    @classmethod
    def load(cls, path: Path, *, repeat: bool = False) -> Scripted:
        """Read replies from a JSON list or from JSON lines.

        Raises:
            ConfigError: The file cannot be read as one of these.
        """
        try:
            text = path.read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if line.strip()]
            whole = text.lstrip().startswith("[")
            replies = json.loads(text) if whole else [json.loads(line) for line in lines]
        except (OSError, ValueError) as error:
            raise ConfigError(f"Cannot read replies from {path}: {error}") from error
        return cls(replies, repeat=repeat)

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        """Play the next reply.

        Raises:
            ModelFault: There is none left.
        """
        count = len(self._replies)
        if not count or (self.played >= count and not self._repeat):
            raise ModelFault(f"The script has {count} replies and a further one was asked for.")
        reply = self._replies[self.played % count]
        self.played += 1
        return _prepared(reply, tools, self.name)


def _prepared(
    reply: Reply | Mapping[str, Any] | str, tools: Sequence[ToolSpec], name: str
) -> Reply:
    if isinstance(reply, Reply):
        return reply
    if isinstance(reply, str):
        content, calls = parse_reply(reply, tools)
    else:
        content = str(reply.get("content", ""))
        calls = tuple(
            ToolCall(
                id=str(c.get("id", f"call_{i}")),
                name=str(c.get("name", "")),
                arguments=decode_arguments(c.get("arguments")),
            )
            for i, c in enumerate(reply.get("calls", ()), 1)
        )
    return Reply(
        content=content, calls=calls, usage=Usage(calls=1), model=name, provider="scripted"
    )
