"""Pictures of web episodes: one PNG at the beginning and one after each call, into a folder.

A world is wrapped, and its episodes that can be seen are filmed; others go through as they are. A
picture that cannot be taken changes nothing about the episode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from instar.contracts import Episode, Toolset, World
from instar.errors import EpisodeFault
from instar.types import Result, Score, Task, ToolSpec

__all__ = ["Film", "Visible", "pictures"]


@runtime_checkable
class Visible(Protocol):
    """An episode that can be looked at."""

    async def screenshot(self) -> bytes:
        """What there is to see now, as PNG."""
        ...


def _folder(screens: Path, task: str, seed: int) -> Path:
    return screens / f"{task}-{seed}"


def pictures(screens: Path, task: str, seed: int) -> list[Path]:
    """The pictures of an episode in order; none where it was not filmed."""
    return sorted(_folder(screens, task, seed).glob("*.png"))


class Film:
    """A world whose episodes are filmed.

    Args:
        world: Opens the episodes.
        screens: Folder of the pictures.
    """

    def __init__(self, world: World, screens: Path) -> None:
        self._world, self._screens = world, screens
        self.id, self.namespace = world.id, world.namespace
        self.tasks = world.tasks

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt."""
        episode = await self._world.open(task, seed)
        if not isinstance(episode, Visible):
            return episode
        filmed = _Filmed(episode, _folder(self._screens, task.id, seed))
        await filmed.take()
        return filmed


class _Filmed:
    """An episode with a camera; it is its own toolset."""

    def __init__(self, episode: Any, folder: Path) -> None:
        self._episode: Episode = episode
        self._camera: Visible = episode
        self._folder = folder
        self._taken = 0
        self.toolset: Toolset = self

    async def take(self) -> None:
        with contextlib.suppress(EpisodeFault):
            picture = await self._camera.screenshot()
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{self._taken:03d}.png").write_bytes(picture)
            self._taken += 1

    def tools(self) -> list[ToolSpec]:
        return self._episode.toolset.tools()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        result = await self._episode.toolset.call(name, arguments)
        await self.take()
        return result

    async def observe(self) -> str:
        return await self._episode.observe()

    def done(self) -> bool:
        return self._episode.done()

    async def finish(self, answer: str) -> Result:
        return await self._episode.finish(answer)

    async def score(self) -> Score:
        return await self._episode.score()

    async def close(self) -> None:
        await self._episode.close()
