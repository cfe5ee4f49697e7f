"""Scripted hands for MiniWoB++: what a script reads in an observation, and the calls it makes.

Solvers use nothing but the agent's own observations and tools, so a task that one solves is a task
that an agent could solve. They serve for any world that shows pages in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

from instar.contracts import Episode
from instar.types import Result, Task

_LINE = re.compile(r'^([\w-]+) "(.*?)" (\w+)((?: (?:=|checked|disabled|selected|exp|pre|opt).*)?)$')
FIELDS = ("textbox", "searchbox", "combobox", "spinbutton")


class Line(NamedTuple):
    """Something to act on; ``rest`` holds value and states."""

    role: str
    name: str
    ref: str
    rest: str

    @property
    def value(self) -> str:
        found = re.match(r' = "(.*?)"(?: |$)', self.rest)
        return found.group(1) if found else ""


class Hands:
    """Acts by names."""

    def __init__(self, episode: Episode, seen: str) -> None:
        self.episode, self.seen = episode, seen

    @property
    def lines(self) -> list[str]:
        """The observation, without the page's title."""
        return self.seen.splitlines()[1:]

    @property
    def elements(self) -> list[Line]:
        return [Line(*m.groups()) for x in self.lines if (m := _LINE.match(x))]

    def texts(self) -> list[str]:
        return [x.partition(": ")[2] for x in self.lines if re.match(r"(text|heading|row): ", x)]

    def find(self, name: str | None = None, *roles: str) -> list[Line]:
        """Elements of a name (whole where there is one, else as a part) and of one of the roles."""
        found = [e for e in self.elements if not roles or e.role in roles]
        if name is None:
            return found
        whole = [e for e in found if e.name == name]
        return whole or [e for e in found if name.lower() in e.name.lower()]

    async def call(self, tool: str, line: Line | None = None, **arguments: str) -> Result:
        where = {"element": line.name, "ref": line.ref} if line else {}
        result = await self.episode.toolset.call(tool, {**where, **arguments})
        self.seen = result.observation or self.seen
        return result

    async def click(self, name: str | None = None, *roles: str, nth: int = 0) -> Result:
        return await self.call("click", self.find(name, *roles)[nth])

    async def fill(self, text: str, name: str | None = None, nth: int = 0) -> Result:
        return await self.call("fill", self.find(name, *FIELDS)[nth], text=text)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.call("press", key=key)

    async def type(self, text: str) -> None:
        await self.press(*text)


Solver: TypeAlias = Callable[[Hands, str], Awaitable[None]]
SOLVERS: dict[str, Solver] = {}


def solves(names: str) -> Callable[[Solver], Solver]:
    """Register a solver for pages."""

    def register(solver: Solver) -> Solver:
        for name in names.split():
            assert name not in SOLVERS, name
            SOLVERS[name] = solver
        return solver

    return register


def quoted(goal: str) -> list[str]:
    return re.findall(r'"([^"]*)"', goal)


def between(goal: str, before: str, after: str) -> str:
    found = re.search(f"{before}(.*?){after}", goal)
    assert found, goal
    return found.group(1)


async def solve(episode: Episode, task: Task, family: str = "") -> Hands:
    """Play the solver of the task's page."""
    hands = Hands(episode, await episode.observe())
    await SOLVERS[family or task.family](hands, task.instruction)
    return hands
