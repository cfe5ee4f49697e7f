"""BFCL multi-turn: a user's requests one after the other, by simulated tools of eight domains.

The data, the simulators and the checks are those of the wheel `bfcl-eval`. An agent deals with a
request by calling functions, then calls `next_request`; a request that it never closes counts as
failed, as in BFCL a model that had to be stopped. A run passes where each turn leaves every
simulator in the public state that the possible answer leaves it in and has brought its results, in
whatever order and with whatever detours: for the same calls the verdict is BFCL's own. Requests that
expect no call accept everything. A function that the user has not added yet is refused here, where
BFCL would run it for a model that guesses its name. BFCL's limit of 20 steps a turn is left to the
agent's budget.

The 200 stories of ``base`` are told again in the other categories, so the split goes by story. One
telling is left out (miss_func 49): its answer needs a function two turns before the user adds it.
"""

from __future__ import annotations

import random
from typing import Any

from pydantic import Field

from benchmarks.worlds._bfcl_episode import Attempt, functions
from benchmarks.worlds._bfcl_runs import altered, play
from benchmarks.worlds._bfcl_wheel import CATEGORIES, Entry, entries
from instar.contracts import Episode
from instar.errors import UnknownName, UserError
from instar.types import Record, Score, Split, Task, content_hash

__all__ = ["Bfcl"]

_DOMAINS = {
    "GorillaFileSystem": "files",
    "VehicleControlAPI": "vehicle",
    "TradingBot": "trading",
    "TravelAPI": "travel",
}
_SPLITS = (Split.PRACTISE, Split.PRACTISE, Split.GATE, Split.HELD_OUT)


def _split(entry: Entry) -> Split:
    return _SPLITS[int(content_hash(["bfcl", entry.number], 4), 16) % len(_SPLITS)]


def _possible(entry: Entry) -> bool:
    """Whether the answer gets by with the functions that are there in each turn."""
    turns = enumerate(entry.answers)
    return all(
        {call.name for call in calls} <= set(functions(entry, turn)) for turn, calls in turns
    )


class Bfcl:
    """Several requests in a row to simulated tools, judged by their state after each."""

    id = "bfcl"
    namespace = "bfcl"

    class Config(Record):
        """Settings.

        Attributes:
            categories: Of ``base``, ``miss_func`` (a function is added only later), ``miss_param``
                (the user tells something only later) and ``long_context`` (results are long).
        """

        categories: tuple[str, ...] = Field(default=("base",), min_length=1)

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config = config or self.Config(**settings)
        for name in self.config.categories:
            if name not in CATEGORIES:
                raise UnknownName("BFCL category", name, CATEGORIES)

    def tasks(self, split: Split, n: int, seed: int) -> list[Task]:
        """At most ``n`` distinct tasks of a split.

        Raises:
            MissingExtra: The wheel is not installed.
        """
        names = dict.fromkeys(self.config.categories)
        listed = [entry for name in names for entry in entries(name) if _split(entry) == split]
        found = [entry for entry in listed if _possible(entry)]
        random.Random(f"{self.namespace} {split} {seed}").shuffle(found)
        return [self._task(entry) for entry in found[:n]]

    def _task(self, entry: Entry) -> Task:
        domain = next(_DOMAINS[name] for name in entry.simulators if name in _DOMAINS)
        return Task(
            id=f"bf-{content_hash(entry.model_dump(mode='json'))}",
            instruction=(
                "Deal with a user's requests one after the other, and call next_request when one "
                f"is dealt with. The first: {entry.requests[0]}"
            ),
            world=self.id,
            namespace=self.namespace,
            group=f"{entry.category}/{domain}",
            family=domain,
            params={"entry": entry.id, "category": entry.category, "turns": len(entry.requests)},
            split=_split(entry),
        )

    def _entry(self, task: Task) -> Entry:
        if task.world != self.id:
            raise UserError(f"Task {task.id} belongs to {task.world}; this is {self.id}.")
        category = str(task.params.get("category"))
        listed = entries(category) if category in CATEGORIES else ()
        for entry in listed:
            if entry.id == task.params.get("entry") and self._task(entry).id == task.id:
                return entry
        raise UserError(f"Task {task.id} is not of this version of bfcl-eval. Draw tasks anew.")

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt; nothing in it depends on the seed.

        Raises:
            UserError: The task is not of this world.
            MissingExtra: The wheel is not installed.
        """
        return Attempt(self._entry(task))

    def floor_of(self, task: Task) -> float:
        """What doing nothing scores: nothing, for every task expects a call for some request.

        Some requests expect none (3 of 734 in base, 202 of 929 in miss_func, 203 of 934 in
        miss_param, 3 of 734 in long_context), so closing every request without a call has 0.3,
        23, 23 and 0.3 % of a task's requests right, as the metric ``turns`` shows.
        """
        return 0.0

    async def oracle(self, task: Task, seed: int) -> Score:
        """The run of the possible answer; for checking the world, never for learning."""
        entry = self._entry(task)
        return await play(entry, entry.answers)

    async def spoilt(self, task: Task, seed: int) -> dict[str, Score]:
        """Runs of the possible answer with one thing wrong, by what it is."""
        entry = self._entry(task)
        return {name: await play(entry, turns) for name, turns in altered(entry)}
