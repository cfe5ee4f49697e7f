"""The placebo adapter: what the same curator and trainer make of verified successes elsewhere.

Where each adapter goes on from the one before, the placebo is trained as many times too.
"""

from __future__ import annotations

from typing import Any

from instar._curating import asked_model
from instar._loop import Loop
from instar._methods import build
from instar._stages import describe
from instar._training import train_adapter
from instar.errors import UserError
from instar.types import Generation

__all__ = ["placebo_adapter"]


async def placebo_adapter(loop: Loop, generation: Generation) -> str:
    """Name of the adapter that learnt in the foreign house; made when it is first asked for.

    Raises:
        UserError: There is no foreign house, or nothing was or can be learnt from it.
    """
    foreign = loop.workspace.foreign
    if foreign is None:
        raise UserError("This world has no foreign house: leave out placebo_adapter.")
    if loop.config.train.trainer == "off" or loop.workspace.models.folder is None:
        raise UserError("Nothing is trained with these settings: leave out placebo_adapter.")
    times = _times(loop, generation.adapter)
    key = f"placebo/{generation.id}/{times}"
    kept = loop.store.stage(key)
    if kept is None:
        kept = await _train(loop, key, generation, foreign.namespace, times)
    return str(kept["adapter"])


def _times(loop: Loop, name: str | None) -> int:
    """How many trainings an adapter has behind it."""
    times = 1
    while name is not None:
        adapter = loop.store.adapter(name)
        name = adapter.parent if adapter.recipe.get("start") == "parent" else None
        times += name is not None
    return times


async def _train(
    loop: Loop, key: str, generation: Generation, namespace: str, times: int
) -> dict[str, Any]:
    name = loop.config.train.curator
    # The placebo starts from nothing, whatever adapter serves.
    asked = asked_model(loop.workspace, name) | {"adapter": None}
    curator = build("finetune.curate", name, loop.config, home=namespace, **asked)
    turns = {g.seq for g in map(loop.store.generation, loop.store.ancestry(generation.id))}
    lived = [
        t
        for turn in sorted(turns)
        for i in (1, 2)
        for t in loop.store.trajectories(stage=f"g{turn}/practise_{i}", namespace=namespace)
    ]
    found = curator.curate(lived)
    if not found.rows:
        raise UserError(
            f"No verified success in {namespace} to train a placebo on: leave out placebo_adapter."
        )
    found.save(loop.workspace.path / "datasets" / found.hash)
    adapter = None
    for time in range(1, times + 1):
        adapter = await train_adapter(loop, f"{key}/{time}", found, adapter)
    value = {**describe(found), "adapter": adapter}
    loop.store.finish_stage(key, value)
    return value
