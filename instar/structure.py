"""What has a meaning of its own in a prompt, so that no text of somebody else can pass for it.

Memories stand between fences, each with a label, and chat templates part messages by tokens of their
own. A text from outside that holds one of these could step out of its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from unicodedata import normalize

__all__ = ["harmless", "structure_in"]

_MARKS = (
    r"<\s*/?\s*memory\s*>"
    r"|<[|｜][^<>\n]{0,64}[|｜]>"
    r"|</?(?:s|bos|eos|pad|unk|tool_call|tool_response)>"
    r"|<(?:start|end)_of_turn>|</?think>|<function=|<unused\d+>|<</?SYS>>"
    r"|\[/?(?:INST|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|SYSTEM_PROMPT)\]"
)
_STRUCTURE = re.compile(
    _MARKS + r"|(?:(?<=[\n\r\u2028\u2029\x85])|^)\s*\[\s*m\d+\s*\]|\[\s*m\d+\s*\]\s*->",
    re.IGNORECASE,
)
# On the one line of a memory any label can be taken for that of the line.
_ON_A_LINE = re.compile(_MARKS + r"|\[\s*m\d+\s*\]", re.IGNORECASE)
_ALIKE = str.maketrans("<>[]|｜", "‹›()¦¦")


def structure_in(text: str) -> str | None:
    """The first part of a text that has a meaning of its own in a prompt, in wide letters too."""
    found = _STRUCTURE.search(text) or _STRUCTURE.search(normalize("NFKC", text))
    return found.group() if found else None


def harmless(text: str, fences: Iterable[str] = ()) -> str:
    """A text as it may stand on the line of a memory: what has such a meaning in signs that only look alike.

    Args:
        text: Of one line.
        fences: Between which it stands, where they are others than usual; a dot takes their place.
    """
    text = _ON_A_LINE.sub(lambda found: found.group().translate(_ALIKE), text)
    for fence in filter(None, fences):
        text = text.replace(fence, "·")
    return text
