"""Tasks that a model makes up from failed ones, which it is shown as examples.

After WebRL (Qi et al. 2024), whose generator sees instructions that failed and writes new ones of like
difficulty. Prompts are our own, and so is the form: where the paper lets a judge say whether a new task
can be done, ours names a family and parameters that the world makes a task of, which a program checks,
and the draft still has to pass the pipeline with its witness. An answer of another form is dropped whole.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import Field, PositiveInt, ValidationError

from curriculum.propose.base import check_practise
from instar.asking import Answers, Asking, Refused, Request, fenced
from instar.contracts import ChatModel, ProposalContext
from instar.types import Message, Record, Status, Task, TaskDraft

__all__ = ["FromFailures"]

_PROPOSER = "from_failures"
_ASKED = """\
An agent practises tasks of several families. You see tasks at which it failed, each with its family and
the parameters that set its difficulty. Make up new tasks from which it could learn what it lacks: like
these, but not the same, and some a little easier. Use only families and values that are listed; leave out
a parameter to have it drawn. Answer with one fenced JSON list and nothing after it:

```json
[{{"family": "...", "params": {{"...": 1}}, "reason": "what it would teach"}}]
```

At most {n} entries.

Families: {families}
Parameters, easiest value first:
{dials}

Failed tasks:
{failed}"""


class _Entry(Record):
    """One task of an answer."""

    family: str
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    reason: str = ""


class FromFailures:
    """Asks a model for tasks like those that failed.

    Attributes:
        example: An answer that is kept.
    """

    example = """\
```json
[{"family": "refund", "params": {"distractors": 2}, "reason": "the same with less to look through"}]
```"""

    class Config(Asking):
        """Settings.

        Attributes:
            shown: Failed tasks in one question.
            each: Tasks asked for in one question; more are asked for in several.
        """

        temperature: float = Field(default=1.0, ge=0)
        shown: PositiveInt = 6
        each: PositiveInt = 8

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._answers = Answers()

    async def propose_with(
        self, model: ChatModel, context: ProposalContext, n: int, rng: random.Random
    ) -> list[TaskDraft]:
        """At most ``n`` drafts.

        Raises:
            ValueError: The context holds a gate or held-out task.
            ModelFault: The model could not be reached at all.
        """
        check_practise([*context.failures, *context.successes])
        fails = [t.task for t in context.failures if t.score.status is Status.FAIL]
        failed = sorted({t.id: t for t in fails}.values(), key=lambda t: t.id)
        if not failed or n < 1:
            return []
        requests = []
        for begin in range(0, n, self.config.each):
            some = rng.sample(failed, min(self.config.shown, len(failed)))
            wanted = min(self.config.each, n - begin)
            asked = _question(some, context, wanted)
            requests.append(Request(asked, partial(_read, some, wanted), rng.randrange(2**31)))
        found = await self._answers.ask(model, requests, self.config, at_once=4)
        return [draft for drafts in found for draft in drafts][:n]

    def state_dict(self) -> dict[str, Any]:
        """Counts of the answers so far."""
        return {"answers": self._answers.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._answers.load_state_dict(state["answers"])


def _question(failed: Sequence[Task], context: ProposalContext, n: int) -> list[Message]:
    families = sorted({t.family for t in [*context.recent, *failed]})
    dials = [f"- {name}: {json.dumps(list(values))}" for name, values in context.dials.items()]
    shown = [
        f"- {t.instruction}\n  family {t.family}, "
        + json.dumps({k: v for k, v in t.params.items() if k in context.dials})
        for t in failed
    ]
    text = _ASKED.format(
        n=n,
        families=", ".join(families),
        dials="\n".join(dials) or "- none",
        failed="\n".join(shown),
    )
    return [{"role": "user", "content": text}]


def _read(failed: Sequence[Task], n: int, text: str) -> list[TaskDraft]:
    try:
        entries = [_Entry.model_validate(entry) for entry in fenced(text)]
    except ValidationError as error:
        raise Refused("not tasks of the form", str(error)) from error
    if len(entries) > n:
        raise Refused("more tasks than asked for")
    return [
        TaskDraft(
            world=failed[0].world,
            family=entry.family,
            params=dict(entry.params),
            parents=tuple(t.id for t in failed),
            proposer=_PROPOSER,
            reason=entry.reason,
        )
        for entry in entries
    ]
