"""Which tasks a round of practise attempts, and what the curriculum learns from the attempts.

The choice is kept in the store before the first episode, so a round that was killed goes on with
the same tasks. The second round adds tasks that the proposer made from failures of the first.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from curriculum.checks import Admitted, check
from curriculum.propose.base import Context
from instar._loop import Loop, State, draw, some
from instar._methods import build
from instar.contracts import Proposer, Selector
from instar.types import Score, Split, Status, Task, Trajectory

__all__ = ["Plan", "choose", "learn"]

_POOL = 4
_NONE: tuple[list[Task], dict[str, Any]] = ([], {"refused": 0})


class Plan(NamedTuple):
    """The tasks of a round, and how many drafts were refused."""

    home: list[Task]
    foreign: list[Task]
    refused: int


def choose(loop: Loop, key: str, state: State) -> Plan:
    """The tasks of a round, chosen once."""
    kept = loop.store.stage(f"{key}/plan")
    if kept is None:
        kept = _choose(loop, key, state)
        loop.store.finish_stage(f"{key}/plan", kept)
    home, foreign = ([loop.store.task(i) for i in kept[name]] for name in ("home", "foreign"))
    return Plan(home, foreign, kept["refused"])


def _choose(loop: Loop, key: str, state: State) -> dict[str, Any]:
    practise, workspace = loop.config.practise, loop.workspace
    abroad = workspace.foreign
    away = round(practise.tasks * practise.foreign_share) if abroad is not None else 0
    wanted = practise.tasks - away
    seed = draw(loop.config, key)
    rng = random.Random(seed)
    second = key.endswith("_2")
    proposed, facts = _propose(loop, f"g{state['turn']}/practise_1", rng) if second else _NONE
    pool = some(workspace.home, Split.PRACTISE, _POOL * practise.tasks, seed)
    for later in (Split.GATE, Split.HELD_OUT):  # it would be late to find that out after practice
        some(workspace.home, later, 1, seed)
    home = [*proposed, *_selector(loop, key).select(pool, max(0, wanted - len(proposed)), rng)]
    foreign = abroad.tasks(Split.PRACTISE, away, seed) if abroad is not None and away else []
    unique = list({t.id: t for t in home}.values())
    loop.store.save_tasks([*unique, *foreign])
    return {"home": [t.id for t in unique], "foreign": [t.id for t in foreign], **facts}


def _propose(loop: Loop, earlier: str, rng: random.Random) -> tuple[list[Task], dict[str, Any]]:
    """Tasks near the failures at home, those that pass the checks."""
    world = loop.workspace.home
    make = getattr(world, "draft", None)
    wanted = loop.config.curriculum.proposals
    if make is None or not wanted:
        return _NONE
    proposer: Proposer = build("curriculum.propose", loop.config.curriculum.propose, loop.config)
    before = _last(loop, "proposer")
    if before:
        proposer.load_state_dict(before)
    lived = loop.store.trajectories(stage=earlier, namespace=world.namespace)
    context = Context(
        failures=[t for t in lived if t.score.status == Status.FAIL],
        successes=[t for t in lived if t.score.status == Status.PASS],
        tools=lived[0].tools if lived else (),
        recent=[t.task for t in lived],
        dials=getattr(world, "dials", {}),
        content=getattr(world, "content", ()),
    )
    known = loop.store.tasks(namespace=world.namespace)
    admitted: list[Task] = []
    drafts = proposer.propose(context, wanted, rng)
    for draft in drafts:
        verdict = check(draft, make, [*known, *admitted])
        if isinstance(verdict, Admitted):
            admitted.append(verdict.task)
    facts = {"refused": len(drafts) - len(admitted), "proposer": proposer.state_dict()}
    return admitted, facts


def _selector(loop: Loop, key: str) -> Selector:
    selector: Selector = build("curriculum.select", loop.config.curriculum.select, loop.config)
    state = _last(loop, "selector")
    if state:
        selector.load_state_dict(state)
    return selector


def _last(loop: Loop, name: str) -> dict[str, Any]:
    """State of a method after the latest round that kept one."""
    found = [v[name] for k, v in loop.store.stages("g").items() if "practise" in k and name in v]
    return dict(found[-1]) if found else {}


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
        "refused": plan.refused,
        "clean": sum(t.score.status == Status.PASS for t in done),
        "home": len(done),
        "selector": selector.state_dict(),
    }
