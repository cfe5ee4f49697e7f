"""A process that writes to a store and says what it was told is saved, until it is killed.

Run as ``python store_writer.py FOLDER trajectory|apply|activate|counter TIMES``.
"""

import sys
from pathlib import Path

from episodes import task, trajectory
from stores import generation

from instar.store import Store
from instar.types import MemoryItem, MemoryOp, OpKind


def save_trajectory(store: Store, number: int) -> None:
    store.save_trajectory(trajectory(task(f"t{number}")))


def apply(store: Store, number: int) -> None:
    """Two items at once, so that half a change would show."""
    items = [
        MemoryItem(id=f"{name}{number}", title="", when="", content="", kind="fact", namespace="n")
        for name in "ab"
    ]
    vectors = {item.id: [1.0] for item in items}
    store.apply([MemoryOp(kind=OpKind.ADD, item=item) for item in items], "g0", vectors)


def activate(store: Store, number: int) -> None:
    store.activate(f"g{number % 2}")


def counter(store: Store, number: int) -> None:
    print("counted", store.counter("shared"), flush=True)


def main(folder: str, what: str, times: str) -> None:
    actions = {
        "trajectory": save_trajectory,
        "apply": apply,
        "activate": activate,
        "counter": counter,
    }
    with Store.open(Path(folder)) as store:
        store.add_generation(generation("g0"))
        store.add_generation(generation("g1", "g0"))
        print("open", flush=True)
        for number in range(int(times)):
            actions[what](store, number)
            print("saved", number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
