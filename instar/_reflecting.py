"""What a reflection asks of distillers and forgetters: each once, its changes kept before they are made.

A plan lies in the store under the key of its reflection, with the state that its method goes on from
next time. A reflection that was killed reads the plan again instead of asking, so no answer of a
model is paid for or drawn twice once it was kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instar._holding import held
from instar._loop import Loop
from instar._methods import build
from instar._returning import still_shed
from instar._taken_back import allowed, still_held
from instar._worthing import withheld_from
from instar.contracts import Distiller, Forgetter, ModelDistiller
from instar.types import MemoryOp, OpKind, Trajectory

__all__ = ["distil", "forget", "weigh"]

_PRACTICE = ("practise_1", "practise_2")


async def distil(
    loop: Loop, key: str, name: str, lived: Sequence[Trajectory], candidate: str, before: str
) -> dict[str, Any]:
    """Ask one distiller.

    Args:
        loop: Where the plan is kept.
        key: Names this reflection.
        name: The distiller.
        lived: What it reads.
        candidate: The generation that it writes in.
        before: Prefix of the keys of earlier reflections, whose state it goes on from.

    Returns:
        The plan: its changes as ``ops``, how many it had to leave out as ``refused``, and the
        distiller's ``state``.
    """
    plan = loop.store.stage(key)
    if plan is None:
        from memory.fit import fitting

        asked = loop.workspace.model(loop.config.memory.model)
        form = "lines" if asked.name == "pocket" else None
        distiller: Distiller | ModelDistiller = build(
            "memory.distill", name, loop.config, form=form
        )
        _go_on(loop, distiller, before, f"/{name}")
        bank = loop.store.items(candidate)
        if isinstance(distiller, ModelDistiller):
            ops = await distiller.distill_with(loop.adviser(), lived, bank)
        else:
            ops = distiller.distill(lived, bank)
        fit = fitting(ops)
        kept = allowed(loop.store, candidate, fit)
        unfit, refused = len(ops) - len(fit), len(fit) - len(kept)
        new = still_shed(loop.store, candidate, kept)
        plan = _keep(loop, key, _on_trial(loop, new), distiller, refused)
        _tell_left_out(loop, key, unfit, "left out: text that may not stand in a prompt")
        _tell_left_out(loop, key, refused, "refused: a person took that back")
    _write(loop, key, plan["ops"], candidate, lifts=False)
    return plan


def _tell_left_out(loop: Loop, key: str, number: int, why: str) -> None:
    if number:
        loop.progress.say(f"{key}: {number} change{'s' * (number > 1)} {why}")


def _on_trial(loop: Loop, ops: Sequence[MemoryOp]) -> list[MemoryOp]:
    """The changes, with what is new in the status in which a memory begins, if worth decides on it."""
    if "uplift" not in loop.config.memory.forget:
        return list(ops)
    from memory.forget.uplift import Uplift

    rules = build("memory.forget", "uplift", loop.config)
    assert isinstance(rules, Uplift)
    return [
        op.model_copy(update={"item": rules.begin(op.item)})
        if op.kind is OpKind.ADD and op.item is not None
        else op
        for op in ops
    ]


def weigh(loop: Loop, candidate: str) -> None:
    """Keep for a candidate's ranking what its units are known to be worth by now."""
    from memory.worth import Level, known, observations, worth

    observed = observations(withheld_from(loop.store, loop.config.model.name))
    loop.workspace.bank.keep_worth(candidate, known(worth(observed, Level.CLUSTER)))


def forget(loop: Loop, key: str, name: str, candidate: str) -> int:
    """Let one forgetter sweep what a candidate sees.

    Args:
        loop: Where the plan is kept.
        key: Names this reflection.
        name: The forgetter.
        candidate: The generation in which items end.

    Returns:
        The number of changes.
    """
    tail = f"/forget/{name}"
    plan = loop.store.stage(f"{key}{tail}")
    if plan is None:
        from memory.forget.base import Observing

        forgetter: Forgetter = build("memory.forget", name, loop.config)
        _go_on(loop, forgetter, "g", tail)
        if isinstance(forgetter, Observing):
            practised = withheld_from(loop.store, loop.config.model.name)
            forgetter.observe(practised, held(loop.store, candidate).keys())
        ops = forgetter.sweep(loop.store.items(candidate), _practised(loop))
        plan = _keep(loop, f"{key}{tail}", ops, forgetter)
    _write(loop, f"{key}{tail}", plan["ops"], candidate)
    return len(plan["ops"])


def _practised(loop: Loop) -> float:
    """The clock of forgetters: episodes practised so far."""
    stages = loop.store.stages("g").items()
    return float(sum(v["episodes"] for k, v in stages if k.partition("/")[2] in _PRACTICE))


def _go_on(
    loop: Loop, method: Distiller | ModelDistiller | Forgetter, prefix: str, tail: str
) -> None:
    """Load the state that its latest reflection left."""
    stages = loop.store.stages(prefix).items()
    found = [v for k, v in stages if k.endswith(tail) and "ops" in v]
    if found and found[-1]["state"]:
        method.load_state_dict(found[-1]["state"])


def _keep(
    loop: Loop,
    key: str,
    ops: Sequence[MemoryOp],
    method: Distiller | ModelDistiller | Forgetter,
    refused: int = 0,
) -> dict[str, Any]:
    written = [op.model_dump(mode="json") for op in ops]
    plan = {"ops": written, "refused": refused, "state": method.state_dict()}
    loop.store.finish_stage(key, plan)
    return plan


def _write(
    loop: Loop, key: str, planned: Sequence[Any], candidate: str, lifts: bool = True
) -> None:
    ops = [MemoryOp.model_validate(op) for op in planned]
    if ops and not loop.store.memory_log(1, author=key):
        if not lifts:
            ops = still_held(loop.store, candidate, ops)
        loop.workspace.bank.write(ops, candidate, key)
