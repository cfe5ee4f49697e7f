"""New tasks for a round: proposers are asked, and each draft passes every check or is refused with a reason.

The witness comes last but one: somebody has to have done the task once. Where the world has an oracle
that is who does it; elsewhere the agent that practises tries, as often as a task is attempted anyway.
A draft that was found by walking about has its witness already: the walk, made again in the new task. A task that nobody has done never enters practice, however well it reads.
The last is difficulty: see `instar._screening`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from curriculum.checks import Refused, check
from curriculum.propose.base import Context
from curriculum.select.base import Hinting
from instar._exploring import Ground
from instar._loop import Job, Loop, draw
from instar._methods import build
from instar._screening import DIFFICULTY, screened
from instar.compose import Serving
from instar.contracts import (
    Explorable,
    ExploringProposer,
    ModelProposer,
    Proposer,
    Selector,
    Stateful,
)
from instar.errors import EpisodeFault
from instar.progress import Tally
from instar.types import ScoreSource, Status, Task, TaskDraft

__all__ = ["Proposed", "propose"]

WITNESS = "witness"
_VERIFIED = (ScoreSource.ENVIRONMENT, ScoreSource.PROGRAM)

Witness = Callable[[TaskDraft, Task], Awaitable[bool]]

_UNDONE = "nobody has done it: no witness that it can be solved"
_UNREADABLE = "this world cannot say which of its tasks a walk did"


class Proposed(NamedTuple):
    """What became of the drafts.

    Attributes:
        tasks: Those that may be practised.
        refused: How many may not, by reason.
        states: Of the proposers, by name.
        difficulty: Share of attempts that succeeded, by id of the task, where that was asked.
    """

    tasks: list[Task]
    refused: dict[str, int]
    states: dict[str, dict[str, Any]]
    difficulty: dict[str, float]


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
    found = Proposed([], {}, {}, {})
    if make is None or not wanted:
        return found
    asking = _Asking(
        loop, _context(loop, earlier, selector), Ground(loop, world, key, serving.generation), rng
    )
    known = _known(loop, key)
    tried, refused = _witness(loop, key, serving), Counter[str]()
    names = loop.config.curriculum.propose
    for place, name in enumerate(names):
        share = wanted // len(names) + (place < wanted % len(names))
        proposer = _made(loop, name)
        drafts = await asking.ask(proposer, share)
        found.states[name] = proposer.state_dict()
        walks = isinstance(proposer, ExploringProposer)
        if walks and share and not isinstance(world, Explorable):
            refused[_UNREADABLE] += share
        witness = asking.ground.witness if walks else tried
        for draft in drafts:
            verdict = check(draft, make, [*known, *found.tasks])
            if isinstance(verdict, Refused):
                refused[verdict.reason] += 1
            elif not await witness(draft, verdict.task):
                refused[_UNDONE] += 1
            else:
                found.tasks.append(verdict.task)
    asking.ground.save()
    fit = await screened(loop, key, serving, found.tasks)
    refused.update(fit.reasons)
    return found._replace(tasks=fit.tasks, refused=dict(refused), difficulty=fit.rates)


def _known(loop: Loop, key: str) -> list[Task]:
    """Tasks that a draft must not repeat: all but those that this round tried before it was broken off."""
    tried = {
        one.task.id
        for stage in (WITNESS, DIFFICULTY)
        for one in loop.store.trajectories(stage=f"{key}/{stage}")
    }
    return [
        t for t in loop.store.tasks(namespace=loop.workspace.home.namespace) if t.id not in tried
    ]


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


def _made(loop: Loop, name: str) -> Stateful:
    """A proposer that goes on from where it was."""
    proposer: Stateful = build("curriculum.propose", name, loop.config)
    before = _last_states(loop).get(name)
    if before:
        proposer.load_state_dict(before)
    return proposer


class _Asking(NamedTuple):
    """What proposers are given."""

    loop: Loop
    context: Context
    ground: Ground
    rng: random.Random

    async def ask(self, proposer: Stateful, n: int) -> Sequence[TaskDraft]:
        """Drafts of one proposer, by whichever contract it has."""
        context, world = self.context, self.ground.world
        if isinstance(proposer, ExploringProposer):
            recent = list[Task]()
            if isinstance(world, Explorable):
                recent = [t for t in context.recent if world.walkable(t)]
            there = replace(context, recent=recent)
            return await proposer.explore(self.ground.walk, there, n, self.rng)
        if isinstance(proposer, ModelProposer):
            return await proposer.propose_with(self.loop.adviser(), context, n, self.rng)
        assert isinstance(proposer, Proposer)
        return proposer.propose(context, n, self.rng)


def _witness(loop: Loop, key: str, serving: Serving) -> Witness:
    """Whether somebody has done a task: the oracle of its world, else the agent by trying.

    A program has to say so: by the word of a judge a task that nobody can do would pass for one.
    """
    world, config = loop.workspace.home, loop.config
    oracle = getattr(world, "oracle", None)
    if oracle is not None:

        async def asked(draft: TaskDraft, task: Task) -> bool:
            loop.may_go_on()
            try:
                score = await oracle(task, draw(config, key, task.id, WITNESS))
            except EpisodeFault:  # nothing was shown; the round goes on with what was
                return False
            return bool(score.status is Status.PASS and score.source in _VERIFIED)

        return asked
    solve = loop.workspace.solver(serving, world, WITNESS, sampled=True)
    stage = f"{key}/{WITNESS}"

    async def tried(draft: TaskDraft, task: Task) -> bool:
        for attempt in range(config.practise.attempts):
            job = Job(task, draw(config, key, task.id, WITNESS, attempt))
            [found] = await loop.collect(stage, [job], solve, Tally(None, stage, 1))
            if found.score.status is Status.PASS and found.score.source in _VERIFIED:
                return True
        return False

    return tried


def _last_states(loop: Loop) -> dict[str, Any]:
    """States of the proposers after the latest round that kept some."""
    key = "proposers"
    found = [v[key] for k, v in loop.store.stages("g").items() if "practise" in k and v.get(key)]
    return dict(found[-1]) if found else {}
