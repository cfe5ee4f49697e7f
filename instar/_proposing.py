"""New tasks for a round: proposers are asked, and each draft passes every check or is refused with a reason.

The last check is the witness: somebody has to have done the task once. Where the world has an oracle
that is who does it; elsewhere the agent that practises tries, as often as a task is attempted anyway.
A task that nobody has done never enters practice, however well it reads.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from curriculum.checks import Refused, check
from curriculum.propose.base import Context
from curriculum.select.base import Hinting
from instar._loop import Loop, draw
from instar._methods import build
from instar.compose import Serving
from instar.contracts import ModelProposer, Proposer, Selector
from instar.types import Status, Task, TaskDraft

__all__ = ["Proposed", "last_state", "propose"]

Witness = Callable[[Task], Awaitable[bool]]

_UNDONE = "nobody has done it: no witness that it can be solved"


class Proposed(NamedTuple):
    """What became of the drafts.

    Attributes:
        tasks: Those that may be practised.
        refused: How many may not, by reason.
        states: Of the proposers, by name.
    """

    tasks: list[Task]
    refused: dict[str, int]
    states: dict[str, dict[str, Any]]


async def propose(
    loop: Loop, key: str, earlier: str, serving: Serving, selector: Selector, rng: random.Random
) -> Proposed:
    """Ask each proposer for its share of drafts, and check them.

    Args:
        key: Of the round.
        earlier: Key of the round whose failures and successes proposers look at.
        serving: The agent that practises.
        selector: Whose hints they are told.
    """
    world, wanted = loop.workspace.home, loop.config.curriculum.proposals
    make: Callable[[TaskDraft], Task] | None = getattr(world, "draft", None)
    found = Proposed([], {}, {})
    if make is None or not wanted:
        return found
    context = _context(loop, earlier, selector)
    known = loop.store.tasks(namespace=world.namespace)
    witness, refused = _witness(loop, key, serving), Counter[str]()
    names = loop.config.curriculum.propose
    for place, name in enumerate(names):
        share = wanted // len(names) + (place < wanted % len(names))
        drafts, found.states[name] = await _ask(loop, name, context, share, rng)
        for draft in drafts:
            verdict = check(draft, make, [*known, *found.tasks])
            if isinstance(verdict, Refused):
                refused[verdict.reason] += 1
            elif not await witness(verdict.task):
                refused[_UNDONE] += 1
            else:
                found.tasks.append(verdict.task)
    return found._replace(refused=dict(refused))


def _context(loop: Loop, earlier: str, selector: Selector) -> Context:
    world = loop.workspace.home
    lived = loop.store.trajectories(stage=earlier, namespace=world.namespace)
    return Context(
        failures=[t for t in lived if t.score.status == Status.FAIL],
        successes=[t for t in lived if t.score.status == Status.PASS],
        tools=lived[0].tools if lived else (),
        recent=[t.task for t in lived],
        dials=getattr(world, "dials", {}),
        content=getattr(world, "content", ()),
        hints=selector.hints() if isinstance(selector, Hinting) else {},
        join=getattr(world, "join", None),
    )


async def _ask(
    loop: Loop, name: str, context: Context, n: int, rng: random.Random
) -> tuple[Sequence[TaskDraft], dict[str, Any]]:
    """Drafts of one proposer, and the state that it goes on from."""
    proposer: Proposer | ModelProposer = build("curriculum.propose", name, loop.config)
    before = last_state(loop, "proposers").get(name)
    if before:
        proposer.load_state_dict(before)
    if isinstance(proposer, ModelProposer):
        asked = loop.workspace.model(loop.config.memory.model)
        drafts = await proposer.propose_with(asked.client(), context, n, rng)
    else:
        drafts = proposer.propose(context, n, rng)
    return drafts, proposer.state_dict()


def _witness(loop: Loop, key: str, serving: Serving) -> Witness:
    """Whether somebody has done a task: the oracle of its world, else the agent by trying."""
    world, config = loop.workspace.home, loop.config
    oracle = getattr(world, "oracle", None)
    if oracle is not None:

        async def asked(task: Task) -> bool:
            score = await oracle(task, draw(config, key, task.id, "witness"))
            return bool(score.status is Status.PASS)

        return asked
    solve = loop.workspace.solver(serving, world, "witness", sampled=True)

    async def tried(task: Task) -> bool:
        for attempt in range(config.practise.attempts):
            found = await solve(task, draw(config, key, task.id, "witness", attempt))
            loop.store.save_trajectory(found, stage=f"{key}/witness")
            if found.score.status is Status.PASS:
                return True
        return False

    return tried


def last_state(loop: Loop, name: str) -> dict[str, Any]:
    """State of a method after the latest round that kept one."""
    found = [v[name] for k, v in loop.store.stages("g").items() if "practise" in k and name in v]
    return dict(found[-1]) if found else {}
