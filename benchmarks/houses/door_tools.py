"""The tool door: an office as a set of tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.houses.case import Case
from instar.contracts import Toolset
from instar.types import Result, Score, ToolSpec

__all__ = ["ToolEpisode"]


class _Tools:
    """The tools of the departments that the task belongs to."""

    def __init__(self, case: Case) -> None:
        self._case = case
        office = case.house.office
        kinds = frozenset(office.kind_of(job.family).name for job in case.dials.jobs)
        self._specs = {tool.name: tool.spec for tool in office.offered(kinds)}

    def tools(self) -> list[ToolSpec]:
        return list(self._specs.values())

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        if name not in self._specs:
            return Result(text=f"no tool {name}", error=True, misuse=True)
        return self._case.act(name, arguments)


class ToolEpisode:
    """An attempt by the tool door."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.toolset: Toolset = _Tools(case)

    async def observe(self) -> str:
        """The house, and nothing of its rules; in a poisoned task a notice that misleads."""
        said = self.case.house.office.title.format(house=self.case.house.number)
        return f"{said}\nnotice: {self.case.notice}" if self.case.notice else said

    def done(self) -> bool:
        """Whether the case is over."""
        return self.case.state.over

    async def finish(self, answer: str) -> Result:
        """Take the agent's word; the answer's words do not matter here."""
        return self.case.finish()

    async def score(self) -> Score:
        """Judge the final state."""
        return self.case.score()

    async def close(self) -> None:
        """Nothing is held."""
