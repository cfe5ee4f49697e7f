"""What generations see, read from the store once and kept up with what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from instar.errors import WorkspaceError
from instar.store import Store
from memory._view import View

__all__ = ["Seen", "Views"]

_KEPT = 4
_WORTH = "worth/"
"""Prefix of the keys under which the store keeps what a generation knows its units to be worth."""


@dataclass
class Seen:
    """What a generation sees.

    Attributes:
        stamp: Of the store when it was read last.
        row: The last row that was read.
        worth: Effect on success of those units of which it knows one.
    """

    view: View
    stamp: tuple[Any, ...] = ()
    row: int = 0
    worth: dict[str, float] = field(default_factory=dict)


class Views:
    """Views of the last few generations that looked.

    Args:
        store: Where they look.
        record: Of the embedder whose vectors they see; see `memory._record`.
    """

    def __init__(self, store: Store, record: Mapping[str, Any]) -> None:
        self._store, self._record = store, record
        self._held: dict[str | None, Seen] = {}

    def of(self, generation: str | None) -> Seen:
        """What a generation sees; None: the last version of every item.

        Raises:
            WorkspaceError: Another process has embedded the memories anew.
        """
        # Another process may have written.
        stamp = self._store.memory_stamp()
        held = self._held.pop(generation, None)
        if held is None or held.stamp[:-1] != stamp[:-1]:
            if self._store.embedder() != self._record:
                raise WorkspaceError(
                    "The memories were embedded anew by another process: start this one again."
                )
            held = self._empty(generation)
        if held.stamp != stamp:
            found, held.row = self._store.versions_since(generation, held.row)
            held.view.update(found)
            held.stamp = stamp
        while len(self._held) >= _KEPT:
            self._held.pop(next(iter(self._held)))
        self._held[generation] = held
        return held

    def _empty(self, generation: str | None) -> Seen:
        path = self._store.ancestry(generation) if generation else None
        nearness = {one: place for place, one in enumerate(reversed(path))} if path else None
        return Seen(View(self._record["dimension"], nearness), worth=self._worth(generation))

    def forget(self) -> None:
        """Read anew from now on."""
        self._held.clear()

    def _worth(self, generation: str | None) -> dict[str, float]:
        """What was known when the generation was made, or the nearest ancestor that kept it."""
        for one in self._store.ancestry(generation) if generation else ():
            kept = self._store.stage(f"{_WORTH}{one}")
            if kept is not None:
                return dict(kept["units"])
        return {}

    def keep_worth(self, generation: str, units: Mapping[str, float]) -> None:
        """Keep what units are known to be worth, for the ranking in this generation."""
        self._store.finish_stage(f"{_WORTH}{generation}", {"units": dict(units)})
        self.forget()
