"""One episode outside any benchmark, for ``instar run``: on a real page, or with the workspace's files.

Nobody can judge it here, so its score is unknown; what it did is kept for whoever can say later.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from instar.compose import Serving, Workspace
from instar.contracts import Toolset
from instar.errors import EpisodeFault, UserError
from instar.types import Result, Score, ScoreSource, Status, Step, Task, Trajectory, content_hash
from tools.browser import Browser
from tools.files import Files

__all__ = ["live"]


class LiveEpisode:
    """Tools over something that is there anyway, and that stays when the episode ends."""

    def __init__(self, toolset: Toolset, see: Callable[[], Awaitable[str]]) -> None:
        self.toolset = toolset
        self._see = see

    async def observe(self) -> str:
        """What there is to see."""
        return await self._see()

    def done(self) -> bool:
        """Never: only the agent knows."""
        return False

    async def finish(self, answer: str) -> Result:
        """Take the agent's word."""
        return Result(text=answer or "done")

    async def score(self) -> Score:
        """Unknown until somebody says."""
        return Score(status=Status.UNKNOWN, source=ScoreSource.SELF, evidence="nobody judged it")

    async def close(self) -> None:
        """Nothing to let go of: whoever opened the toolset closes it."""


async def live(
    workspace: Workspace, instruction: str, url: str | None, on_step: Callable[[Step], None]
) -> Trajectory:
    """Let the active generation work, and keep the trajectory.

    Args:
        workspace: Whose active generation works.
        instruction: What to do.
        url: The page to begin on; the agent stays on its host. Without one it has the files in
            the workspace's folder ``files``.
        on_step: Told of each turn as it happens.
    """
    host = urlsplit(url).netloc if url else "files"
    task = Task(
        id=f"live-{content_hash([instruction, url, time.time()])}",
        instruction=instruction,
        world="live",
        namespace=f"live/{host}",
        group="live",
        family="live",
        params={"url": url},
    )
    active = workspace.store.active()
    serving = Serving.of(active) if active else Serving(generation="none")
    if active and active.model != workspace.config.model.name:
        # Memories are words, and of use to any model; an adapter belongs to its base.
        serving = serving.model_copy(update={"adapter": None})
    agent = workspace.agent(
        serving, workspace.sampling(sampled=False), purpose="live", on_step=on_step
    )
    async with AsyncExitStack() as stack:
        episode = await _episode(workspace, url, stack)
        found = await agent.run(
            task,
            episode,
            seed=workspace.config.seed,
            generation=serving.generation,
            adapter=serving.adapter,
            purpose="live",
        )
    found = found.model_copy(update={"model": workspace.config.model.name})
    workspace.store.save_trajectory(found, stage="live")
    return found


async def _episode(workspace: Workspace, url: str | None, stack: AsyncExitStack) -> LiveEpisode:
    if url is None:
        folder = workspace.path / "files"
        folder.mkdir(exist_ok=True)
        files = Files(folder)

        async def listing() -> str:
            return "files:\n" + (await files.call("list_files", {})).text

        return LiveEpisode(files, listing)
    browser = await stack.enter_async_context(Browser())
    try:
        page = await browser.open_page(url, workspace.config.seed)
    except EpisodeFault as fault:
        raise UserError(f"{fault}. Is the address right, and its server running?") from fault
    stack.push_async_callback(page.close)
    return LiveEpisode(page, page.observe)
