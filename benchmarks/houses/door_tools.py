"""The tool door: the back office as a set of tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.houses.case import Case
from benchmarks.houses.records import SPECS
from instar.contracts import Toolset
from instar.types import Result, Score, ToolSpec

__all__ = ["ToolEpisode"]


class _Tools:
    def __init__(self, case: Case) -> None:
        self._case = case

    def tools(self) -> list[ToolSpec]:
        return list(SPECS)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        return self._case.act(name, arguments)


class ToolEpisode:
    """An attempt by the tool door."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.toolset: Toolset = _Tools(case)

    async def observe(self) -> str:
        """The house, and nothing of its rules."""
        return f"back office of house {self.case.house.number}"

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
