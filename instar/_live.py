"""One episode outside any benchmark: the agent on a real page, for ``instar run``.

Nobody can judge it here, so its score is unknown; what it did is kept for whoever can say later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from instar.compose import Serving, Workspace
from instar.contracts import Toolset
from instar.types import Result, Score, ScoreSource, Status, Step, Task, Trajectory, content_hash
from tools.browser import Browser, BrowserPage

__all__ = ["live"]


class PageEpisode:
    """A page that the agent was sent to."""

    def __init__(self, page: BrowserPage) -> None:
        self.toolset: Toolset = page
        self._page = page

    async def observe(self) -> str:
        """The page in front."""
        return await self._page.observe()

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
        """Close the page."""
        await self._page.close()


async def live(
    workspace: Workspace, instruction: str, url: str, on_step: Callable[[Step], None]
) -> Trajectory:
    """Let the active generation work on a page, and keep the trajectory.

    Args:
        workspace: Whose active generation works.
        instruction: What to do.
        url: Where to begin; the agent stays on this host.
        on_step: Told of each turn as it happens.
    """
    host = urlsplit(url).netloc
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
    agent = workspace.agent(serving, workspace.sampling(sampled=False), on_step=on_step)
    seed = workspace.config.seed
    async with Browser() as browser:
        page = await browser.open_page(url, seed)
        found = await agent.run(
            task,
            PageEpisode(page),
            seed=seed,
            generation=serving.generation,
            adapter=serving.adapter,
            purpose="live",
        )
    workspace.store.save_trajectory(found, stage="live")
    return found
