"""What was shed comes back where practice has fallen off since, and not because it is learnt again.

A group's practice in the round just done is compared with that of the turn in which its memories were
shed, by Fisher's exact test. A distiller does not see what was shed, and would write the same again at
the next success.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from instar._loop import Loop
from instar.stats import fewer
from instar.store import Store
from instar.types import MemoryItem, MemoryOp, MemoryStatus, OpKind, Status, Trajectory

__all__ = ["came_back", "still_shed"]

_LEVEL = 0.05
_ROUNDS = ("practise_1", "practise_2")


def came_back(loop: Loop, key: str, lived: Sequence[Trajectory], candidate: str) -> int:
    """Bring back what was shed in groups whose practice has fallen off since; how many came.

    Args:
        loop: Where it is written.
        key: Author of the changes, made once.
        lived: The practice just done.
        candidate: The generation in which they come back.
    """
    shed = loop.store.internalised(candidate)
    if not shed or loop.store.memory_log(1, author=key):
        return 0
    now = _clean(lived)
    back = [item for item in shed if item.group in now and _fallen(loop, item, now[item.group])]
    ops = [
        MemoryOp(
            kind=OpKind.ADD,
            item=item.model_copy(update={"status": MemoryStatus.CANDIDATE}),
            reason=f"practice of {item.group} has fallen off since it was shed",
        )
        for item in back
    ]
    if ops:
        loop.workspace.bank.write(ops, candidate, key)
    return len(ops)


def still_shed(store: Store, generation: str, ops: Sequence[MemoryOp]) -> list[MemoryOp]:
    """The changes of a distiller without those that would bring back what the adapter does without.

    What was shed because no task went clean with it or without may be learnt again: the adapter knows
    nothing of it.
    """
    shed = store.internalised(generation)
    idle = {place: _idle(store, place) for place in {item.generation for item in shed}}
    gone = {item.id for item in shed if item.id not in idle[item.generation]}
    return [op for op in ops if op.item is None or op.item.id not in gone]


def _idle(store: Store, generation: str) -> set[str]:
    """What the moult of a generation's turn judged by groups in which nothing went clean without it."""
    facts = store.stage(f"g{store.generation(generation).seq}/moult") or {"clusters": []}
    return {id for c in facts["clusters"] if not c["shed_clean"] for id in c["items"]}


def _fallen(loop: Loop, item: MemoryItem, now: Sequence[bool]) -> bool:
    turn = loop.store.generation(item.generation).seq
    rounds = (loop.store.trajectories(stage=f"g{turn}/{name}") for name in _ROUNDS)
    then = _clean([t for lived in rounds for t in lived]).get(item.group, [])
    return fewer(sum(now), len(now), sum(then), len(then)) < _LEVEL


def _clean(lived: Sequence[Trajectory]) -> dict[str, list[bool]]:
    """Whether each known attempt at home went clean, by group."""
    found: dict[str, list[bool]] = defaultdict(list)
    for one in lived:
        if one.purpose == "practise" and one.score.status is not Status.UNKNOWN:
            found[one.task.group].append(one.score.status is Status.PASS)
    return found
