"""The contamination check: nothing learnt may descend from a task that measures.

It follows lineage, not likeness. A memory names the trajectories it was distilled from, a training
set those its rows came from, a proposed task its parents; each is followed back to tasks, and a
task that is protected (given, or marked for the gate or as held out) is a leak, and so is one that
a protected task was made of, such as a recorded session. A proposed task
that *is* a protected one under another id is found by its instruction. Lineage that cannot be
followed is reported as such: a check that could not look must not say "clean".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from instar.store import Store
from instar.types import MemoryItem, Record, Split, Task

__all__ = ["Leak", "Leakage", "check", "check_store"]

TaskOf = Callable[[str], Task | None]
"""Task of a trajectory id, None where the trajectory is not known."""


class Leak(Record):
    """One thing learnt from what it must not be learnt from.

    Attributes:
        kind: ``memory``, ``row`` or ``task``; with ``unknown lineage`` in ``why`` it is a gap.
        name: Id of the memory item, training set or proposed task.
        via: The trajectory or parent through which it descends.
        task: The protected task, empty for a gap.
    """

    kind: str
    name: str
    via: str
    task: str
    why: str


class Leakage(Record):
    """Result of the check: how much was looked at, and what was found."""

    memories: int = 0
    rows: int = 0
    tasks: int = 0
    protected: int = 0
    leaks: tuple[Leak, ...] = ()
    gaps: tuple[Leak, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing found, and everything could be followed."""
        return not self.leaks and not self.gaps

    def summary(self) -> dict[str, object]:
        """As reports and ``bench run --json`` show it."""
        return {"clean": self.clean, **self.model_dump(mode="json")}


class _Finder:
    """Collects leaks against one set of protected tasks."""

    def __init__(
        self, protected: Sequence[Task], task_of: TaskOf, known: Mapping[str, Task]
    ) -> None:
        self.ids = {t.id for t in protected}
        self.made_of = {parent for t in protected for parent in t.parents}
        self.texts = {(t.namespace, _plain(t.instruction)) for t in protected}
        self.task_of = task_of
        self.known = known
        self.leaks: list[Leak] = []
        self.gaps: list[Leak] = []

    def trajectories(self, kind: str, name: str, sources: Iterable[str]) -> None:
        for source in sources:
            task = self.task_of(source)
            if task is None:
                gap = Leak(kind=kind, name=name, via=source, task="", why="unknown lineage")
                self.gaps.append(gap)
            else:
                self.task(kind, name, source, task)

    def task(self, kind: str, name: str, via: str, task: Task) -> None:
        for ancestor, why in self._protected(task):
            self.leaks.append(Leak(kind=kind, name=name, via=via, task=ancestor, why=why))

    def _protected(self, task: Task) -> list[tuple[str, str]]:
        found = [(task.id, why)] if (why := self._why(task)) else []
        seen, waiting = {task.id}, list(task.parents)
        while waiting:
            parent = waiting.pop()
            if parent in seen:
                continue
            seen.add(parent)
            known = self.known.get(parent)
            if parent in self.ids or (known is not None and self._why(known)):
                found.append((parent, "descends from a protected task"))
            waiting.extend(known.parents if known else ())
        return found

    def _why(self, task: Task) -> str:
        if task.split != Split.PRACTISE:
            return f"of the {task.split.value} split"
        if task.id in self.ids:
            return "a protected task"
        if task.id in self.made_of:
            return "what a protected task was made of"
        if (task.namespace, _plain(task.instruction)) in self.texts:
            return "the same instruction as a protected task"
        return ""


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def check(
    protected: Sequence[Task],
    items: Sequence[MemoryItem],
    rows: Mapping[str, Sequence[str]],
    proposed: Sequence[Task],
    task_of: TaskOf,
    known: Mapping[str, Task] | None = None,
) -> Leakage:
    """Follow everything learnt back to its tasks.

    Args:
        protected: Tasks that measure; those of another split than practise are so anyway.
        items: Memory items in use.
        rows: Trajectory ids behind each training set, by the name of what was trained.
        proposed: Practise tasks that a proposer made.
        task_of: Task of a trajectory id.
        known: Further tasks by id, to follow parents over several steps.
    """
    finder = _Finder(protected, task_of, known or {})
    for item in items:
        finder.trajectories("memory", item.id, item.sources)
    for name, sources in rows.items():
        finder.trajectories("row", name, sources)
    for task in proposed:
        finder.task("task", task.id, "itself", task)
    return Leakage(
        memories=len(items),
        rows=sum(len(s) for s in rows.values()),
        tasks=len(proposed),
        protected=len(protected),
        leaks=tuple(finder.leaks),
        gaps=tuple(finder.gaps),
    )


def check_store(
    store: Store, protected: Sequence[Task], as_of: str, rows: Mapping[str, Sequence[str]]
) -> Leakage:
    """The check over what a workspace holds as of a generation.

    Args:
        store: The workspace's.
        protected: Tasks that measure, beside those that the store knows.
        as_of: The generation whose memories are followed.
        rows: Trajectory ids behind the adapters in use.
    """
    tasks = store.tasks()
    items = store.items(as_of)
    every = {t.id: t for t in [*tasks, *protected] if t.split != Split.PRACTISE}
    wanted = {s for i in items for s in i.sources}.union(*rows.values())
    task_of = {t.id: t.task for t in store.trajectories(ids=sorted(wanted))}
    proposed = [t for t in tasks if t.origin != "world" and t.split == Split.PRACTISE]
    known = {t.id: t for t in tasks}
    return check(list(every.values()), items, rows, proposed, task_of.get, known)
