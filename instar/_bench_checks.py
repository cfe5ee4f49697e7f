"""Around a run: which tasks, is the world fit, what did earlier runs come to, what taught a memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from benchmarks.fairness import SourcesOf
from benchmarks.forecast import Past
from benchmarks.health import check, sample
from benchmarks.runner import Settings
from instar._commands import bench, world_argument
from instar._methods import build
from instar.config import Config
from instar.contracts import World
from instar.errors import UserError
from instar.progress import Progress
from instar.store import Store
from instar.types import Split, Task, content_hash

__all__ = ["about", "choose", "examine", "fit", "past", "sources_of"]

_CHECKED = 8
_USUAL = 60
_LISTED = 40
_GROWTH = 4
_MOST = 16
"""Times the number asked for that is looked through for tasks that fit a pattern."""


def choose(
    world: World, split: Split, wanted: int | None, seed: int, like: str | None
) -> list[Task]:
    """Tasks to measure on.

    Args:
        world: Where they come from.
        split: What they may be used for.
        wanted: How many; None: as many as are usual, or all where there are fewer.
        seed: Which draw.
        like: A pattern such as ``refund*`` for family or id.

    Raises:
        UserError: There are fewer than wanted, or none.
    """
    n = wanted or _USUAL
    size, found, before = n, world.tasks(split, n, seed), -1
    families: set[str] = set()
    while like is not None:
        families |= {t.family for t in found}
        fitting = [t for t in found if fnmatchcase(t.family, like) or fnmatchcase(t.id, like)]
        if len(fitting) >= n or len(found) == before or size >= _MOST * n:
            found = fitting[:n]
            break
        before, size = len(found), size * _GROWTH
        found = world.tasks(split, size, seed)
    if len(found) < (wanted or 1):
        which = f" like {like!r}" if like else ""
        remedy = f"Type --n {len(found)}." if found else _remedy(split, families)
        raise UserError(f"{world.namespace} has {len(found)} {split.value} tasks{which}. {remedy}")
    return found


def _remedy(split: Split, families: set[str]) -> str:
    if families:
        return f"Families: {', '.join(sorted(families)[:_LISTED])}."
    return f'In a file of tasks, mark some with "split": "{split.value}".'


async def fit(store: Store, config: Config, progress: Progress, force: bool) -> list[str]:
    """Check the world once a workspace; what is wrong with it, where that does not matter.

    Raises:
        UserError: It is not fit, and ``force`` is not set.
    """
    async with _world(config) as world:
        tasks = sample(world, _CHECKED, config.seed)
        found = content_hash([world.namespace, *(t.model_dump(mode="json") for t in tasks)])
        kept = store.stage(f"health/{found}")
        if kept is None:
            progress.say(f"Checking {world.namespace} ({len(tasks)} tasks)")
            kept = (await check(world, tasks)).model_dump(mode="json")
            store.finish_stage(f"health/{found}", kept)
    problems = [str(p) for p in kept["problems"]]
    if problems and not force:
        raise UserError(
            f"{config.world.name} is not fit to measure with: {problems[0]}. All problems: "
            f"{bench('health', world_argument(config), workspace=config.workspace)}. "
            "To measure all the same: --force"
        )
    return problems


async def examine(config: Config, n: int) -> dict[str, Any]:
    """What ``instar bench health`` prints."""
    async with _world(config) as world:
        found = await check(world, sample(world, n, config.seed))
    return found.model_dump(mode="json") | {"healthy": found.healthy}


@asynccontextmanager
async def _world(config: Config) -> AsyncIterator[World]:
    """The world of the settings, by the tool door."""
    house = config.seed if config.world.house is None else config.world.house
    settings = {"house": house, "web_share": 0.0}
    world: World = build("benchmarks.worlds", config.world.name, config, **settings)
    try:
        yield world
    finally:
        close = getattr(world, "close", None)
        if close is not None:
            await close()


async def about(config: Config) -> dict[str, JsonValue]:
    """All settings, and the browser that is at hand."""
    from tools.chromium import find_chromium, version_of

    try:
        browser = await version_of(find_chromium())
    except UserError:
        browser = ""
    return {"config": config.model_dump(mode="json"), "browser": browser or None}


def past(runs: Path, settings: Settings) -> Past | None:
    """What the latest run of the same world, model and arms came to."""
    paths = sorted(runs.glob("bench*/summary.json"), key=lambda p: p.stat().st_mtime)
    for path in reversed(paths):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # cut off or damaged: another run will do
            continue
        same = (found["benchmark"], found["model"]) == (settings.benchmark, settings.model)
        if same and (known := Past.of(found, settings.arms)):
            return known
    return None


def sources_of(store: Store) -> SourcesOf:
    """How to find the tasks that a version of a memory was learnt from."""

    @cache
    def tasks(item: str, version: int) -> frozenset[str]:
        versions = [i for i in store.item_versions(item) if i.version == version]
        sources = [s for i in versions for s in i.sources]
        found = store.trajectories(ids=sources) if sources else []
        return frozenset(t.task.id for t in found)

    return tasks
