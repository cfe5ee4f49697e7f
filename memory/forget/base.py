"""What forgetters share: the contract, and who may be forgotten.

An item is forgotten by ending it in the generation that is being made; its versions stay in the
store, so that a bad sweep can be undone. Pinned items are never forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from instar.contracts import Forgetter as Contract
from instar.types import MemoryItem, MemoryOp, OpKind, Recalled, Trajectory

__all__ = ["Contract", "Observing", "forgotten", "tokens"]

_CHARACTERS = 4


@runtime_checkable
class Observing(Contract, Protocol):
    """A forgetter that judges by how episodes went."""

    def observe(self, practised: Sequence[Trajectory], held: Collection[str] = ()) -> None:
        """Take what practice tells before a sweep.

        Args:
            practised: Episodes in their order, of the model that is served.
            held: Ids of memories that a person put into quarantine, of which evidence has to say that
                they help before they come out of it.
        """
        ...


def forgotten(item: MemoryItem, reason: str) -> MemoryOp:
    """The change that ends an item."""
    return MemoryOp(kind=OpKind.RETIRE, target=item.id, reason=reason)


def tokens(item: MemoryItem | Recalled) -> int:
    """About how many tokens the item takes in a prompt, at four characters each, rounded up."""
    return -(-len(f"{item.when} {item.content}") // _CHARACTERS)
