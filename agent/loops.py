"""When an agent is stuck, and when it goes in circles: the same call with the same result, or nothing
to see changes.

Element references are drawn anew for each observation, so they are left out of the comparison, both
as arguments and in the text; without that no loop on a page would ever be seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from instar.types import Step, ToolSpec, content_hash

__all__ = ["looping", "stuck"]

_REFERENCE = re.compile(r"\be\d{1,3}\b")


_ABOUT = 400


def stuck(steps: Sequence[Step], times: int = 2) -> str:
    """What is in the way, where each of the last turns ended in an error; else nothing.

    Returns:
        The last error and the beginning of what there is to see, in at most 400 characters.
    """
    last = [s.results[-1] if s.results else None for s in steps[-times:]]
    if len(last) < times or not all(r is not None and r.error for r in last):
        return ""
    result = last[-1]
    assert result is not None
    return f"{result.text.strip()}\n{(result.observation or '').strip()}".strip()[:_ABOUT]


def looping(steps: Sequence[Step], tools: Sequence[ToolSpec], times: int = 3) -> bool:
    """Whether the last ``times`` turns made the same calls and either got or saw the same."""
    last = steps[-times:]
    if len(last) < times or not all(s.calls for s in last):
        return False
    volatile = {t.name: frozenset(t.volatile) for t in tools}
    if len({_calls(s, volatile) for s in last}) > 1:
        return False
    return len({_results(s) for s in last}) == 1 or len({_seen(s.observation) for s in last}) == 1


def _calls(step: Step, volatile: dict[str, frozenset[str]]) -> str:
    named = [
        [c.name, {k: v for k, v in c.arguments.items() if k not in volatile.get(c.name, ())}]
        for c in step.calls
    ]
    return content_hash(named)


def _results(step: Step) -> str:
    return content_hash(
        [[_seen(r.text), _seen(r.observation or ""), r.error] for r in step.results]
    )


def _seen(text: str) -> str:
    return _REFERENCE.sub("e", text)
