"""Strategies that a model draws from single successes and failures, with the judge's reason at hand.

After ReasoningBank (Ouyang et al. 2025): one question an episode, another for a success than for a
failure, at most three memories. Prompts are our own. Where the paper finds all memories of an episode
by the task they were drawn from (here: ``experience``), ours name the kind of task themselves
(``when``), and an answer of another form is dropped whole instead of mended. Greedy by default; the
paper samples at temperature 1. `recipes/reasoningbank.md` compares paper, released code and this.

With ``form="lines"`` the pocket model is asked as it was taught: one memory, a workflow of a success
or the refused call of a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from pydantic import PositiveInt

from instar.asking import Asking, Counting, Request
from instar.contracts import ChatModel
from instar.types import MemoryItem, MemoryOp, Message, Trajectory
from memory.distill._drafts import FORM, changes, drafts, experience, lesson, slot_lines
from memory.distill._records import AS_DATA, as_taught, judged, passed, record

__all__ = ["Reasoning"]

_SUCCESS = """\
An agent did its task; you see the record. Work out what made it succeed and what of that carries over
to other tasks of the kind: an order of steps that mattered, something it looked up first, a check
that paid. Leave out what anybody would do anyway."""
_FAILURE = """\
An agent failed at its task; you see the record, and after "why" what the verdict rests on. Find the
first point at which it went wrong and what would have had to be known there. Write down how to avoid
it next time. State nothing that the record does not show."""
_LINES = "lines"

_Found = tuple[list[MemoryItem], Trajectory]


class Reasoning(Counting):
    """Strategies from successes and pitfalls from failures, in a model's words.

    Attributes:
        example: An answer that is kept.
    """

    example = """\
```json
[{"title": "Ask before the last call", "when": "refund order $1",
  "content": "Look up the state of order $1 first: a locked order is refused for good."}]
```"""

    class Config(Asking):
        """Settings.

        Attributes:
            items: Memories of one episode at most.
            experience: All memories of an episode are one item, found by the words of its task, so
                that ``memory.k`` counts episodes; the pocket model writes one memory anyway.
            form: How to ask: for JSON, or for the lines that the pocket model writes.
            concurrency: Requests at a time.
        """

        items: PositiveInt = 3
        experience: bool = False
        form: Literal["json", "lines"] = "json"
        concurrency: PositiveInt = 16

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or self.Config()

    async def distill_with(
        self, model: ChatModel, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes that the model makes of each episode that could be judged."""
        requests = (
            Request(self._messages(t), partial(self._read, t), t.seed) for t in judged(trajectories)
        )
        answers = await self._answers.ask(model, requests, self.config, self.config.concurrency)
        return changes([(item, [t]) for items, t in answers for item in items], bank)

    def _messages(self, trajectory: Trajectory) -> list[Message]:
        if self.config.form == _LINES:
            return as_taught(trajectory)
        what = _SUCCESS if passed(trajectory.score) else _FAILURE
        system = "\n".join([what, AS_DATA, FORM % self.config.items])
        user = record(trajectory, self.config.characters)
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]

    def _read(self, trajectory: Trajectory, text: str) -> _Found:
        lines, success = self.config.form == _LINES, passed(trajectory.score)
        written = slot_lines(text) if lines else drafts(text, self.config.items)
        polarity = 1 if success else -1
        found = [lesson(d, [trajectory], polarity, workflow=lines and success) for d in written]
        whole = self.config.experience and bool(found) and not lines
        return [experience(found, trajectory)] if whole else found, trajectory
