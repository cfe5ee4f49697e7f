"""MiniWoB++: small web pages, each a kind of task, by the browser tool; measures transfer only.

A task is a page and a seed. What it asks for is known only after the page was started with that
seed, so listing tasks starts each of them once. Success is the page's full raw reward: no discount
for time, no credit for parts, which stands apart as the metric ``partial``. An agent has the
browser's actions on the one page and can neither run script nor leave it. Of the 125 pages that
BrowserGym registers those are offered that these actions can solve; ``instar bench list miniwob``
shows all, with the reason why the others (dragging, drawing, looking at pictures...) are not.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import Field

from benchmarks.worlds._miniwob_catalogue import NAMES, UNSUPPORTED, Known, catalogue
from benchmarks.worlds._miniwob_pages import Pages, begin, goals, verdict
from instar.contracts import Episode, Toolset
from instar.errors import UnknownName, UserError
from instar.types import Record, Result, Score, Split, Status, Task, ToolSpec, content_hash
from tools.browser import BrowserPage

__all__ = ["MiniWob"]

_LEAVING = frozenset(("navigate", "back"))
_SEEDS = 10_000
_SPLITS = (Split.PRACTISE, Split.PRACTISE, Split.GATE, Split.HELD_OUT)


def _split(name: str, seed: int) -> Split:
    return _SPLITS[int(content_hash([name, seed], 4), 16) % len(_SPLITS)]


class _OnePage:
    """The browser's tools without those that leave the page; asks after each call if it is over."""

    def __init__(self, page: BrowserPage) -> None:
        self._page = page
        self.done = False

    def tools(self) -> list[ToolSpec]:
        return [t for t in self._page.tools() if t.name not in _LEAVING]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        if name in _LEAVING:
            listed = ", ".join(t.name for t in self.tools())
            return Result(text=f"no tool {name}. Tools: {listed}", error=True)
        result = await self._page.call(name, arguments)
        self.done = (await verdict(self._page)).done
        return result


class _Attempt:
    """An attempt at one task."""

    def __init__(self, page: BrowserPage, pages: Pages) -> None:
        self._page, self._pages = page, pages
        self._open = True
        self._hands = _OnePage(page)
        self.toolset: Toolset = self._hands

    async def observe(self) -> str:
        return await self._page.observe()

    async def screenshot(self) -> bytes:
        return await self._page.screenshot()

    def done(self) -> bool:
        return self._hands.done

    async def finish(self, answer: str) -> Result:
        return Result(text="finished")

    async def score(self) -> Score:
        done, raw = await verdict(self._page)
        passed = done and raw >= 1
        evidence = f"raw reward {raw:g}" if done else "the task was not ended"
        return Score(
            status=Status.PASS if passed else Status.FAIL,
            value=float(passed),
            evidence=evidence,
            metrics={"raw": raw, "partial": min(1.0, max(0.0, raw))} if done else {},
        )

    async def close(self) -> None:
        if self._open:
            self._open = False
            self._pages.back(self._page)


class MiniWob:
    """Small web tasks on real pages, to see what carries over."""

    id = "miniwob"
    namespace = "miniwob"

    class Config(Record):
        """Settings.

        Attributes:
            names: Which pages; all that are supported where empty.
        """

        names: tuple[str, ...] = Field(default=())

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config = config or self.Config(**settings)
        for name in self.config.names:
            if name in UNSUPPORTED:
                raise UserError(f"MiniWoB++ task {name} {UNSUPPORTED[name]}: leave it out.")
            if name not in NAMES:
                raise UnknownName("MiniWoB++ task", name, NAMES)
        self._pages = Pages()

    @classmethod
    def catalogue(cls) -> list[Known]:
        """The 125 pages that BrowserGym registers: offered here, or why not."""
        return catalogue()

    def tasks(self, split: Split, n: int, seed: int) -> list[Task]:
        """At most ``n`` distinct tasks of a split, pages in equal shares.

        Raises:
            MissingExtra: The pages or a browser are not installed.
        """
        rng = random.Random(f"{self.namespace} {split} {seed}")
        names = sorted(self.config.names or NAMES)
        rng.shuffle(names)
        chosen: dict[tuple[str, int], None] = {}
        for _ in range(n * _SEEDS):
            if len(chosen) == n:
                break
            key = (names[len(chosen) % len(names)], rng.randrange(_SEEDS))
            if _split(*key) == split:
                chosen.setdefault(key)
        # A thread of its own, because asking the pages is async and this may run inside a loop.
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(lambda: asyncio.run(goals(chosen))).result()
        return [self._task(name, k, asked[name, k]) for name, k in chosen]

    def _task(self, name: str, seed: int, goal: str) -> Task:
        return Task(
            id=f"mw-{content_hash([name, seed])}",
            instruction=goal,
            world=self.id,
            namespace=self.namespace,
            group=name,
            family=name,
            params={"page": name, "seed": seed},
            split=_split(name, seed),
        )

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt.

        Raises:
            UserError: The task is not of this world.
            EpisodeFault: The page does not load or start.
        """
        if task.world != self.id:
            raise UserError(f"Task {task.id} belongs to {task.world}; this is {self.id}.")
        page = await self._pages.open(str(task.params["page"]), seed)
        try:
            await begin(page, str(task.params["seed"]))
        except BaseException:
            await page.close()
            raise
        return _Attempt(page, self._pages)

    async def close(self) -> None:
        """Stop the browser and the server."""
        await self._pages.close()
