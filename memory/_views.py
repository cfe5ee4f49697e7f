"""What generations see, read from the store once and kept until something changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from instar.errors import WorkspaceError
from instar.store import Store
from memory._view import View

__all__ = ["Seen", "Views"]

_KEPT = 4
_WORTH = "worth/"
"""Prefix of the keys under which the store keeps what a generation knows its units to be worth."""


class Seen(NamedTuple):
    """What a generation sees.

    Attributes:
        stamp: The newest change when it was read.
        worth: Effect on success of those units of which it knows one.
    """

    stamp: Any
    view: View
    worth: dict[str, float]


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
        # Another process may have written: the newest change in the log says so.
        stamp = self._store.memory_log(1)
        held = self._held.pop(generation, None)
        if held is None or held.stamp != stamp:
            if self._store.embedder() != self._record:
                raise WorkspaceError(
                    "The memories were embedded anew by another process: start this one again."
                )
            items, vectors = self._store.items(generation), self._store.vectors(generation)
            view = View(items, vectors, self._record["dimension"])
            held = Seen(stamp, view, self._worth(generation))
        while len(self._held) >= _KEPT:
            self._held.pop(next(iter(self._held)))
        self._held[generation] = held
        return held

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
