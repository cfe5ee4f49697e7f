"""Whether a value is what a search asks for, and a namespace what a list does: LangGraph's rules."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from instar.errors import UserError
from instar.service.item_shapes import Match

__all__ = ["fits", "matches"]

_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matches(value: Any, wanted: Any) -> bool:
    """Whether a value is as wanted.

    Args:
        wanted: A value; an object of values; or an object of comparisons such as ``{"$gt": 3}``.

    Raises:
        UserError: There is no such comparison.
    """
    if isinstance(wanted, Mapping):
        if any(name.startswith("$") for name in wanted):
            return all(_compared(value, name, than) for name, than in wanted.items())
        inner = value if isinstance(value, Mapping) else None
        return inner is not None and all(matches(inner.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        alike = isinstance(value, list) and len(value) == len(wanted)
        return alike and all(map(matches, value, wanted))
    return bool(value == wanted)


def _compared(value: Any, name: str, than: Any) -> bool:
    if name in ("$eq", "$ne"):
        return bool(value == than) is (name == "$eq")
    if name not in _COMPARED:
        raise UserError(f"There is no comparison {name!r}: use $eq, $ne, $gt, $gte, $lt or $lte.")
    try:
        return _COMPARED[name](float(value), float(than))
    except (TypeError, ValueError, OverflowError):  # a text, nothing: it is neither more nor less
        return False


def fits(namespace: Sequence[str], match: Match) -> bool:
    """Whether a namespace begins or ends as it should."""
    path = match.path
    part = namespace[: len(path)] if match.type == "prefix" else namespace[-len(path) :]
    if not path:
        return True
    return len(part) == len(path) and all(w in ("*", h) for w, h in zip(path, part, strict=True))
