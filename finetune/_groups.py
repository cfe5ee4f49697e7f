"""Groups of tasks at the gate: a candidate that is better on the whole may have lost one of them.

Groups are small and many, and one of them nearly always looks worse. So a group blocks only where its
interval lies wholly below a line, at levels that make up for having looked at all of them: the group
that looks worst is held to the strictest level, the next one to the next (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from finetune._figures import Figure, Values, figure, success, watched
from finetune._pairs import Pair
from finetune._wording import points
from instar.types import Record

__all__ = ["Group", "groups"]


class Group(Record):
    """One group of tasks, with every unknown counted for the candidate.

    Attributes:
        name: The group.
        figure: Its clean success; the interval at the level of ``level``.
        level: After the correction.
        blocks: Whether the interval lies below the line.
    """

    name: str
    figure: Figure
    level: float
    blocks: bool = False

    def told(self, margin: float) -> str:
        """Why it blocks, in words."""
        return f"{self.name} is more than {margin * 100:g} points worse ({points(self.figure)})"


def groups(
    pairs: Sequence[Pair], margin: float, level: float, sequential: bool, seed: int = 0
) -> tuple[Group, ...]:
    """All groups, the one that looks worst first.

    Args:
        pairs: Of all groups.
        margin: How far success of a group may fall at most.
        level: Of all intervals together.
        sequential: Whether the pairs are looked at again and again.
        seed: Of the bootstrap.
    """
    parts: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.counts:
            parts.setdefault(pair.group, []).append(pair)
    values = {name: success(part, favouring=True) for name, part in parts.items()}

    def look(part: Values, at: float) -> Figure:
        return watched(part, at) if sequential else figure(part, at, seed)

    return _holm(values, -margin, level, look)


def _holm(
    values: Mapping[str, Values], line: float, level: float, look: Callable[[Values, float], Figure]
) -> tuple[Group, ...]:
    left, found = dict(values), []
    blocking = True
    while left:
        at = 1 - (1 - level) / len(left)
        seen = {name: look(part, at) for name, part in left.items()}
        if not blocking:
            found += [Group(name=n, figure=f, level=at) for n, f in sorted(seen.items(), key=_high)]
            break
        name, worst = min(seen.items(), key=_high)
        blocking = worst.below(line)
        if blocking:
            found.append(Group(name=name, figure=worst, level=at, blocks=True))
            del left[name]
    return tuple(found)


def _high(named: tuple[str, Figure]) -> tuple[float, str]:
    interval = named[1].interval
    return (1.0 if interval is None else interval.high), named[0]
