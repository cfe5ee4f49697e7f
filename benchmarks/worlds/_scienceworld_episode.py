"""An attempt at a ScienceWorld task, and the verdict on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from benchmarks.worlds._scienceworld_jvm import Answer, Simulator
from benchmarks.worlds._scienceworld_pool import Pool
from benchmarks.worlds._scienceworld_tools import CHOOSE, Template, offered, phrase
from instar.contracts import Toolset
from instar.errors import EpisodeFault
from instar.types import Result, Score, Status, ToolSpec

__all__ = ["LOOK", "Attempt", "value_of"]

_UNKNOWN = "No known action matches that input."
_UNHEARD = "Unknown action."
_ASKS = "Ambiguous request"
LOOK = "look around"


def value_of(answer: Answer) -> float:
    """The score in hundredths, as the library rounds it; what has failed is worth nothing."""
    return max(_raw(answer), 0) / 100


def _raw(answer: Answer) -> int:
    return round(100 * answer.score)


class _Hands:
    """The tools of an attempt."""

    def __init__(self, simulator: Simulator, templates: Mapping[str, Template], steps: int) -> None:
        self._simulator, self._templates, self._steps = simulator, templates, steps
        self._asking = False
        self.taken = 0
        self.last = Answer("", 0.0, False)
        self.seen = ""

    def begin(self) -> None:
        """The first look, which the library counts as a move and the gold paths rely on."""
        self._do(LOOK)

    @property
    def over(self) -> bool:
        return self.last.done or self.last.score < 0 or self.taken >= self._steps

    def tools(self) -> list[ToolSpec]:
        return [t.spec() for t in self._templates.values()]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        template = self._templates.get(name)
        if template is None:
            listed = ", ".join(self._templates)
            return _mistake(f"no tool {name}. Tools: {listed}")
        try:
            action = phrase(template, arguments)
        except ValueError as error:
            return _mistake(str(error))
        if self.over:
            return Result(text="the episode is over", error=True)
        if template is CHOOSE and not self._asking:
            return _mistake("choose: nothing was asked")
        self.taken += 1
        return await asyncio.to_thread(self._do, action)

    def _do(self, action: str) -> Result:
        if self._asking and not action.isdigit():
            # An answer is due; without one the simulator would take the action for it.
            self._simulator.step("")
        self.last = self._simulator.step(action)
        text = self.last.text.strip()
        self._asking = text.startswith(_ASKS)
        if text.startswith((_UNKNOWN, _UNHEARD)):
            return _mistake(
                f"{action!r}: nothing here is called that, or it cannot be done with it"
            )
        around, carried = self._simulator.scene()
        parts = [text, around, carried] if text != around.strip() else [around, carried]
        self.seen = "\n\n".join(p.strip() for p in parts)
        return Result(text=text, observation=self.seen)


def _mistake(text: str) -> Result:
    return Result(text=text, error=True, misuse=True)


class Attempt:
    """One attempt; the simulator goes back to the pool when it is closed."""

    def __init__(
        self, pool: Pool, simulator: Simulator, templates: Mapping[str, Template], steps: int
    ) -> None:
        self._pool = pool
        self._simulator: Simulator | None = simulator
        self._hands = _Hands(simulator, templates, steps)
        self.toolset: Toolset = self._hands

    @classmethod
    async def begin(cls, pool: Pool, place: tuple[str, int, str], steps: int) -> Attempt:
        """Borrow a simulator and load the task.

        Args:
            place: Kind of task, variation, simplification.
            steps: Actions it may take.

        Raises:
            MissingExtra: Java or the library is not installed.
            UserError: Java does not run the simulator.
            EpisodeFault: The simulator failed.
        """
        simulator = await pool.take()

        def load() -> Attempt:
            simulator.load(*place)
            attempt = cls(pool, simulator, offered(simulator.templates()), steps)
            attempt._hands.begin()
            return attempt

        try:
            return await asyncio.to_thread(load)
        except BaseException:
            pool.give(simulator)
            raise

    async def observe(self) -> str:
        """What is around and what is carried, after what the last action said."""
        return self._hands.seen

    def done(self) -> bool:
        """Whether the task is completed or failed, or the steps are spent."""
        return self._hands.over

    async def finish(self, answer: str) -> Result:
        """Take the agent's word; the answer's words do not matter here."""
        return Result(text="finished")

    async def score(self) -> Score:
        """The benchmark's own score; only all of it passes."""
        if self._simulator is None or not self._simulator.usable:
            raise EpisodeFault("the simulator is gone")
        raw = _raw(self._hands.last)
        passed = self._hands.last.done and raw == 100
        ended = "the task has failed for good" if raw < 0 else f"score {raw} of 100"
        return Score(
            status=Status.PASS if passed else Status.FAIL,
            value=value_of(self._hands.last),
            evidence=f"{ended} after {self._hands.taken} steps",
            metrics={"raw": float(raw), "steps": float(self._hands.taken)},
        )

    async def close(self) -> None:
        """Give the simulator back."""
        if self._simulator is not None:
            simulator, self._simulator = self._simulator, None
            self._pool.give(simulator)
