"""Which tasks a round of practise attempts, and what the curriculum learns from the attempts.

The choice is kept in the store before the first episode, so a round that was killed goes on with
the same tasks. The second round adds tasks that proposers made from what the first one showed.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from instar._loop import Loop, State, draw, some
from instar._methods import build
from instar._proposing import Proposed, propose
from instar.compose import Serving
from instar.contracts import Selector
from instar.types import Score, Split, Status, Task, Trajectory

__all__ = ["Plan", "choose", "learn"]

_POOL = 4


class Plan(NamedTuple):
    """The tasks of a round, and how many drafts were refused, by reason."""

    home: list[Task]
    foreign: list[Task]
    refused: dict[str, int]


async def choose(loop: Loop, key: str, state: State, serving: Serving) -> Plan:
    """The tasks of a round, chosen once; the agent that will practise them may have to show that it can."""
    kept = loop.store.stage(f"{key}/plan")
    if kept is None:
        kept = await _choose(loop, key, state, serving)
        loop.store.finish_stage(f"{key}/plan", kept)
    home, foreign = ([loop.store.task(i) for i in kept[name]] for name in ("home", "foreign"))
    return Plan(home, foreign, kept["refused"])


async def _choose(loop: Loop, key: str, state: State, serving: Serving) -> dict[str, Any]:
    practise, workspace = loop.config.practise, loop.workspace
    abroad = workspace.foreign
    away = round(practise.tasks * practise.foreign_share) if abroad is not None else 0
    wanted = practise.tasks - away
    seed = draw(loop.config, key)
    rng = random.Random(seed)
    selector = _selector(loop, key)
    found = Proposed([], {}, {}, {})
    if key.endswith("_2"):
        earlier = f"g{state['turn']}/practise_1"
        found = await propose(loop, key, earlier, serving, selector, rng)
    pool = some(workspace.home, Split.PRACTISE, _POOL * practise.tasks, seed)
    for later in (Split.GATE, Split.HELD_OUT):  # it would be late to find that out after practice
        some(workspace.home, later, 1, seed)
    proposed = _within(found.tasks, selector, wanted, rng)
    home = [*proposed, *selector.select(pool, wanted - len(proposed), rng)]
    foreign = abroad.tasks(Split.PRACTISE, away, seed) if abroad is not None and away else []
    unique = list({t.id: t for t in home}.values())
    loop.store.save_tasks([*unique, *foreign])
    plan = {"home": [t.id for t in unique], "foreign": [t.id for t in foreign]}
    told = {"refused": found.refused, "difficulty": found.difficulty}
    return {**plan, **told, "proposers": found.states}


def _within(
    drafts: Sequence[Task], selector: Selector, wanted: int, rng: random.Random
) -> Sequence[Task]:
    """The drafts that a round has room for beside the world's own tasks, which practice is anchored in."""
    anchors = getattr(getattr(selector, "config", None), "anchors", 0.0)
    room = wanted - math.ceil(anchors * wanted)
    return drafts if len(drafts) <= room else selector.select(drafts, room, rng)


def _selector(loop: Loop, key: str) -> Selector:
    """The selector, which goes on from what it has learnt itself; that of another says nothing to it."""
    name = loop.config.curriculum.select
    selector: Selector = build("curriculum.select", name, loop.config)
    fresh = selector.state_dict()
    rounds = [v for k, v in loop.store.stages("g").items() if "practise" in k and "selector" in v]
    for kept in reversed(rounds):
        state = kept["selector"]
        # Rounds of an older workspace do not say whose it is; then it is known by its form.
        own = kept["selected_by"] == name if "selected_by" in kept else state.keys() == fresh.keys()
        if own:
            selector.load_state_dict(state)
            break
    return selector


def learn(loop: Loop, key: str, done: Sequence[Trajectory], plan: Plan) -> dict[str, Any]:
    """Tell the selector how the attempts at home ended; facts of the round."""
    attempts: dict[str, list[Score]] = defaultdict(list)
    for one in done:
        attempts[one.task.id].append(one.score)
    selector = _selector(loop, key)
    selector.update(attempts, {t.id: t.group for t in plan.home})
    return {
        "tasks": len(plan.home) + len(plan.foreign),
        "proposed": sum(t.origin != "world" for t in plan.home),
        "origins": Counter(t.origin for t in plan.home),
        "refused": sum(plan.refused.values()),
        "refusals": plan.refused,
        "clean": sum(t.score.status == Status.PASS for t in done),
        "home": len(done),
        "selector": selector.state_dict(),
        "selected_by": loop.config.curriculum.select,
    }
