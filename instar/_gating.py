"""The stages that decide: each candidate against what it would replace, then the promotion.

Both sides run the same gate tasks with the same seeds, greedily. Gate tasks are of a split of their
own and drawn anew each turn. The memory candidate comes first, the adapter candidate is measured on
top of whichever won; an undecided candidate changes nothing, and its practise goes into the next
turn's reflection.
"""

from __future__ import annotations

from typing import Any

from benchmarks.runner import episode_seed
from instar._loop import Job, Loop, Output, State, draw
from instar._stages import add_generation
from instar.compose import Serving
from instar.types import Generation, GenerationStatus, Split, Trajectory

__all__ = ["gate_adapter", "gate_memory", "measured", "promote", "settled", "unmeasured"]


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
    name = trained.get("adapter")
    winner = state["winner"]
    if name is None or loop.store.generation(winner).adapter == name:
        reason = trained.get("reason", "the adapter is the one in use")
        return Output({"adapter": ""}, {"verdict": unmeasured(reason), "candidate": None})
    candidate = add_generation(loop, state["turn"], winner, "adapter", name)
    done = await measured(loop, key, candidate.id, winner)
    return done._replace(state={"adapter": candidate.id, "winner": done.state["winner"]})


async def measured(loop: Loop, key: str, candidate: str, active: str) -> Output:
    """One candidate against what it would replace, on the gate tasks of the turn."""
    from finetune.gate import GateConfig, decide

    gate = loop.config.gate
    turn = key.partition("/")[0]
    tasks = loop.workspace.home.tasks(Split.GATE, gate.tasks, draw(loop.config, turn, "gate"))
    loop.store.save_tasks(tasks)
    jobs = [Job(t, episode_seed(draw(loop.config, turn), t)) for t in tasks]
    sides: list[list[Trajectory]] = []
    for id in (active, candidate):
        # Under the generation's own key: the winner of the first gate is not run twice.
        stage = f"{turn}/gate/{id}"
        solve = loop.workspace.solver(
            Serving.of(loop.store.generation(id)), loop.workspace.home, "gate"
        )
        with loop.progress.stage(f"{key} {id}", len(jobs)) as tally:
            sides.append(await loop.collect(stage, jobs, solve, tally))
    verdict = decide(sides[1], sides[0], GateConfig(margin=gate.margin))
    loop.progress.say(f"{key}: {verdict.sentence}")
    # What an earlier gate of the turn ran was counted there.
    earlier = (loop.store.stage(f"{turn}/{gate}") for gate in ("gate_memory", "gate_adapter"))
    ran = any(stage and stage["verdict"]["n"] for stage in earlier)
    fresh = sides[1] if ran else sides[0] + sides[1]
    return settled(loop, candidate, active, verdict.model_dump(mode="json"), fresh)


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
    episodes: list[Trajectory],
) -> Output:
    """Keep a verdict with its candidate; the winner is whichever serves from here on."""
    loop.store.set_status(candidate, GenerationStatus.CANDIDATE, verdict)
    winner = candidate if verdict["decision"] == "promote" else active
    return Output({"winner": winner}, {"verdict": verdict, "candidate": candidate}, episodes)


async def promote(loop: Loop, key: str, state: State) -> Output:
    """Make the winner the active generation, and say of every candidate what became of it."""
    store = loop.store
    active, winner = state["active"], state["winner"]
    named = (state["memory"], state.get("adapter", ""), state.get("moulted", ""))
    candidates = [store.generation(i) for i in named if i]
    if winner != active:
        store.activate(winner)
    for one in candidates:
        if one.id != winner:
            store.set_status(one.id, _status(one, winner, loop))
    carried = _carried(loop, state)
    loop.progress.say(f"{key}: {_sentence(active, winner)}")
    facts = {"active": winner, "before": active, "carried": carried}
    return Output({"turn": state["turn"] + 1, "memory": "", "adapter": "", "moulted": ""}, facts)


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
