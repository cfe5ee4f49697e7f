"""Scripted runs of a BFCL entry: the possible answer, and answers that are wrong in one thing.

Only what surely changes the end is altered: in each turn the last call that changes the public state
is left out, or gets another argument with which its effect is another one. What a call does is seen
by trying it on simulators apart from any attempt.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.worlds._bfcl_episode import ADDED, NEXT, Attempt
from benchmarks.worlds._bfcl_simulators import Simulators
from benchmarks.worlds._bfcl_wheel import Call, Entry
from instar.types import Score

__all__ = ["altered", "play"]

Turns = Sequence[Sequence[Call]]


async def play(entry: Entry, turns: Turns) -> Score:
    """Make the calls by the tools, turn by turn, as an agent that read their list at the start."""
    attempt = Attempt(entry)
    tools = attempt.toolset
    listed = {spec.name for spec in tools.tools()}
    for calls in turns:
        for call in calls:
            if call.name in listed:
                await tools.call(call.name, call.arguments)
            else:
                given = {"function": call.name, "arguments": call.arguments}
                await tools.call(ADDED.name, given)
        await tools.call(NEXT.name, {})
    return await attempt.score()


def altered(entry: Entry) -> Iterator[tuple[str, Turns]]:
    """Wrong answers by what is wrong with them."""
    yield "the last request is not dealt with", entry.answers[:-1]
    state = Simulators(entry)
    for number, turn in enumerate(entry.answers):
        before = copy.deepcopy(state)
        last = _last_change(state, turn)
        if last is None:
            continue
        for name, changed in _versions(before, turn, last):
            label = f"request {number + 1}: {turn[last].name} {name}"
            yield label, [*entry.answers[:number], changed, *entry.answers[number + 1 :]]


def _last_change(state: Simulators, turn: Sequence[Call]) -> int | None:
    """Index of the last call that changes the public state; the state moves on."""
    found = None
    for index, call in enumerate(turn):
        before = copy.deepcopy(state)
        state.call(call.name, call.arguments)
        if state.differs(before):
            found = index
    return found


def _versions(
    before: Simulators, turn: Sequence[Call], index: int
) -> Iterator[tuple[str, list[Call]]]:
    """The turn without one call, and with another one in its place."""
    yield "is left out", [*turn[:index], *turn[index + 1 :]]
    before.run(turn[:index])
    right = copy.deepcopy(before)
    right.call(turn[index].name, turn[index].arguments)
    for name, value in turn[index].arguments.items():
        other = turn[index].model_copy(
            update={"arguments": {**turn[index].arguments, name: _other(value)}}
        )
        wrong = copy.deepcopy(before)
        wrong.call(other.name, other.arguments)
        if wrong.differs(right):
            yield f"has another {name}", [*turn[:index], other, *turn[index + 1 :]]
            return


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return value[:-1]
    return f"{value}x" if isinstance(value, str) else None
