"""Lessons: what the world refused, in its own words, and under which kind of task.

After the failure insights of ExpeL (Zhao et al. 2024) and ReasoningBank (Ouyang et al. 2025), without
a language model: a lesson is the refused call and the refusal, values lifted to slots. Its support
counts the trajectories in which the same call went through later, or in a success at the same kind
of task. Left out are refusals that say nothing of the world: calls of tools that were not at hand
or with arguments that do not fit the schema, and texts that come up in most kinds of work alike.

A lesson needs no tools of its own, since what one toolset taught is true behind the other too. It is
retired when every toolset met in its namespace has a workflow with two successes for the same task.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Record, Trajectory
from memory.distill._refusals import Call, Run, masked, read
from memory.distill._slots import Lexicon, Lifter
from memory.distill.base import FINISH, active, new, stable_id

__all__ = ["Rules"]

_ENOUGH = 2
_AVOIDED = " ; avoided by: "


class _Work(NamedTuple):
    """One kind of task in one namespace."""

    namespace: str
    when: str


class Rules:
    """Lessons from refusals: the call, what the world answered, and what got round it."""

    class Config(Record):
        """Settings.

        Attributes:
            generic: A refusal met in at least this many families, and in half of all, is generic.
            avoided: Append the calls that got round a refusal while no workflow says them.
        """

        generic: int = 4
        avoided: bool = False

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._lexicon = Lexicon()
        self._toolsets: dict[str, set[tuple[str, ...]]] = {}

    def state_dict(self) -> dict[str, Any]:
        """Instructions met, and the toolsets of each namespace."""
        toolsets = {n: sorted(map(list, t)) for n, t in sorted(self._toolsets.items())}
        return {"lexicon": self._lexicon.state_dict(), "toolsets": toolsets}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._lexicon.load_state_dict(state["lexicon"])
        self._toolsets = {n: {tuple(s) for s in t} for n, t in state["toolsets"].items()}

    def distill(
        self, trajectories: Sequence[Trajectory], bank: Sequence[MemoryItem]
    ) -> list[MemoryOp]:
        """Changes that the refusals among the trajectories justify."""
        runs = self._read(new(trajectories))
        lessons = active(bank, MemoryKind.LESSON)
        workflows = active(bank, MemoryKind.WORKFLOW)
        generic = self._generic([r for rs in runs.values() for r in rs])
        covered = {w for w in {*runs, *map(_work, lessons)} if self._covered(w, workflows)}
        ops = [_retired(i) for i in sorted(lessons, key=lambda i: i.id) if _work(i) in covered]
        for work in sorted(set(runs) - covered):
            told = any(_work(w) == work for w in workflows) or any(r.clean for r in runs[work])
            known = [i for i in lessons if _work(i) == work]
            writer = _Writer(work, runs[work], known, self.config.avoided and not told)
            ops += writer.changes(generic)
        return ops

    def _read(self, trajectories: Sequence[Trajectory]) -> dict[_Work, list[Run]]:
        self._lexicon.learn(trajectories)
        lifter = Lifter(self._lexicon, trajectories)
        runs: dict[_Work, list[Run]] = defaultdict(list)
        for t in trajectories:
            toolset = tuple(sorted({s.name for s in t.tools} - {FINISH}))
            self._toolsets.setdefault(t.task.namespace, set()).add(toolset)
            slots = lifter.slots(t)
            runs[_Work(t.task.namespace, slots.put(t.task.instruction))].append(read(t, slots))
        return runs

    def _covered(self, work: _Work, workflows: Iterable[MemoryItem]) -> bool:
        having = [set(w.tools) for w in workflows if _work(w) == work and w.support >= _ENOUGH]
        toolsets = self._toolsets.get(work.namespace, set())
        return bool(having) and all(any(h <= set(t) for h in having) for t in toolsets)

    def _generic(self, runs: Iterable[Run]) -> set[str]:
        families: dict[str, set[str]] = defaultdict(set)
        everything: set[str] = set()
        for run in runs:
            everything.add(run.source.task.family)
            for call in run.calls:
                if call.error is not None:
                    families[masked(call.error)].add(run.source.task.family)
        enough = max(self.config.generic, len(everything) / 2)
        return {text for text, met in families.items() if len(met) >= enough}


def _work(item: MemoryItem) -> _Work:
    return _Work(item.namespace, item.when)


def _retired(item: MemoryItem) -> MemoryOp:
    reason = "supported workflows say how to do the task"
    return MemoryOp(kind=OpKind.RETIRE, target=item.id, reason=reason)


class _Writer:
    """Writes the lessons of one kind of task: one for each refusal."""

    def __init__(
        self, work: _Work, runs: Sequence[Run], known: Iterable[MemoryItem], tell: bool
    ) -> None:
        self.work = work
        self.runs = runs
        self.known = {i.content.partition(_AVOIDED)[0]: i for i in known}
        self.tell = tell

    def changes(self, generic: set[str]) -> list[MemoryOp]:
        """New lessons, and more support for those that are known."""
        ops = [self._edit(content, item) for content, item in sorted(self.known.items())]
        refused: dict[str, Counter[Call]] = defaultdict(Counter)
        for run in self.runs:
            for call in run.calls:
                if call.error is not None and masked(call.error) not in generic:
                    refused[call.error][call] += 1
        for error in sorted(e for e in refused if not self._said(e)):
            counted = refused[error]
            call = min(counted, key=lambda c: (-counted[c], len(c.line), c.line))
            ops.append(self._add(call))
        return [op for op in ops if op is not None]

    def _said(self, error: str) -> bool:
        # By its end: what stands before may hold an arrow too, as models write anything into a call.
        return any(content.endswith(f" -> {error}") for content in self.known)

    def _supporting(self, content: str) -> list[str]:
        return [r.source.id for r in self.runs if r.supports(content)]

    def _add(self, call: Call) -> MemoryOp:
        content = f"{call.line} -> {call.error}"
        met = [r.source for r in self.runs if any(c.error == call.error for c in r.calls)]
        support = self._supporting(content)
        item = MemoryItem(
            id=stable_id(*self.work, MemoryKind.LESSON, (), content),
            title=self.work.when,
            when=self.work.when,
            content=content + self._tail(content),
            kind=MemoryKind.LESSON,
            polarity=-1,
            group=met[0].task.group,
            namespace=self.work.namespace,
            origin=call.origin,
            sources=tuple(dict.fromkeys([*(t.id for t in met), *support])),
            support=len(support),
        )
        reason = f"refused in {len(met)} episodes"
        return MemoryOp(kind=OpKind.ADD, item=item, reason=reason)

    def _edit(self, content: str, item: MemoryItem) -> MemoryOp | None:
        fresh = [i for i in self._supporting(content) if i not in item.sources]
        if not fresh:
            return None
        more = {
            "support": item.support + len(fresh),
            "sources": (*item.sources, *fresh),
            "content": content + self._tail(content) if self.tell else item.content,
        }
        reason = f"the call went through in {len(fresh)} more episodes"
        edited = item.model_copy(update=more)
        return MemoryOp(kind=OpKind.EDIT, target=item.id, item=edited, reason=reason)

    def _tail(self, content: str) -> str:
        ways = [r.way_round(content) for r in self.runs] if self.tell else []
        found = sorted((len(w), "; ".join(c.line for c in w)) for w in ways if w)
        return f"{_AVOIDED}{found[0][1]}" if found else ""
