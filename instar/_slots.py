"""The cache of rows that are decoded together, each in a slot of its own and of its own length.

A row begins at the left of its slot and grows to the right; what lies beyond its length is masked.
So one row joins or leaves without another being copied, and a new token is written into memory that
is there already. The layers are those of transformers, with their storage exchanged.
"""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["Slots"]

_TOKENS = 256
"""Storage grows by a multiple of this."""


class Slots:
    """Keys, values and recurrent states of rows of different length.

    Args:
        config: Of the model.
    """

    def __init__(self, config: Any) -> None:
        self.cache = _empty(config)
        self.cache.layers = [_slot_layer(layer)() for layer in self.cache.layers]
        self.lengths: list[int] = []

    @staticmethod
    def fit(config: Any) -> bool:
        """Whether every layer of a model keeps what can be put into slots; a sliding window is not."""
        return all(_slot_layer(layer) for layer in _empty(config).layers)

    def add(self, alone: Any, length: int) -> None:
        """Copy a cache with one row into the next slot."""
        self.lengths.append(length)
        for layer, own in zip(self.cache.layers, alone.layers, strict=True):
            layer.put(len(self.lengths) - 1, own)

    def remove(self, row: int) -> None:
        """Free a slot; the last row moves into it."""
        last = len(self.lengths) - 1
        for layer in self.cache.layers:
            layer.move(last, row)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()

    def begin_step(self, device: Any) -> tuple[Any, Any]:
        """Make room for one more token in every row; its positions, and a mask where one is needed."""
        import torch

        at = torch.tensor(self.lengths, device=device)
        width = max(self.lengths) + 1
        for layer in self.cache.layers:
            layer.begin_step(at, width)
        mask = None
        if min(self.lengths) + 1 < width:
            mask = (torch.arange(width, device=device) <= at[:, None]).long()
        self.lengths = [length + 1 for length in self.lengths]
        return at[:, None], mask


def _empty(config: Any) -> Any:
    from transformers import DynamicCache

    return DynamicCache(config=config)


def _slot_layer(layer: Any) -> Any:
    """The class of a layer with slots for a stock layer, or None where there is none."""
    return _classes().get(type(layer))


@functools.cache
def _classes() -> dict[type, type]:
    from transformers.cache_utils import DynamicLayer, LinearAttentionLayer

    return {DynamicLayer: _slot_keys(), LinearAttentionLayer: _slot_states()}


def _slot_keys() -> type:
    import torch
    from transformers.cache_utils import DynamicLayer

    class SlotKeys(DynamicLayer):  # type: ignore[misc]
        """Keys and values, ``[slots, heads, tokens, size]``."""

        def put(self, row: int, own: Any) -> None:
            length = own.keys.shape[-2]
            if not self.is_initialized:
                self.lazy_initialization(own.keys, own.values)
                self.store: list[Any] = [own.keys[:0, :, :0], own.values[:0, :, :0]]
            self._make_room(row + 1, length + 1)
            for store, tensor in zip(self.store, (own.keys, own.values), strict=True):
                store[row, :, :length] = tensor[0]

        def move(self, source: int, target: int) -> None:
            for store in self.store:
                store[target].copy_(store[source])

        def begin_step(self, at: Any, width: int) -> None:
            self._make_room(len(at), width)
            self._rows, self._at, self._width = torch.arange(len(at), device=at.device), at, width
            self.keys, self.values = (store[: len(at), :, : width - 1] for store in self.store)

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            for store, new in zip(self.store, (key_states, value_states), strict=True):
                store[self._rows, :, self._at] = new[:, :, 0]
            rows = len(self._rows)
            self.keys, self.values = (store[:rows, :, : self._width] for store in self.store)
            return self.keys, self.values

        def _make_room(self, rows: int, tokens: int) -> None:
            had = self.store[0].shape
            if rows <= had[0] and tokens <= had[2]:
                return
            more = max(rows, 2 * had[0] if rows > had[0] else had[0])
            width = max(had[2], -(-tokens // _TOKENS) * _TOKENS)
            # Zeros, as whatever is masked is multiplied by zero and must not be infinite.
            grown = [s.new_zeros(more, had[1], width, s.shape[3]) for s in self.store]
            for new, old in zip(grown, self.store, strict=True):
                new[: had[0], :, : had[2]] = old
            self.store = grown

    return SlotKeys


def _slot_states() -> type:
    import torch
    from transformers.cache_utils import LinearAttentionLayer

    class SlotStates(LinearAttentionLayer):  # type: ignore[misc]
        """States of convolutions and of linear attention, which have no length."""

        def put(self, row: int, own: Any) -> None:
            for name in ("conv_states", "recurrent_states"):
                for i, state in getattr(own, name).items():
                    if state is not None:
                        self._put(getattr(self, name), i, row, state)
            self.is_conv_states_initialized = dict(own.is_conv_states_initialized)
            self.is_recurrent_states_initialized = dict(own.is_recurrent_states_initialized)
            self.has_previous_state = dict(own.has_previous_state)
            self.conv_kernel_size = dict(own.conv_kernel_size)
            self.dtype, self.device = own.dtype, own.device

        def _put(self, states: dict[int, Any], i: int, row: int, state: Any) -> None:
            kept = states[i]
            states[i] = state.clone() if row == 0 else torch.cat([kept[:row], state])

        def move(self, source: int, target: int) -> None:
            for states in (self.conv_states, self.recurrent_states):
                for i, state in states.items():
                    if state is not None:
                        state[target] = state[source]
                        states[i] = state[:source]

        def begin_step(self, at: Any, width: int) -> None:
            """Nothing: states are of one size."""

    return SlotStates
