"""One attempt at somebody's own task: its tools, a folder that is its alone, and its judge."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.worlds._yours_code import toolset as own_tools
from benchmarks.worlds._yours_file import Line
from benchmarks.worlds._yours_judging import Judge
from instar.contracts import Toolset
from instar.errors import EpisodeFault
from instar.types import Result, Score
from tools.browser import Browser
from tools.files import Files

__all__ = ["Attempt", "begin"]


class Attempt:
    """An attempt, as the agent and a verifier see it.

    Attributes:
        toolset: The tools. On a page its ``raw`` is the Playwright page in front.
        folder: Of this attempt alone: the files to work on, else an empty one.
        answer: The agent's last words, empty until it has finished.
    """

    def __init__(
        self, toolset: Toolset, folder: Path, judge: Judge, holding: AsyncExitStack
    ) -> None:
        self.toolset, self.folder, self.answer = toolset, folder, ""
        self._judge, self._holding = judge, holding

    async def observe(self) -> str:
        """The page, the files, what the tools themselves show, or else their names."""
        if isinstance(self.toolset, Files):
            return "files:\n" + (await self.toolset.call("list_files", {})).text
        see = getattr(self.toolset, "observe", None)
        if see is None:
            return "tools: " + ", ".join(t.name for t in self.toolset.tools())
        seen = see()
        return str(await seen if inspect.isawaitable(seen) else seen)

    def done(self) -> bool:
        """Never: the agent says when."""
        return False

    async def finish(self, answer: str) -> Result:
        """Take the agent's word."""
        self.answer = answer
        return Result(text="finished")

    async def score(self) -> Score:
        """Judge what is there now."""
        return await self._judge.score(self.answer, self.folder, self)

    async def close(self) -> None:
        """Let go of the tools and remove the folder.

        Raises:
            EpisodeFault: Somebody's own tools do not close.
        """
        try:
            await self._holding.aclose()
        except Exception as error:  # somebody's code, which may raise anything
            raise EpisodeFault(f"the tools do not close: {error!r}") from error


async def begin(line: Line, judge: Judge, home: Path, browser: Browser, seed: int) -> Attempt:
    """Begin an attempt.

    Args:
        line: The task.
        judge: Of this task.
        home: Folder of the task file.
        browser: For a page.
        seed: Of the episode.

    Raises:
        EpisodeFault: The page does not load, the files are gone, or the tools cannot be made.
    """
    async with AsyncExitStack() as stack:
        folder = _folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if line.url is not None:
            hosts = [urlsplit(line.url).netloc.rpartition("@")[2], *line.hosts]
            toolset: Toolset = await browser.open_page(line.url, seed, hosts)
        elif line.files is not None:
            await _fill(folder, line.files, home)
            toolset = Files(folder)
        else:
            toolset = await own_tools(line.tools or (), home, folder)
        if callable(getattr(toolset, "close", None)):
            stack.push_async_callback(_close, toolset)
        holding = stack.pop_all()
    return Attempt(toolset, folder, judge, holding)


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="instar-")).resolve()


async def _fill(folder: Path, files: str | dict[str, str], home: Path) -> None:
    try:
        if isinstance(files, str):
            await asyncio.to_thread(_copy, home / files, folder)
            return
        for name, text in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except (OSError, shutil.Error) as error:
        raise EpisodeFault(f"the files cannot be laid out: {error}") from error


def _copy(source: Path, folder: Path) -> None:
    """Copy a folder into an existing one; links are copied as links, and lead nowhere outside."""
    shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)


async def _close(toolset: Any) -> None:
    closed = toolset.close()
    if inspect.isawaitable(closed):
        await closed
