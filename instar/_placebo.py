"""The placebo adapter: what the same curator and trainer make of verified successes elsewhere.

Where each adapter goes on from the one before, the placebo is trained as many times too. Where nothing
came of it, that is kept as well, so that a run that goes on leaves out the arms that it left out before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from instar._curating import asked_model
from instar._loop import Loop
from instar._methods import build
from instar._stages import describe
from instar._subjects import Subject
from instar._training import NO_TRAINING, train_adapter
from instar.errors import UserError
from instar.types import Generation, content_hash

__all__ = ["with_placebos"]


async def with_placebos(
    loop: Loop, subjects: Sequence[Subject]
) -> tuple[list[Subject], dict[str, str]]:
    """The subjects, with the adapter of a placebo, and the labels of those that it could not be made for.

    Raises:
        UserError: There is no foreign house, or these settings train nothing.
    """
    found: list[Subject] = []
    left_out: dict[str, str] = {}
    for subject in subjects:
        if subject.arm == "placebo_adapter":
            adapter, reason = await _made(loop, subject.generation)
            if adapter is None:
                left_out[subject.label] = reason
                continue
            serving = subject.serving.model_copy(update={"adapter": adapter})
            subject = replace(subject, serving=serving)
        found.append(subject)
    return found, left_out


async def _made(loop: Loop, generation: Generation) -> tuple[str | None, str]:
    """The adapter that learnt in the foreign house, made when it is first asked for, or why there is none."""
    foreign = loop.workspace.foreign
    if foreign is None:
        raise UserError("This world has no foreign house: leave out placebo_adapter.")
    if loop.config.train.trainer == "off" or loop.workspace.models.folder is None:
        raise UserError("Nothing is trained with these settings: leave out placebo_adapter.")
    times = _times(loop, generation.adapter)
    key = f"placebo/{generation.id}/{times}"
    kept = loop.store.stage(key)
    under = content_hash(loop.config.model_dump(mode="json", include={"train", "methods"}), 12)
    if kept is None or (kept["adapter"] is None and kept["under"] != under):
        kept = {**await _train(loop, key, generation, foreign.namespace, times), "under": under}
        loop.store.finish_stage(key, kept)
    return kept["adapter"], kept.get("reason", "")


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
        return {
            "adapter": None,
            "reason": f"there is no verified success in {namespace} to train it on",
        }
    found.save(loop.workspace.path / "datasets" / found.hash)
    adapter = None
    try:
        for time in range(1, times + 1):
            adapter = await train_adapter(loop, f"{key}/{time}", found, adapter)
    except NO_TRAINING:
        raise
    except UserError as error:
        return {"adapter": None, "reason": f"no adapter came of training it: {error}".rstrip(".")}
    return {**describe(found), "adapter": adapter}
