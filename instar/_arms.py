"""What of a generation can be measured: which one to take, and which arms it has what it takes for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from instar._planting import HasFalseAdvice
from instar.contracts import World
from instar.errors import UserError
from instar.types import Generation, GenerationStatus, Split

if TYPE_CHECKING:
    from instar.compose import Workspace

__all__ = ["fullest", "lacking"]


def fullest(workspace: Workspace, active: Generation) -> Generation:
    """The newest undecided candidate that adds an adapter to a generation, else that generation.

    It has all that the other has and the adapter that the gate could not decide on, so that the
    arms with it can be measured; where files of that adapter are damaged they cannot. An undecided
    candidate that sheds what it makes needless is the one that is measured: of its arms only
    ``moulted`` goes without.
    """
    waiting = [
        (g, g.adapter)
        for g in workspace.store.generations()
        if g.status is GenerationStatus.CANDIDATE and g.adapter is not None
    ]
    found = [
        g
        for g, adapter in waiting
        if g.parent == active.id
        and adapter != active.adapter
        and not workspace.registry.why_not(adapter)
    ]
    bearer = max(found, key=lambda g: g.seq, default=active)
    moulted = [
        g
        for g, adapter in waiting
        if g.parent == bearer.id
        and adapter == bearer.adapter
        and _shed(workspace, g) > _shed(workspace, bearer)
    ]
    return max(moulted, key=lambda g: g.seq, default=bearer)


def _shed(workspace: Workspace, generation: Generation) -> set[str]:
    return {item.id for item in workspace.store.internalised(generation.id)}


def lacking(
    workspace: Workspace, generation: Generation, names: Sequence[str], learns: bool = False
) -> dict[str, str]:
    """Which arms a generation has not what it takes for, each with the reason.

    Without memory the arm ``memory`` would be the arm ``base`` under another name, unless it
    ``learns`` while it is measured.
    """
    reasons = {}
    space = workspace.home.namespace
    shed = workspace.store.internalised(generation.id)
    seen = [*workspace.store.items(generation.id), *shed]
    known = Counter(i.namespace for i in seen)
    if not learns and known.keys().isdisjoint((space, *workspace.config.memory.namespaces)):
        learnt = f"; it learnt in {known.most_common(1)[0][0]}" if known else ""
        learnt += _waiting(workspace, generation)
        reasons["memory"] = f"{generation.id} remembers nothing of {space}{learnt}"
        reasons["false_memory"] = reasons["memory"]
    elif "false_memory" in names and not _gives_false_advice(workspace.home):
        reasons["false_memory"] = f"{space} has nothing false to say"
    if not shed:
        reasons["moulted"] = f"{generation.id} has shed nothing"
    if generation.texts is None:
        reasons["prompt"] = reasons["whole"] = f"the prompts of {generation.id} have not evolved"
    if generation.adapter is None:
        reasons["adapter"] = f"{generation.id} has no adapter"
    if both := [reasons[part] for part in ("memory", "adapter") if part in reasons]:
        reasons["both"] = " and ".join(both)
    return {name: why for name, why in reasons.items() if name in names}


def _waiting(workspace: Workspace, generation: Generation) -> str:
    """Which candidate beside a generation that remembers nothing does remember something."""
    store, space = workspace.store, workspace.home.namespace
    found = [
        g
        for g in store.generations()
        if g.status is GenerationStatus.CANDIDATE
        and g.parent is not None
        and g.parent in (generation.id, generation.parent)
        and any(item.namespace == space for item in store.items(g.id))
    ]
    newest = max(found, key=lambda g: (g.seq, g.created), default=None)
    if newest is None:
        return ""
    world = workspace.config.world.name
    return (
        f"; the candidate {newest.id} does: instar bench run {world} --arms base,memory "
        f"--generation {newest.id}"
    )


def _gives_false_advice(world: World) -> bool:
    if not isinstance(world, HasFalseAdvice):
        return False
    try:
        return all(world.advice(task.family) for task in world.tasks(Split.HELD_OUT, 1, 0))
    except UserError:
        return False
