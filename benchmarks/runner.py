"""Batch evaluation: arms by tasks with paired seeds, one JSON line an episode, resumable.

A run is a folder. `settings.json` holds what was asked for and the versions that answered it,
`episodes.jsonl` one line for each finished episode, `summary.json` the figures. An interrupted run
goes on with what is missing; a line that was cut off while being written is simply missing.
Every arm sees the same tasks with the same seeds, so all comparisons are paired. How an arm solves
a task is not known here: `instar.compose` hands in one callable an arm.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import Field, JsonValue, ValidationError

from benchmarks.spending import Spending, Turnstile
from instar.contracts import Solve
from instar.errors import UserError
from instar.types import Record, Status, Task, Trajectory, content_hash

__all__ = [
    "Line",
    "Settings",
    "begin",
    "bounded",
    "episode_seed",
    "read_lines",
    "read_settings",
    "run",
    "write_json",
]

_PACKAGES = (
    "instar",
    "torch",
    "transformers",
    "peft",
    "trl",
    "chromadb",
    "langgraph",
    "playwright",
    "agentdojo",
)

Job = TypeVar("Job")
Key: TypeAlias = tuple[str, str, int]


class Settings(Record):
    """What a run measures; equal settings mean comparable figures.

    Attributes:
        run: Name of the run and of its folder.
        benchmark: Id of the world.
        generation: The generation measured.
        n: Number of tasks; each arm runs every one of them.
        attempts: How often each arm runs each task, with a seed of its own.
        protocol: ``frozen``, nothing is learnt while the run lasts, or ``stream``, each episode is
            scored before anything is learnt from it.
        options: What else shaped the run, such as the share of web tasks.
        left_out: Arms that were asked for and cannot be measured, each with the reason.
        subjects: What each arm was made of: model, hash of its weights, generation, adapter.
    """

    run: str
    benchmark: str
    namespace: str
    generation: str
    model: str
    n: int
    seed: int
    arms: tuple[str, ...]
    attempts: int = 1
    protocol: str = "frozen"
    options: dict[str, JsonValue] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)
    subjects: dict[str, dict[str, str | None]] = Field(default_factory=dict)


class Line(Record):
    """One finished episode of one arm."""

    arm: str
    trajectory: Trajectory
    attempt: int = 0

    @property
    def key(self) -> Key:
        """Arm, task and attempt, which name an episode within a run."""
        return self.arm, self.trajectory.task.id, self.attempt


def episode_seed(seed: int, task: Task, attempt: int = 0) -> int:
    """Seed of an attempt at a task, the same in every arm."""
    named = [seed, task.id, attempt] if attempt else [seed, task.id]
    return int(content_hash(named, 8), 16) % 2**31


async def bounded(jobs: Iterable[Job], work: Callable[[Job], Awaitable[None]], limit: int) -> None:
    """Do all jobs, at most ``limit`` at a time; the first error stops the rest and is raised."""
    queue = iter(jobs)

    async def worker() -> None:
        for job in queue:
            await work(job)

    workers = [asyncio.create_task(worker()) for _ in range(max(1, limit))]
    # What is loaded by now stays: a collector that walks it again and again stops all jobs for a
    # third of a second each time.
    gc.freeze()
    try:
        await asyncio.gather(*workers)
    finally:
        gc.unfreeze()
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file beside its place and rename it, so that it is never seen half-written."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def read_settings(folder: Path) -> Settings:
    """Settings of a run that was begun earlier.

    Raises:
        UserError: The folder holds no readable run.
    """
    path = folder / "settings.json"
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8"))["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read: put it back, or remove the folder. Runs: instar bench list"
        ) from error


def begin(folder: Path, settings: Settings, about: Mapping[str, JsonValue] | None = None) -> None:
    """Make the folder of a run with its settings, the versions at work, and what else is known.

    Raises:
        UserError: It holds a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "settings.json").exists():
        value = {"settings": settings.model_dump(mode="json"), "versions": versions()}
        write_json(folder / "settings.json", value | dict(about or {}))
        return
    if read_settings(folder) != settings:
        raise UserError(
            f"Run {settings.run!r} was begun with other settings, models or weights. "
            "Resume it with the options of its settings.json, or leave out --resume."
        )


def read_lines(folder: Path) -> list[Line]:
    """Finished episodes of a run, the latest of each attempt; cut-off lines are skipped."""
    path = folder / "episodes.jsonl"
    if not path.exists():
        return []
    found: dict[Key, Line] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = Line.model_validate_json(text)
        except ValidationError:
            continue
        found[line.key] = line
    return list(found.values())


class _Writer:
    """Appends whole lines to a file that may end in a cut-off one."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        if self._file.tell():
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def append(self, line: Line) -> None:
        self._file.write(line.model_dump_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


async def run(
    settings: Settings,
    tasks: Sequence[Task],
    solvers: Mapping[str, Solve],
    folder: Path,
    concurrency: int = 8,
    on_episode: Callable[[Line], Awaitable[None]] | None = None,
    limit: Spending | None = None,
) -> list[Line]:
    """Run every arm on every task, except for the episodes that the folder already holds.

    Episodes whose score is unknown are run again. An error of the infrastructure under all
    episodes, such as a model server that is gone, is raised; finished episodes stay. A limit that is
    reached begins no other episode; a later call goes on from there.

    Args:
        settings: What is measured; an earlier part of the run must have had the same.
        tasks: Every arm runs each of them.
        solvers: How an arm solves a task; arms of the settings without one are left for a later call.
        folder: Where the run lives.
        concurrency: Episodes at a time.
        on_episode: Told of each episode as it finishes.
        limit: What the run may use, with what earlier parts of it have used.

    Returns:
        The episodes in the order of arms, tasks and attempts, as far as they were run.
    """
    begin(folder, settings)
    wanted = [
        (arm, task, k) for arm in settings.arms for task in tasks for k in range(settings.attempts)
    ]
    found = read_lines(folder)
    done = {x.key: x for x in found if x.trajectory.score.status != Status.UNKNOWN}
    missing = [(a, t, k) for a, t, k in wanted if a in solvers and (a, t.id, k) not in done]
    if limit is not None:
        # Task by task, so that what a limit cuts short can still be compared in pairs.
        place = {task.id: i for i, task in enumerate(tasks)}
        missing.sort(key=lambda job: place[job[1].id])
    writer = _Writer(folder / "episodes.jsonl")
    turnstile = Turnstile(limit, lambda: [x.trajectory.usage for x in done.values()])

    async def work(job: tuple[str, Task, int]) -> None:
        arm, task, attempt = job
        if not await turnstile.enter():
            return
        try:
            trajectory = await solvers[arm](task, episode_seed(settings.seed, task, attempt))
            line = Line(arm=arm, trajectory=trajectory, attempt=attempt)
            writer.append(line)
            done[line.key] = line
        finally:
            await turnstile.leave()
        if on_episode:
            await on_episode(line)

    try:
        await bounded(missing, work, concurrency)
    finally:
        writer.close()
    return [done[a, t.id, k] for a, t, k in wanted if (a, t.id, k) in done]
