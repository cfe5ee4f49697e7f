"""What the model has read before: caches of beginnings that many prompts share.

A prompt that begins like an earlier one is read from there on. Where two prompts part is known only
when the second comes, so a beginning is kept at the second sight of it (policy and tools of all
tasks, then policy, memory and task of one episode). RadixAttention (Zheng et al. 2024) keeps
everything in a tree; here a few dozen beginnings are enough.
"""

from __future__ import annotations

import copy
from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import takewhile
from operator import eq
from typing import Any

__all__ = ["Prefixes"]

_PROMPTS = 64
_WORTH = 32
"""Tokens that a longer beginning must save."""
_BYTES = 128 * 2**20


class Prefixes:
    """Caches of beginnings, least recently used thrown away first."""

    def __init__(self) -> None:
        self._prompts: deque[Sequence[int]] = deque(maxlen=_PROMPTS)
        self._caches: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._bytes = 0

    def best(self, ids: Sequence[int]) -> tuple[Any, int, int]:
        """Where to begin a prompt.

        Returns:
            A cache of one row to go on from, or None; how many tokens are in it; and up to which
            token the beginning is worth keeping, the same number where it is not.
        """
        known = max((k for k in self._caches if _begins(ids, k)), key=len, default=())
        shared = max((_common(ids, one) for one in self._prompts), default=0)
        self._prompts.append(ids)
        # The last token must be read in any case, as its logits are asked for.
        shared = min(shared, len(ids) - 1)
        keep = shared if shared >= len(known) + _WORTH else len(known)
        if not known:
            return None, 0, keep
        self._caches.move_to_end(known)
        return _copied(self._caches[known]), len(known), keep

    def keep(self, ids: Sequence[int], cache: Any) -> None:
        """Keep the cache of a beginning."""
        kept = _copied(cache)
        self._caches[tuple(ids)] = kept
        self._bytes += _size(kept)
        while self._bytes > _BYTES and self._caches:
            _, dropped = self._caches.popitem(last=False)
            self._bytes -= _size(dropped)


def _begins(ids: Sequence[int], prefix: Sequence[int]) -> bool:
    return len(prefix) < len(ids) and tuple(ids[: len(prefix)]) == prefix


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(bool, map(eq, a, b)))


def _copied(cache: Any) -> Any:
    """The same cache for somebody else to go on: keys and values grow by new tensors, states change in place."""
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in twin.layers:
        for name, value in vars(layer).items():
            if isinstance(value, dict):
                cloned = {k: v.clone() if hasattr(v, "clone") else v for k, v in value.items()}
                setattr(layer, name, cloned)
    return twin


def _size(cache: Any) -> int:
    found = 0
    for layer in cache.layers:
        tensors = [getattr(layer, "keys", None), getattr(layer, "values", None)]
        for name in ("conv_states", "recurrent_states"):
            tensors += getattr(layer, name, {}).values()
        found += sum(t.numel() * t.element_size() for t in tensors if t is not None)
    return found
