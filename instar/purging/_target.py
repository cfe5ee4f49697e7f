"""What a purge takes out, and how a record or a JSON value looks without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from instar import types
from instar.types import Record, Trajectory

__all__ = ["MARK", "Target", "Words"]

MARK = "[purged]"
"""Stands where a text was taken out of something that stays."""

_FIELDS = frozenset(
    name
    for kind in vars(types).values()
    if isinstance(kind, type) and issubclass(kind, Record)
    for name in kind.model_fields
)
_NAMING = ("id", "task", "trajectory", "item", "target", "via", "unit")
"""Keys under which a JSON object says which task, episode or memory it is about."""
_LIVE = "live/"
_PLACE = re.compile(rf"{_LIVE}[\w.@+/-]+")
"""A namespace of sessions: of an agent, or of one of its subjects."""
_ENDS, _GOES_ON = re.compile(r"\w[.@+-]$"), re.compile(r"[.@+-]\w")
_STRUCTURE = 2
"""So many levels of a stage's JSON have keys that are ours, not data."""


class Words:
    """A text that must go wherever it is, whatever its case.

    Args:
        text: The text.
        whole: Only where it is no part of a longer word; in a place, such as the namespace of a subject,
            only where it is no part of a longer name, for the customer ``ada-2`` is another than ``ada``.
    """

    def __init__(self, text: str, whole: bool) -> None:
        self.whole = whole
        ends = (r"(?<!\w)", r"(?!\w)") if whole else ("", "")
        self._pattern = re.compile(re.escape(text).join(ends), re.IGNORECASE)
        escaped = (json.dumps(text, ensure_ascii=e)[1:-1] for e in (False, True))
        written = "|".join(re.escape(t) for t in (text, *escaped))
        self._written = re.compile(written, re.IGNORECASE)

    def said(self, text: str) -> bool:
        """Whether a text holds it."""
        places = self._places(text)
        return any(_counts(found, places) for found in self._pattern.finditer(text))

    def names(self, label: str) -> bool:
        """Whether a name, such as a label of a place, is it or holds it."""
        return self.said(f"{_LIVE}{label}") if self.whole else self.said(label)

    def _places(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in _PLACE.finditer(text)] if self.whole else []

    def may_hold(self, written: str) -> bool:
        """Whether JSON as written could hold it; quick, and never wrongly no."""
        return self._written.search(written) is not None

    def held(self, value: Any) -> bool:
        """Whether any text in a record or JSON value holds it; names of fields do not count."""
        return any(self.said(text) for text in _texts(value))

    def without(self, text: str) -> str:
        """The text with a mark in its place."""
        places = self._places(text)
        return self._pattern.sub(lambda m: MARK if _counts(m, places) else m[0], text)


def _counts(found: re.Match[str], places: Sequence[tuple[int, int]]) -> bool:
    if not any(start <= found.start() < end for start, end in places):
        return True
    before, after = found.string[: found.start()], found.string[found.end() :]
    return _ENDS.search(before) is None and _GOES_ON.match(after) is None


def _texts(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        yield f"{_LIVE}{value}" if name == "subject" else value
    elif isinstance(value, Record):
        for field in type(value).model_fields:
            yield from _texts(getattr(value, field))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if key not in _FIELDS:
                yield key
            yield from _texts(one, key)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


@dataclass(frozen=True)
class Target:
    """What goes.

    Attributes:
        tasks: Ids.
        episodes: Ids of trajectories.
        items: Ids of memories of which nothing stays.
        versions: Those that go of memories of which others stay, by id and number.
        instructions: Those of the tasks that go.
        words: The text that goes besides; None where records are named.
    """

    tasks: frozenset[str] = frozenset()
    episodes: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()
    versions: frozenset[tuple[str, int]] = frozenset()
    instructions: frozenset[str] = frozenset()
    words: Words | None = None

    @property
    def ids(self) -> frozenset[str]:
        """Of all that goes."""
        return self.tasks | self.episodes | self.items

    def takes(self, trajectory: Trajectory) -> bool:
        """Whether an episode goes."""
        return trajectory.id in self.episodes or trajectory.task.id in self.tasks

    def shows(self, recalled: Iterable[tuple[str, int]]) -> bool:
        """Whether one of these versions of memories goes."""
        return any(id in self.items or (id, n) in self.versions for id, n in recalled)

    def rest_of(self, trajectory: Trajectory) -> Trajectory:
        """An episode that stays, without the texts of memories that go and that it was shown."""
        memories = tuple(
            m.model_copy(update=dict.fromkeys(("title", "when", "content"), MARK))
            if self.shows([(m.item, m.version)]) or (self.words and self.words.held(m))
            else m
            for m in trajectory.memories
        )
        task, parents = trajectory.task, self.others(trajectory.task.parents)
        if memories == trajectory.memories and parents == task.parents:
            return trajectory
        changes = {"memories": memories, "task": task.model_copy(update={"parents": parents})}
        return trajectory.model_copy(update=changes)

    def others(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """The ids of what stays."""
        return tuple(id for id in ids if id not in self.ids)

    def concerns(self, path: str) -> bool:
        """Whether a part of a key or author, such as ``bench1/memory/TASK/0``, is a task that goes."""
        return not self.tasks.isdisjoint(path.split("/"))

    def rest(self, value: Any, depth: int = 0) -> Any:
        """A JSON value without what goes: ids, objects that are about them, and the words."""
        if isinstance(value, str):
            return self.words.without(value) if self.words else value
        if isinstance(value, list):
            return [self.rest(one, depth + 1) for one in value if not self._about(one)]
        if isinstance(value, dict):
            return self._rest_of_object(value, depth)
        return value

    def _rest_of_object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, one in value.items():
            # The lineage of a dataset stays, so that nobody takes an adapter made of it for clean.
            if key == "trajectories" and "dataset" in value:
                found[key] = one
            elif key not in self.ids and not (isinstance(one, dict) and self._about(one)):
                found.setdefault(self._key(key, depth), self.rest(one, depth + 1))
        return found

    def _key(self, key: str, depth: int) -> str:
        ours = depth < _STRUCTURE or key in _FIELDS
        return key if ours or self.words is None else self.words.without(key)

    def _about(self, value: Any) -> bool:
        """Whether a value is nothing but something that goes, or about it."""
        if isinstance(value, str):
            return value in self.ids or value in self.instructions
        if not isinstance(value, dict):
            return False
        named = [value.get(key) for key in _NAMING]
        inner = value.get("item")
        if isinstance(inner, dict):
            named.append(inner.get("id"))
            if self._learnt_there(inner):
                return True
        elif self.versions and (inner, value.get("version")) in self.versions:
            return True
        return self._learnt_there(value) or any(
            isinstance(n, str) and self._about(n) for n in named
        )

    def _learnt_there(self, value: dict[str, Any]) -> bool:
        """Whether a memory in JSON was learnt from episodes that go and from nothing else."""
        sources = value.get("sources")
        return (
            isinstance(sources, list)
            and bool(sources)
            and all(isinstance(s, str) and s in self.episodes for s in sources)
        )
