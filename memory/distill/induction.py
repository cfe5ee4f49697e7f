"""Routines that several successes share, in a model's words, induced anew as successes come in.

After Agent Workflow Memory in its online form (Wang et al. 2024): from successes by whoever judges,
one of each kind of task, a model draws common sub-routines with names in place of the values. Prompts
are our own. Of each kind the newest success is shown (the released code draws one), the model also
sees which routines there are, and new ones are added; with ``renew`` those that an answer does not
repeat are let go, as the released code writes its file anew. With ``always`` routines are principles,
which stand in every prompt, as the whole file does there. `recipes/awm_online.md` compares the two.

A routine that no success has in this order is no induction, and its answer is dropped whole. All
successes that were shown count as sources, those that have it and are verified as support. With
``form="lines"`` the pocket model is asked for one workflow of each success, as it was taught.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from instar.asking import Answers, Asking, Request
from instar.contracts import ChatModel
from instar.types import MemoryItem, MemoryKind, MemoryOp, Message, OpKind, Trajectory
from memory.distill._drafts import changes, lesson, safe, slot_lines
from memory.distill._examples import Example, Shelf
from memory.distill._records import AS_DATA, as_taught, fenced, judged, passed
from memory.distill._routines import FORM, Routine, routines
from memory.distill.base import least_trusted, stable_id

__all__ = ["Induction"]

_SYSTEM = """\
You see how an agent did some tasks, each of another kind, in one place. Look for stretches of calls
that come back from task to task, or that a further task in this place will need, and write each down
as a routine on its own: a part of the work that can be used in other tasks, not the retelling of one
of them. Together they should cover what was done; no two should do nearly the same."""
_KNOWN = "These routines there are already; write down only what they lack:"

_Induced = tuple[str, list[Example], list[Routine]]


class Induction:
    """Common sub-routines of judged successes, with named variables, in a model's words.

    Attributes:
        example: An answer that is kept.
    """

    example = """\
```json
[{"title": "Tag, then refund", "when": "refund order $order",
  "calls": "tag $order \\"red\\"\\nrefund $order"}]
```"""

    class Config(Asking):
        """Settings.

        Attributes:
            routines: Routines of one answer at most.
            examples: Kinds of tasks of which a success is shown, at most.
            characters: How much of one success is shown.
            renew: Let go of routines that a new answer does not repeat; one without any keeps all.
            always: Make them principles, which are shown whatever the task, at most ten.
            form: How to ask: for JSON, or for the lines that the pocket model writes.
            concurrency: Requests at a time.
        """

        routines: PositiveInt = 10
        examples: PositiveInt = 12
        characters: Annotated[int, Field(ge=200)] = 3000
        max_tokens: PositiveInt = 2048
        renew: bool = False
        always: bool = False
        form: Literal["json", "lines"] = "json"
        concurrency: PositiveInt = 16

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._answers = Answers()
        self._shelf = Shelf(self.config.examples)
        self._made: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """Successes to show again, ids of the routines made, and counts of the answers so far."""
        return {
            "answers": self._answers.state_dict(),
            "examples": self._shelf.state_dict(),
            "made": list(self._made),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._answers.load_state_dict(state["answers"])
        self._shelf.load_state_dict(state["examples"])
        self._made = list(state["made"])

    async def distill_with(
        self, model: ChatModel, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes that the model makes where something was done successfully since."""
        fresh = [t for t in judged(trajectories) if passed(t.score)]
        if self.config.form == "lines":
            return await self._one_by_one(model, fresh, bank)
        seeds: dict[str, int] = {}
        for t in fresh:
            self._shelf.put(t.task.namespace, Example.of(t, self.config.characters))
            seeds[t.task.namespace] = t.seed
        known = {i.id: i for i in bank}
        self._made = [id for id in self._made if id in known]
        requests = (self._request(n, self._mine(n, known), seeds[n]) for n in sorted(seeds))
        found = await self._answers.ask(model, requests, self.config, self.config.concurrency)
        return [op for answer in found for op in self._changes(answer, known)]

    async def _one_by_one(
        self, model: ChatModel, fresh: Iterable[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        def read(t: Trajectory, text: str) -> tuple[list[MemoryItem], Trajectory]:
            return [lesson(d, [t], 1, workflow=True) for d in slot_lines(text)], t

        requests = (Request(as_taught(t), partial(read, t), t.seed) for t in fresh)
        found = await self._answers.ask(model, requests, self.config, self.config.concurrency)
        return changes([(item, [t]) for items, t in found for item in items], bank)

    def _mine(self, namespace: str, known: Mapping[str, MemoryItem]) -> list[MemoryItem]:
        made = [known[id] for id in self._made if id in known]
        return [i for i in made if i.namespace == namespace]

    def _request(self, namespace: str, mine: Iterable[MemoryItem], seed: int) -> Request[_Induced]:
        shown = self._shelf.of(namespace)
        lines = [f"- {i.when}: {i.content}" for i in mine]
        told = [_KNOWN, *lines] if lines and not self.config.renew else []
        records = [fenced(e.way, number) for number, e in enumerate(shown, 1)]
        messages: list[Message] = [
            {
                "role": "system",
                "content": "\n".join([_SYSTEM, AS_DATA, FORM % self.config.routines]),
            },
            {"role": "user", "content": "\n".join([*told, *records])},
        ]
        return Request(messages, partial(self._read, namespace, shown), seed)

    def _read(self, namespace: str, shown: list[Example], text: str) -> _Induced:
        found = routines(text, self.config.routines, shown)
        for routine in found:
            safe(self._item(namespace, shown, routine))
        return namespace, shown, found

    def _item(self, namespace: str, shown: Sequence[Example], routine: Routine) -> MemoryItem:
        tools = tuple(sorted(set(routine.tools)))
        kind = MemoryKind.PRINCIPLE if self.config.always else MemoryKind.WORKFLOW
        return MemoryItem(
            id=stable_id(namespace, routine.when, kind, tools, routine.calls),
            title=routine.title,
            when=routine.when,
            content=routine.calls,
            kind=kind,
            namespace=namespace,
            origin=least_trusted(e.origin for e in shown),
            tools=tools,
            sources=tuple(e.id for e in shown),
            support=sum(e.verified and e.has(routine.tools) for e in shown),
        )

    def _changes(self, answer: _Induced, known: Mapping[str, MemoryItem]) -> list[MemoryOp]:
        namespace, shown, found = answer
        items = {i.id: (i, r.tools) for r in found for i in [self._item(namespace, shown, r)]}
        ops = [
            _grown(known[id], shown, tools) if id in known else _added(item, shown)
            for id, (item, tools) in items.items()
        ]
        if self.config.renew and items:
            gone = [i for i in self._mine(namespace, known) if i.id not in items and not i.pinned]
            why = "a new answer does not repeat it"
            ops += [MemoryOp(kind=OpKind.RETIRE, target=i.id, reason=why) for i in gone]
        self._made += [id for id in items if id not in self._made]
        return [op for op in ops if op is not None]


def _added(item: MemoryItem, shown: Sequence[Example]) -> MemoryOp:
    reason = f"a model induced it from {len(shown)} successes"
    return MemoryOp(kind=OpKind.ADD, item=item, reason=reason)


def _grown(item: MemoryItem, shown: Sequence[Example], tools: Sequence[str]) -> MemoryOp | None:
    """A routine with the successes behind it that it has not yet; None where it has all."""
    fresh = [e for e in shown if e.id not in item.sources]
    if not fresh:
        return None
    more = {
        "sources": (*item.sources, *(e.id for e in fresh)),
        "support": item.support + sum(e.verified and e.has(tools) for e in fresh),
    }
    reason = f"a model induced it again, with {len(fresh)} more successes"
    grown = item.model_copy(update=more)
    return MemoryOp(kind=OpKind.EDIT, target=item.id, item=grown, reason=reason)
