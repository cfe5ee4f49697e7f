"""Episodes of an agent that is not Instar's: it does the task in its own way, and is measured as ours is.

The world opens the task, and a session is prepared that serves the arm. The agent is started, takes its
session up by `instar_client`, and calls the world's tools at an address of its own (`instar.service.door`).
When it has answered the world scores what it left. The record is put together from what it reported and
from what was seen of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import TYPE_CHECKING

from instar._config_layers import UNKNOWN
from instar._outside_agent import Address, Asked, Command, Ended
from instar._outside_steps import merged
from instar._unmeasured import unmeasured
from instar.contracts import Episode, Solve, World
from instar.errors import EpisodeFault, MissingExtra, UserError
from instar.types import (
    Result,
    Score,
    ScoreSource,
    Status,
    Step,
    StopReason,
    Task,
    ToolCall,
    Trajectory,
)

if TYPE_CHECKING:
    from instar.compose import Serving, Workspace
    from instar.service.attempts import Attempt
    from instar.service.door import Door

__all__ = ["Outside"]

_PROVIDER = "client"
_TOKEN = "INSTAR_TOKEN"
_NOT_TAKEN = (
    "the agent never took its session up: see that it begins one with instar_client while it works, "
    "and, where it is served at a URL, that its INSTAR_URL is http://127.0.0.1:PORT as set by agent.port"
)


class Outside:
    """The agent of somebody's own that the settings name.

    Args:
        workspace: Open; it stays the caller's to close.
    """

    def __init__(self, workspace: Workspace) -> None:
        settings = workspace.config.agent
        self._workspace, self._settings = workspace, settings
        self._agent: Command | Address
        # A served agent was started by somebody else, who can only know a token that was set.
        token = os.environ.get(_TOKEN) or None
        if settings.command is not None:
            self._agent = Command(settings.command, settings.seconds)
            token = token or secrets.token_hex(16)
        else:
            assert settings.url is not None
            self._agent = Address(settings.url, settings.seconds)
        self._token, self._door = token, _door(workspace, token, settings.port)

    async def close(self) -> None:
        """Close the door at which it found its tools, and the way to it."""
        await self._agent.close()
        await self._door.close()

    def solver(
        self, serving: Serving, world: World, purpose: str, arm: str, guard: frozenset[str]
    ) -> Solve:
        """How it attempts a task; see `instar.compose.Workspace.solver`.

        Raises:
            UserError: It is to answer with another model, or with an adapter.
        """
        workspace = self._workspace
        if serving.model not in (None, workspace.models.name) or serving.adapter is not None:
            raise UserError(
                "An agent of yours answers with its own model and takes no other and no adapter: "
                "measure the arms base, memory and placebo_memory."
            )
        recall = workspace.recall(serving, guard, purpose)

        async def solve(task: Task, seed: int) -> Trajectory:
            record = unmeasured(workspace, task, seed, serving, purpose, arm)
            try:
                episode = await world.open(task, seed)
            except EpisodeFault as fault:
                return _faulty(record, str(fault))
            try:
                url, attempts = await self._door.url(), self._door.attempts
                offered = record.model_copy(update={"tools": tuple(episode.toolset.tools())})
                attempt = await attempts.open(offered, episode, recall, self._settings.max_steps)
                try:
                    ended = await self._agent.run(self._asked(attempt, url))
                finally:
                    attempts.close(attempt)
                return await _judged(record, attempt, ended)
            except EpisodeFault as fault:
                return _faulty(record, str(fault))
            finally:
                with contextlib.suppress(EpisodeFault):
                    await episode.close()

        return solve

    def _asked(self, attempt: Attempt, url: str) -> Asked:
        folder = getattr(attempt.episode, "folder", None)
        return Asked(
            instruction=attempt.lived.task.instruction,
            session=attempt.lived.id,
            url=url,
            token=self._token or "",
            tools_url=self._door.tools(url, attempt),
            folder=str(folder) if folder else "",
            seed=attempt.lived.seed,
        )


def _door(workspace: Workspace, token: str | None, port: int) -> Door:
    try:
        from instar.service.door import Door
    except ImportError as error:
        raise MissingExtra(str(error.name), "pip install 'instar[serve]'") from error
    return Door(workspace, token, port)


async def _judged(record: Trajectory, attempt: Attempt, ended: Ended) -> Trajectory:
    """The scored record of an attempt.

    Raises:
        UserError: Another model answers in the agent than the settings say.
    """
    model = attempt.lived.model
    if model not in (UNKNOWN, record.model):
        raise UserError(
            f"The agent says that {model} answers in it, and the settings say {record.model}. "
            f"Name it: -o model.name={model}"
        )
    fault = attempt.fault or (ended.fault if not attempt.lived.answer else "")
    if not fault and attempt.remembers and not attempt.taken:
        fault = _NOT_TAKEN
    last: list[Step] = []
    answer = ended.answer or attempt.lived.answer
    if not fault:
        try:
            last = await _finish(attempt, answer)
        except EpisodeFault as error:
            fault = str(error)
    found = _put_together(record, attempt, last, answer)
    if fault:
        return _faulty(found, fault)
    score = await _score(attempt.episode)
    if score.status is Status.UNKNOWN and score.source is ScoreSource.USER:
        score = attempt.lived.score  # the world leaves it to whoever reports an outcome
    return found.model_copy(update={"score": score})


async def _finish(attempt: Attempt, answer: str) -> list[Step]:
    """Hand the answer to the world, if it still wants one; the call as a step."""
    if attempt.stop is None and attempt.episode.done():
        attempt.stop = StopReason.WORLD_DONE
    elif attempt.stop is None and attempt.spent:
        attempt.stop = StopReason.STEPS  # saying that it is done would be one more
    if attempt.stop is not None:
        return []
    from agent.graph import FINISH

    result: Result = await attempt.episode.finish(answer)
    call = ToolCall(id="finish", name=FINISH.name, arguments={"answer": answer})
    return [Step(observation=attempt.seen, calls=(call,), results=(result,))]


async def _score(episode: Episode) -> Score:
    try:
        return await episode.score()
    except Exception as error:  # noqa: BLE001  A verifier that raises has measured nothing.
        return Score(status=Status.UNKNOWN, evidence=f"the verifier failed: {error!r}")


def _put_together(
    record: Trajectory, attempt: Attempt, last: list[Step], answer: str
) -> Trajectory:
    from agent.graph import FINISH

    lived = attempt.lived
    return record.model_copy(
        update={
            "provider": _PROVIDER,
            "tools": (*(t for t in lived.tools if t.name != FINISH.name), FINISH),
            "memories": lived.memories,
            "bank": lived.bank,
            "steps": (*merged(lived.steps, attempt.calls), *last),
            "stop": attempt.stop or StopReason.FINISHED,
            "answer": answer,
            "usage": lived.usage,
            "seconds": max(0.0, time.time() - record.started),
        }
    )


def _faulty(record: Trajectory, why: str) -> Trajectory:
    score = Score(status=Status.UNKNOWN, evidence=why)
    return record.model_copy(update={"stop": StopReason.FAULT, "score": score})
