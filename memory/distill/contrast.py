"""What made the difference between several attempts at one task, in a model's words.

After the parallel form of MaTTS (Ouyang et al. 2025): one question a task, over attempts of which at
least one succeeded and one failed, each labelled with how it ended; at most five memories. Released
code of the paper compares unlabelled copies of one attempt; here they are different ones by id. A
task with a single attempt, such as each of the stream protocol, gives nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from pydantic import Field, PositiveInt

from instar.asking import Asking, Counting, Request
from instar.contracts import ChatModel
from instar.types import MemoryItem, MemoryOp, Message, Trajectory
from memory.distill._drafts import FORM, changes, drafts, lesson
from memory.distill._records import AS_DATA, passed, record, tasks

__all__ = ["Contrast"]

_SYSTEM = """\
Several attempts were made at one task; some succeeded and some failed, as each record says. Compare
them: where did they part, and what did the successful ones do or know that the others did not? Write
down what makes that difference. What all of them did explains nothing, and a difference without
consequence is none."""


class Contrast(Counting):
    """What successful attempts at a task did that failed ones did not, in a model's words.

    Attributes:
        example: An answer that is kept.
    """

    example = """\
```json
[{"title": "Tag before the call", "when": "refund order $1",
  "content": "Attempts that tagged order $1 red first went through; the others were refused."}]
```"""

    class Config(Asking):
        """Settings.

        Attributes:
            items: Memories of one comparison at most.
            attempts: So many are compared at most, of both kinds as evenly as there are.
            concurrency: Requests at a time.
        """

        items: PositiveInt = 5
        attempts: Annotated[int, Field(ge=2)] = 5
        characters: Annotated[int, Field(ge=200)] = 4000
        concurrency: PositiveInt = 16

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or self.Config()

    async def distill_with(
        self, model: ChatModel, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes that the model makes of each task with attempts of both kinds."""
        compared = [_chosen(group, self.config.attempts) for group in tasks(trajectories)]
        requests = (
            Request(self._messages(group), partial(self._read, group), group[0].seed)
            for group in compared
            if group
        )
        answers = await self._answers.ask(model, requests, self.config, self.config.concurrency)
        return changes([(item, group) for items, group in answers for item in items], bank)

    def _messages(self, group: Sequence[Trajectory]) -> list[Message]:
        system = "\n".join([_SYSTEM, AS_DATA, FORM % self.config.items])
        shown = [record(t, self.config.characters, n) for n, t in enumerate(group, 1)]
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": "\n".join(shown)},
        ]

    def _read(
        self, group: list[Trajectory], text: str
    ) -> tuple[list[MemoryItem], list[Trajectory]]:
        return [lesson(d, group, 1) for d in drafts(text, self.config.items)], group


def _chosen(group: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """Successes, then failures; empty where there is but one kind."""
    good = [t for t in group if passed(t.score)]
    bad = [t for t in group if not passed(t.score)]
    if not good or not bad:
        return []
    failed = min(len(bad), max(most // 2, most - len(good)))
    return [*good[: most - failed], *bad[:failed]]
