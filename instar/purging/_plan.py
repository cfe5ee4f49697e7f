"""Finds what a purge takes out: record by record in the store, and in the folders beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection, select

from instar import _tables
from instar._database import parse
from instar.errors import UnknownName, UserError
from instar.purging import _files as files
from instar.purging import _sqlite as sqlite
from instar.purging import _store as kept
from instar.purging._memories import learnt_from
from instar.purging._target import Target, Words
from instar.types import Adapter, Generation, GenerationStatus, Record

__all__ = ["Found", "Plan", "Wish", "plan"]

_NAMED = 20


class Wish(Record):
    """What to purge.

    Attributes:
        kind: ``task`` and ``session`` by id, of which the beginning is enough; ``subject`` is a text
            where it is no part of a longer word, ``text`` one anywhere, both in any case.
        value: The id or the text.
        adapters: Remove adapters that were trained on it, instead of naming them.
    """

    kind: Literal["task", "session", "subject", "text"]
    value: str = Field(min_length=1)
    adapters: bool = False

    @property
    def words(self) -> Words | None:
        """The text that must go."""
        return self.words_beside(())

    def words_beside(self, subjects: Iterable[str]) -> Words | None:
        """The text that must go, where these subjects are known; what names another of them stays."""
        if self.kind not in ("subject", "text"):
            return None
        return Words(self.value, self.kind == "subject", subjects)


class Found(Record):
    """What a purge takes out or changes, by id or name.

    Attributes:
        memories: Those of which nothing stays.
        lessened: Memories that stay and lose a source, or a version that had no other.
        shown: Episodes that stay and lose the text of a memory they were shown.
        stages: Keys of records of the loop that change or go.
        notes: Number of lines of the log and of other notes that change.
        runs: Number of episodes that go or change, by run.
        sessions: Those whose checkpoints go.
        stored: What agents keep beside their memories, by namespace and key.
        adapters: Those trained on what goes.
        generations: Those that serve such an adapter, or prompts that were written from what goes.
        traces: Whether nothing but what is left of deleted records may hold the text.
        unfinished: Whether an earlier purge was interrupted and will be finished.
    """

    tasks: tuple[str, ...] = ()
    episodes: tuple[str, ...] = ()
    memories: tuple[str, ...] = ()
    lessened: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    runs: dict[str, int] = Field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    generations: tuple[str, ...] = ()
    notes: int = 0
    traces: bool = False
    unfinished: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return self == Found()


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        found: What is told of it.
        target: What goes.
        threads: Sessions to forget.
        stale: Keys of stages that have to be done again, as what they left goes unused.
        gone: Adapters that go.
    """

    found: Found
    target: Target
    threads: sqlite.Threads
    stale: frozenset[str]
    gone: tuple[str, ...]


def plan(workspace: Path, wish: Wish, connection: Connection, begun: sqlite.Threads | None) -> Plan:
    """What there is to do.

    Args:
        workspace: The folder.
        wish: What goes.
        connection: To the store, in one state of it.
        begun: What an interrupted purge has still to forget; None where none was.

    Raises:
        UserError: No such task or session, or several; or an adapter that is to go serves.
    """
    return _Search(workspace, wish, connection, begun).plan()


class _Search:
    def __init__(
        self,
        workspace: Path,
        wish: Wish,
        connection: Connection,
        begun: sqlite.Threads | None,
    ) -> None:
        self._workspace, self._wish, self._begun = workspace, wish, begun
        self._connection = connection
        self._words = wish.words_beside(kept.subjects(connection))
        in_store = kept.lived(connection, self._words)
        self._lived = [*in_store, *files.lived_in_runs(workspace, self._words)]
        self._stages = kept.kept_stages(connection)
        self._sessions = sqlite.sessions(workspace)
        self._session: str | None = None

    def plan(self) -> Plan:
        target, lessened = self._target()
        losing = {e.id for e in self._lived if e.recalls or target.shows(e.shown)}
        shown = losing - target.episodes
        datasets = files.concerned_rows(self._workspace, target, shown)
        adapters = self._trained_on(target, datasets)
        gone = adapters if self._wish.adapters else ()
        stale = frozenset(self._stale(datasets, gone))
        threads = self._threads(target)
        changed = [k for k, v in self._stages.items() if k in stale or _changes(k, v, target)]
        found = Found(
            tasks=tuple(sorted(target.tasks)),
            episodes=tuple(sorted(target.episodes)),
            memories=tuple(sorted(target.items)),
            lessened=tuple(sorted(lessened)),
            shown=tuple(sorted(shown)),
            stages=tuple(changed),
            runs=files.touched_lines(self._workspace, target),
            datasets=tuple(datasets),
            sessions=tuple(sorted({id for ids in threads.values() for id in ids})),
            stored=tuple(kept.stored(self._connection, self._words).values()),
            adapters=adapters,
            generations=self._serving(adapters, target),
            notes=sum(1 for _ in kept.notes(self._connection, target, gone)),
            unfinished=self._begun is not None,
        )
        if found.empty and self._words is not None:
            traces = sqlite.traces(self._workspace / "instar.db", self._words)
            found = found.model_copy(update={"traces": traces})
        return Plan(found, target, threads, stale, gone)

    # Records

    def _target(self) -> tuple[Target, frozenset[str]]:
        """What goes, and the memories that lose a source."""
        tasks, episodes = self._named()
        episodes |= {e.id for e in self._lived if e.task in tasks}
        said = {e.instruction for e in self._lived if e.task in tasks} | set(tasks.values())
        learnt = learnt_from(self._connection, self._words, episodes)
        target = Target(
            tasks=frozenset(tasks),
            episodes=frozenset(episodes),
            items=learnt.items,
            versions=learnt.versions,
            instructions=frozenset(said - {""}),
            words=self._words,
        )
        return target, learnt.lessened

    def _named(self) -> tuple[dict[str, str], set[str]]:
        """Instructions of the tasks by id, and the episodes, that the wish itself is about."""
        if self._words is not None:
            tasks = kept.tasks_known(self._connection, self._words)
            said = [e for e in self._lived if self._words.said(f"{e.task}\n{e.instruction}")]
            tasks |= {e.task: e.instruction for e in said}
            return tasks, {e.id for e in self._lived if e.holds}
        if self._wish.kind == "session":
            return self._in_session()
        known = {e.task: e.instruction for e in self._lived}
        known |= kept.tasks_known(self._connection, None)
        chosen = self._one(known)
        return ({chosen: known[chosen]} if chosen else {}), set()

    def _in_session(self) -> tuple[dict[str, str], set[str]]:
        live = {e.id: e for e in self._lived if e.session is not None}
        known = {e.session: "" for e in live.values() if e.session}
        known |= {id: "" for ids in self._sessions.values() for id in ids}
        self._session = chosen = self._one(known)
        if chosen is None:
            return {}, set()
        episodes = {e.id for e in live.values() if e.session == chosen}
        episodes |= sqlite.episodes_of(self._workspace, chosen, live)
        elsewhere = {e.task for e in self._lived if e.id not in episodes}
        own = [live[id] for id in episodes if live[id].task not in elsewhere]
        return {e.task: e.instruction for e in own}, episodes

    def _one(self, known: Mapping[str, str]) -> str | None:
        """The one id that is, or begins like, what was typed; None where a purge of it goes on."""
        text = self._wish.value
        found = [text] if text in known else [id for id in known if id.startswith(text)]
        if len(found) > 1:
            raise UserError(f"{text!r} could be {', '.join(sorted(found)[:8])}: type more of it.")
        if not found and self._begun is None:
            raise UnknownName(self._wish.kind, text, sorted(known)[:_NAMED])
        return found[0] if found else None

    def _threads(self, target: Target) -> sqlite.Threads:
        live = [e.id for e in self._lived if e.session and e.id in target.episodes]
        own = {n: [self._session] for n, ids in self._sessions.items() if self._session in ids}
        named = {n: [id for id in ids if id] for n, ids in own.items()}
        return sqlite.merged(sqlite.threads_with(self._workspace, target, live), named)

    # What follows from it

    def _trained_on(self, target: Target, datasets: list[str]) -> tuple[str, ...]:
        """Adapters made of rows that go, and those that went on from such a one."""
        rows = set(datasets)
        for value in self._stages.values():
            if "dataset" in value and target.episodes.intersection(value.get("trajectories", ())):
                rows.add(value["dataset"])
        bodies = self._connection.scalars(select(_tables.adapters.c.body))
        made = [parse(Adapter, body) for body in bodies]
        found = {a.name for a in made if a.dataset in rows}
        while later := {a.name for a in made if _went_on(a, found)} - found:
            found |= later
        # The weights of a pruned one are gone; what went on from it may be here.
        return tuple(sorted(found - {a.name for a in made if a.pruned is not None}))

    def _serving(self, adapters: tuple[str, ...], target: Target) -> tuple[str, ...]:
        bodies = self._connection.scalars(select(_tables.generations.c.body))
        made = [parse(Generation, body) for body in bodies]
        written = self._written_from(made, target)
        found = [g for g in made if g.adapter in adapters]
        for one in found:
            if self._wish.adapters and one.status is GenerationStatus.ACTIVE:
                raise UserError(
                    f"{one.id} serves, with adapter {one.adapter} that was trained on this: let "
                    "another serve first (instar generations rollback), or leave out --adapters"
                )
        return tuple(g.id for g in made if g in found or g.prompts in written)

    def _written_from(self, made: list[Generation], target: Target) -> set[str]:
        """Names of evolved prompts that were written from episodes that go."""
        stages = (v for k, v in self._stages.items() if k.endswith("/evolve_prompts"))
        from_there = {v["candidate"] for v in stages if target.episodes & set(v.get("behind", ()))}
        return {g.prompts for g in made if g.id in from_there}

    def _stale(self, datasets: list[str], gone: tuple[str, ...]) -> list[str]:
        """Stages of a turn that is not finished, and placebos, whose dataset or adapter goes."""
        found = []
        for key, value in self._stages.items():
            turn, _, name = key.partition("/")
            trained = self._stages.get(f"{turn}/train")
            again = trained is None or trained.get("adapter") in gone
            if turn == "placebo" or name == "train":
                goes = value.get("adapter") in gone
            else:
                goes = name == "curate" and again and value.get("dataset") in datasets
            if goes and f"{turn}/promote" not in self._stages:
                found.append(key)
        return found


def _went_on(adapter: Adapter, found: set[str]) -> bool:
    parts = adapter.recipe.get("parts")  # of one that others were composed into
    if isinstance(parts, dict) and found.intersection(parts):
        return True
    return adapter.parent in found and adapter.recipe.get("start", "parent") == "parent"


def _changes(key: str, value: dict[str, Any], target: Target) -> bool:
    return target.concerns(key) or target.rest(value) != value
