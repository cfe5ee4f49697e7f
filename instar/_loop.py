"""What every stage of the outer loop works with: the workspace, a place to say what happens, and
episodes that are saved one by one, so that a stage that was killed runs only what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from benchmarks.runner import bounded
from instar._metering import Metered
from instar.compose import Workspace
from instar.config import Config
from instar.contracts import ChatModel, Solve, World
from instar.errors import ModelFault, UserError
from instar.limits import Limits
from instar.progress import Progress, Tally
from instar.store import Store
from instar.types import (
    Split,
    StopReason,
    Task,
    Trajectory,
    content_hash,
)

__all__ = ["Job", "Loop", "Output", "State", "draw", "some"]

_HOPELESS = 8


class State(TypedDict, total=False):
    """State of the outer graph: names of what lies in the store, nothing else.

    Attributes:
        run: Key of this run.
        turn: Number of the turn, from 1, over the life of the workspace.
        last: The turn after which the run reports.
        practise: Whether the run practises; else it learns from what was recorded alone.
        active: The generation that serves at the beginning of the turn.
        memory: The memory candidate of the turn.
        winner: The better of these two at the gate.
        adapter: The adapter candidate on top of the winner, empty where there is none.
        prompted: The winner with new prompts, empty where there are none.
        moulted: The candidate that has shed memories, empty where there is none.
    """

    run: str
    turn: int
    last: int
    practise: bool
    active: str
    memory: str
    winner: str
    adapter: str
    prompted: str
    moulted: str


class Output(NamedTuple):
    """What a stage leaves: changes of the state, facts for the store, and its episodes."""

    state: State
    facts: dict[str, Any]
    episodes: Sequence[Trajectory] = ()


class Job(NamedTuple):
    """One episode to run."""

    task: Task
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        """Task and seed, which name an episode within a stage."""
        return self.task.id, self.seed


def draw(config: Config, *key: object) -> int:
    """A seed that belongs to one purpose of one run."""
    return int(content_hash([config.seed, *key], 8), 16) % 2**31


def some(world: World, split: Split, n: int, seed: int) -> list[Task]:
    """Tasks of a world, at least one.

    Raises:
        UserError: It has none of this split, which happens where people mark the splits.
    """
    found = world.tasks(split, n, seed)
    if not found:
        raise UserError(
            f"{world.namespace} has no {split.value} task. "
            f'In a file of tasks, mark some with "split": "{split.value}".'
        )
    return found


@dataclass(frozen=True)
class Loop:
    """An open workspace in which the loop turns."""

    workspace: Workspace
    progress: Progress
    limits: Limits | None = None

    def may_go_on(self) -> None:
        """See whether a limit is reached.

        Raises:
            Stopped: One is.
        """
        if self.limits is not None:
            self.limits.check()

    def limited(self, solve: Solve) -> Solve:
        """The same way to attempt a task, within the limits: none begins after, and each counts."""

        async def attempt(task: Task, seed: int) -> Trajectory:
            self.may_go_on()
            found = await solve(task, seed)
            if self.limits is not None:
                self.limits.spend(found.usage)
            return found

        return attempt

    @property
    def store(self) -> Store:
        """Where everything is kept."""
        return self.workspace.store

    @property
    def config(self) -> Config:
        """All settings."""
        return self.workspace.config

    def adviser(self, name: str | None = None) -> ChatModel:
        """The model that is asked for memories, tasks or prompts; what it uses counts as episodes do.

        Args:
            name: Of the model; None is the one that writes memories, by default the one that acts.
        """
        model = self.workspace.model(name or self.config.memory.model).client()
        return model if self.limits is None else Metered(model, self.limits)

    async def collect(
        self,
        key: str,
        jobs: Sequence[Job],
        solve: Solve,
        tally: Tally,
        known: Mapping[tuple[str, int], Trajectory] | None = None,
    ) -> list[Trajectory]:
        """Episodes of a stage in the order of its jobs; those that are saved are not run again.

        What the infrastructure broke is saved last, so that a resumed stage tries it again.

        Args:
            key: Of the stage.
            jobs: What is to be run.
            solve: How.
            tally: Told of each.
            known: Results from elsewhere that count for this stage too.

        Raises:
            ModelFault: Nothing but faults, as when a model server is gone.
            Stopped: A limit is reached.
        """
        done = dict(known or {})
        done |= {(t.task.id, t.seed): t for t in self.store.trajectories(stage=key)}
        missing = [job for job in jobs if job.key not in done]
        for job in jobs:
            if job.key in done:
                tally.add(done[job.key].score.status)

        faults: list[Trajectory] = []

        attempt = self.limited(solve)

        async def work(job: Job) -> None:
            found = await attempt(job.task, job.seed)
            name = content_hash([key, job.task.id, job.seed])
            found = found.model_copy(update={"id": name})
            done[job.key] = found
            if found.stop == StopReason.FAULT:
                faults.append(found)
            else:
                self.store.save_trajectory(found, stage=key)
            if len(faults) == len(done) >= _HOPELESS:
                raise ModelFault(f"Every episode failed: {found.score.evidence}")
            tally.add(found.score.status)

        await bounded(missing, work, self.config.practise.concurrency)
        for fault in faults:
            self.store.save_trajectory(fault, stage=key)
        return [done[job.key] for job in jobs]
