"""The stages that decide: each candidate against what it would replace, then the promotion.

Both sides run the same gate tasks with the same seeds, greedily, and stop as soon as something is
decided. Gate tasks are of a split of their own and drawn anew each turn. What would be promoted is
tempted by the probes first. The memory candidate comes first, the adapter candidate is measured on
top of whichever won; an undecided candidate changes nothing, and its practise goes into the next
turn's reflection.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.runner import episode_seed
from instar._gate_cost import cost_of
from instar._gate_reuse import conditions, decisions, known, probed, reuse, shared, under
from instar._gate_words import expected, life, lines, with_probes
from instar._holding import sentence
from instar._loop import Job, Loop, Output, State, draw
from instar._probing import probe
from instar._stages import add_generation
from instar.compose import Serving
from instar.pruning import prune
from instar.store import Store
from instar.types import Generation, GenerationStatus, Split, Task, Trajectory

if TYPE_CHECKING:
    from finetune.gate import GateConfig

__all__ = ["able", "gate_adapter", "gate_memory", "measured", "promote", "settled", "unmeasured"]


async def gate_memory(loop: Loop, key: str, state: State) -> Output:
    """The memory candidate against the active generation."""
    candidate, active = state["memory"], state["active"]
    if not any(item.generation == candidate for item in loop.store.items(candidate)):
        verdict = unmeasured("nothing new was remembered")
        return settled(loop, candidate, active, verdict, [])
    return await measured(loop, key, candidate, active)


async def gate_adapter(loop: Loop, key: str, state: State) -> Output:
    """The new adapter on top of the winner against the winner."""
    trained = loop.store.stage(f"g{state['turn']}/train") or {}
    winner = state["winner"]
    reason = _no_candidate(loop, key, trained, winner)
    if reason:
        return Output({"adapter": ""}, {"verdict": unmeasured(reason), "candidate": None})
    candidate = add_generation(loop, state["turn"], winner, "adapter", trained["adapter"])
    done = await measured(loop, key, candidate.id, winner)
    return done._replace(state={"adapter": candidate.id, "winner": done.state["winner"]})


def _no_candidate(loop: Loop, key: str, trained: Mapping[str, Any], winner: str) -> str:
    """Why the turn has no adapter to measure; empty where it has one."""
    name = trained.get("adapter")
    if name is None:
        return str(trained.get("reason", "no adapter was trained"))
    if loop.store.generation(winner).adapter == name:
        return "the adapter is the one in use"
    why = loop.workspace.registry.why_not(name)
    if why:
        loop.progress.say(f"{key}: {why}")
    return why


def able(loop: Loop, key: str, winner: str, active: str) -> str:
    """The winner, or where files of its adapter are damaged since the last before it that can serve."""
    for id in loop.store.ancestry(winner):
        adapter = loop.store.generation(id).adapter
        why = "" if adapter is None else loop.workspace.registry.why_not(adapter)
        if not why or id == active:  # nothing stands behind what serves
            return id
        loop.progress.say(f"{key}: {id} is left out: {why}")
    return active


async def measured(loop: Loop, key: str, candidate: str, active: str, factor: int = 1) -> Output:
    """One candidate against what it would replace, on the gate tasks of the turn, or ``factor`` times as many."""
    from finetune.gate import decide
    from finetune.stopping import at_look

    config, before = _config(loop, key), decisions(loop, key)
    jobs, sides = _jobs(loop, key, factor), [_Side(loop, key, id) for id in (active, candidate)]
    foreseen = expected(loop, 2 * len(jobs) - sum(side.there(jobs) for side in sides))
    if foreseen:
        loop.progress.say(f"{key}: {foreseen.told}")
    looked, last = await _look(loop, sides, jobs, config)
    found = [side.done for side in sides]
    verdict = decide(found[1], found[0], at_look(config, last, looked, len(jobs)))
    fresh = [one for side in sides for one in side.fresh]
    value = verdict.model_dump(mode="json")
    if verdict.decision == "promote" and loop.config.gate.probes:
        probes, more = await probe(loop, key, candidate, active, probed(loop, key))
        fresh += more
        value = with_probes(value, probes)
    tasks = [job.task.id for job in jobs[:looked]]
    taken = len(found[0]) + len(found[1]) - sum(len(side.fresh) for side in sides)
    value |= {
        "planned": len(jobs),
        "group_margin": config.group_margin,
        "looks": _looks(loop, config, len(jobs), looked),
        "forecast": foreseen.cost.model_dump() if foreseen else None,
        "life": life(before, value["decision"], loop.config.gate.fdr, config.alpha),
        "reuse": {"episodes": taken, **reuse(loop, key, tasks)},
        "cost": cost_of(fresh).model_dump(),
    }
    for line in (value["sentence"], *lines(value)):
        loop.progress.say(f"{key}: {line}")
    facts = {"active": active, "tasks": tasks, "conditions": conditions(loop)}
    return settled(loop, candidate, active, value, fresh, facts)


def _config(loop: Loop, key: str) -> GateConfig:
    from finetune.gate import GateConfig
    from finetune.lifetime import allowance

    gate = loop.config.gate
    alpha = allowance(decisions(loop, key), gate.fdr)
    return GateConfig(
        margin=gate.margin,
        group_margin=gate.group_margin,
        test=gate.test,
        alpha=alpha,
        level=1 - 2 * alpha,  # so that the interval that is shown is the one that decides
    )


def _jobs(loop: Loop, key: str, factor: int) -> list[Job]:
    """The tasks of the turn in an order of chance, then more; each with the one seed that it has at every gate."""
    config, turn = loop.config, key.partition("/")[0]
    first = _tasks(loop, turn, config.gate.tasks)
    there = {task.id for task in first}
    more = _tasks(loop, turn, factor * config.gate.tasks) if factor > 1 else []
    tasks = [*first, *(task for task in more if task.id not in there)]
    tasks = tasks[: factor * config.gate.tasks]
    loop.store.save_tasks(tasks)
    return [Job(t, episode_seed(draw(config, "gate"), t)) for t in tasks]


def _tasks(loop: Loop, turn: str, n: int) -> list[Task]:
    config = loop.config
    tasks = loop.workspace.home.tasks(Split.GATE, n, draw(config, turn, "gate"))
    random.Random(draw(config, turn, "order")).shuffle(tasks)
    return tasks


class _Side:
    """A generation at the gate: what it has done so far, and what of it had to be run."""

    def __init__(self, loop: Loop, key: str, id: str) -> None:
        self._loop, self._key, self._id = loop, key, id
        self._known, self._shared = known(loop, key, id), shared(loop, key, id)
        self.done: list[Trajectory] = []
        self.fresh: list[Trajectory] = []

    def there(self, jobs: Sequence[Job]) -> int:
        """How many results are there already."""
        return sum(i < self._shared or job.key in self._known for i, job in enumerate(jobs))

    async def run(self, jobs: Sequence[Job]) -> None:
        """Do the next tasks."""
        loop, begun = self._loop, len(self.done)
        serving = Serving.of(loop.store.generation(self._id))
        solve = loop.workspace.solver(serving, loop.workspace.home, "gate")
        # Under the generation's own key: the winner of the first gate is not run twice.
        stage = under(loop, f"{self._key.partition('/')[0]}/gate/{self._id}")
        with loop.progress.stage(f"{self._key} {self._id}", len(jobs)) as tally:
            found = await loop.collect(stage, jobs, solve, tally, self._known)
        self.done += found
        self.fresh += [
            one
            for i, (job, one) in enumerate(zip(jobs, found, strict=True), begun)
            if i >= self._shared and job.key not in self._known
        ]


async def _look(
    loop: Loop, sides: Sequence[_Side], jobs: Sequence[Job], config: GateConfig
) -> tuple[int, int]:
    """Measure until it is enough; how many pairs there are then, and how many at the look before."""
    from finetune.gate import pairs_of
    from finetune.stopping import enough

    before = 0
    for now in _planned(loop, config, len(jobs)):
        for side in sides:
            await side.run(jobs[before:now])
        if enough(pairs_of(sides[1].done, sides[0].done), before, len(jobs), config):
            return now, before
        before = now
    return len(jobs), before


def _planned(loop: Loop, config: GateConfig, pairs: int) -> list[int]:
    """After how many pairs it is looked, the last time at the end."""
    from finetune.stopping import looks

    return looks(pairs, 1 if config.test == "once" else loop.config.gate.looks)


def _looks(loop: Loop, config: GateConfig, pairs: int, looked: int) -> dict[str, int]:
    """Looks taken when ``looked`` pairs were measured, and those planned."""
    planned = _planned(loop, config, pairs)
    return {"taken": sum(now <= looked for now in planned), "planned": len(planned)}


def unmeasured(reason: str) -> dict[str, Any]:
    """The verdict where nothing was run."""
    return {
        "decision": "undecided",
        "sentence": f"Undecided: {reason}.",
        "reasons": [reason],
        "n": 0,
    }


def settled(
    loop: Loop,
    candidate: str,
    active: str,
    verdict: dict[str, Any],
    episodes: Sequence[Trajectory],
    facts: Mapping[str, Any] | None = None,
) -> Output:
    """Keep a verdict with its candidate; the winner is whichever serves from here on."""
    loop.store.set_status(candidate, GenerationStatus.CANDIDATE, verdict)
    winner = candidate if verdict["decision"] == "promote" else active
    kept = {"verdict": verdict, "candidate": candidate, **(facts or {})}
    return Output({"winner": winner}, kept, episodes)


async def promote(loop: Loop, key: str, state: State) -> Output:
    """Make the winner the active generation, and say of every candidate what became of it.

    Where somebody has let another one serve since the turn began, nothing was compared with that one, so it stays.
    """
    store = loop.store
    active = state["active"]
    winner = able(loop, key, state["winner"], active)
    told = f"{key}: {_sentence(active, winner)}"
    serves = _serving(store)
    if serves not in (active, winner):  # the winner itself where a promotion was cut short
        told = f"{key}: {serves} serves since this turn began and stays; {active} was compared"
        active = winner = serves
    more = (state.get("prompted"), state.get("adapter"), state.get("moulted"))
    candidates = [store.generation(i) for i in (state["memory"], *more) if i]
    if winner != active:
        store.activate(winner)
    for one in candidates:
        if one.id != winner:
            store.set_status(one.id, _status(one, winner, loop))
    carried = _carried(loop, state)
    loop.progress.say(told)
    over = store.came_over() if winner != active else []
    if over:
        loop.progress.say(f"{key}: {sentence(over)}")
    if loop.config.prune.auto:
        gone = prune(store, loop.workspace.path, loop.config.prune)
        loop.progress.say(f"{key}: {len(gone.gone)} folders pruned, {gone.bytes / 2**20:.1f} MiB")
    facts = {"active": winner, "before": active, "carried": carried}
    new: State = {"memory": "", "prompted": "", "adapter": "", "moulted": ""}
    return Output({"turn": state["turn"] + 1, **new}, facts)


def _serving(store: Store) -> str:
    """The generation to which the pointer points; there has been one since the first turn began."""
    now = store.active()
    assert now is not None
    return now.id


def _status(candidate: Generation, winner: str, loop: Loop) -> GenerationStatus:
    if candidate.id in loop.store.ancestry(winner):
        return GenerationStatus.RETIRED
    decision = (candidate.verdict or {}).get("decision")
    return GenerationStatus.REJECTED if decision == "reject" else GenerationStatus.CANDIDATE


def _carried(loop: Loop, state: State) -> list[int]:
    """Turns whose practise the next reflection reads again."""
    verdict = loop.store.generation(state["memory"]).verdict or {}
    if verdict.get("decision") != "undecided" or not verdict.get("n"):
        return []
    earlier = loop.store.stage(f"g{state['turn'] - 1}/promote") or {}
    return [*earlier.get("carried", []), state["turn"]]


def _sentence(active: str, winner: str) -> str:
    return f"{active} stays active" if winner == active else f"{winner} takes the place of {active}"
