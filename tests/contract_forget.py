"""The contract suite for forgetters, and forgetters that are wrong in one way each."""

from pathlib import Path
from typing import Any

import pytest
from contract_checks import check_made, continued
from contract_wrong import Method
from episodes import task, trajectory
from stores import generation

from instar.contracts import Forgetter
from instar.store import Store
from instar.types import (
    MemoryItem,
    MemoryOp,
    OpKind,
    Recalled,
    Score,
    ScoreSource,
    Status,
    Trajectory,
)
from memory.forget.base import Observing

CLOCKS = (0.0, 128.0, 1000.0, 1e6)


def item(number: int) -> MemoryItem:
    return MemoryItem(
        id=f"i{number}",
        title=f"about {number}",
        when=f"refund order $1 {number}",
        content="tag first " * 399,
        kind="lesson",
        namespace=f"house_rules/{number % 2}",
        support=number % 3,
        pinned=number % 10 == 7,
    )


def practised() -> list[Trajectory]:
    """Episodes in which two of the memories, of a namespace each, make success impossible."""
    lived = []
    for n in range(200):
        harmful, shown = item(n % 2), n % 4 < 2
        told = {"version": 1, "title": "", "when": "", "content": "", "kind": "lesson"}
        drawn = Recalled(label="m1", item=harmful.id, shown=shown, propensity=0.5, **told)
        status = Status.FAIL if shown else Status.PASS
        verdict = Score(status=status, source=ScoreSource.PROGRAM)
        made = {"score": verdict, "memories": (drawn,), "purpose": "practise"}
        lived.append(trajectory(task(f"t{n}", namespace=harmful.namespace), **made))
    return lived


def check_forgetter(cls: type[Any], folder: Path) -> None:
    check_made(cls, Forgetter)
    first = cls()
    assert first.sweep([], 0.0) == [], "ends what is not there"
    items = [item(n) for n in range(200)]
    pinned = {i.id for i in items if i.pinned}
    with Store.open(folder) as store:
        store.add_generation(generation("g0"))
        add = [MemoryOp(kind=OpKind.ADD, item=i) for i in items]
        store.apply(add, "g0", {})
        for clock in CLOCKS:
            second, seen = continued(cls, first), store.items("g0")
            for one in (first, second):
                if isinstance(one, Observing):
                    one.observe(practised())
            ops = first.sweep(seen, clock)
            assert second.sweep(seen, clock) == ops, "goes on otherwise after a stop"
            assert all(op.reason for op in ops), "gives no reason"
            ended = {op.target for op in ops if op.kind is OpKind.RETIRE}
            assert not ended & pinned, "forgets what is pinned"
            try:
                store.apply(ops, "g0", {})
            except ValueError as error:
                pytest.fail(f"a change that does not fit the bank: {error}")
            assert first.sweep(store.items("g0"), clock) == [], (
                "goes on forgetting with the same clock"
            )
        left = {i.id for i in store.items("g0")}
    assert pinned <= left, "forgets what is pinned"
    assert len(left) < len(items), "forgets nothing, ever"


class RightForgetter(Method):
    """Right: the oldest over a cap; the wrong ones below change one thing."""

    def sweep(self, items, clock):
        free = [i for i in items if not i.pinned]
        return [self.op(i.id) for i in free[: max(0, len(free) - 100)]]

    def op(self, id):
        return MemoryOp(kind=OpKind.RETIRE, target=id, reason="over the cap")


class Purging(RightForgetter):
    """Forgets what somebody wants kept."""

    def sweep(self, items, clock):
        return [self.op(i.id) for i in items]


class Inventing(RightForgetter):
    """Ends what nobody has written."""

    def sweep(self, items, clock):
        return [self.op("nobody")] if items else []


class Hoarding(RightForgetter):
    """Keeps everything."""

    def sweep(self, items, clock):
        return []


class Restless(RightForgetter):
    """Forgets one at every look, whatever the clock says."""

    def sweep(self, items, clock):
        return [self.op(i.id) for i in items if not i.pinned][:1]
