"""The turns of an agent of somebody's own: as it reported them, with what was seen of its calls."""

from __future__ import annotations

from collections.abc import Sequence

from instar.types import Result, Step, ToolCall

__all__ = ["merged"]


def merged(reported: Sequence[Step], seen: Sequence[Step]) -> tuple[Step, ...]:
    """The reported turns with the results that the world gave, or the calls that were seen alone.

    A call of the world's tools that was seen and not reported makes the report useless: then the calls
    that were seen are the record. One that was reported and not seen never reached the world, so what
    came back of it says nothing of the world. Calls of tools of the agent's own stay as reported.

    Args:
        reported: By the agent.
        seen: One step for each call of a tool of the world.
    """
    left = list(seen)
    world = {step.calls[0].name for step in seen}
    turns = [_turn(step, left, world) for step in reported]
    return tuple(seen) if left or not turns else tuple(turns)


def _turn(step: Step, left: list[Step], world: set[str]) -> Step:
    """A reported turn with what was seen; what was found there is taken from ``left``."""
    calls, results = [], []
    for place, call in enumerate(step.calls):
        said = step.results[place] if place < len(step.results) else Result(text="", error=True)
        found = _find(call, left)
        if found is not None:
            left.remove(found)
            call, said = (
                call.model_copy(update={"arguments": found.calls[0].arguments}),
                found.results[0],
            )
        elif call.name in world:
            said = said.model_copy(update={"error": True, "misuse": True})
        calls.append(call)
        results.append(said)
    return step.model_copy(update={"calls": tuple(calls), "results": tuple(results)})


def _find(call: ToolCall, left: Sequence[Step]) -> Step | None:
    """The call as it was seen: that with the same arguments, else the first of this tool."""
    same = [step for step in left if step.calls[0].name == call.name]
    exact = [step for step in same if step.calls[0].arguments == call.arguments]
    return next(iter([*exact, *same]), None)
