"""One attempt at a BFCL entry: the functions as tools, the user's turns one after the other.

In BFCL a turn is over when the model answers without a call. Our agent is asked again where it makes
no call, and its `finish` ends the episode; so a turn is over when it calls `next_request`, whose answer
is the next request. The episode is over after the last one, and `finish` stands for the last
`next_request`. The right calls run beside the attempt, and each turn is judged when it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.worlds._bfcl_simulators import Outcome, Simulators, objection
from benchmarks.worlds._bfcl_wheel import Entry, specs
from instar.contracts import Toolset
from instar.types import Result, Score, Status, ToolSpec

__all__ = ["NEXT", "Attempt", "functions"]

NEXT = ToolSpec(
    name="next_request",
    description="Say that the current request is dealt with; answers with the user's next one.",
    parameters={
        "type": "object",
        "properties": {"reply": {"type": "string", "description": "What to tell the user."}},
        "required": [],
    },
)
ADDED = ToolSpec(
    name="call_added",
    description="Call a function that the user has added after the first request.",
    parameters={
        "type": "object",
        "properties": {
            "function": {"type": "string", "description": "Its name."},
            "arguments": {"type": "object", "description": "Its arguments by name."},
        },
        "required": ["function", "arguments"],
    },
)
"""For agents that read the list of tools only once, as ours does."""

_SHOWN = 6000


def functions(entry: Entry, turn: int) -> dict[str, ToolSpec]:
    """The functions that are there in a turn, by name."""
    missing = {name for at, names in entry.added.items() if at > turn for name in names}
    listed = (spec for name in entry.simulators for spec in specs(name))
    return {spec.name: spec for spec in listed if spec.name not in missing}


class _Turns:
    """Where an attempt stands: the turn, the calls and their results, the verdicts so far."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.index = 0
        self.closed = False
        self.verdicts: list[str] = []
        self._ours, self._theirs = Simulators(entry), Simulators(entry)
        self._results: list[str] = []
        self._made = 0

    @property
    def over(self) -> bool:
        return self.closed or self.index == len(self.entry.requests)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        outcome = self._ours.call(name, arguments)
        self.keep(outcome.text)
        return outcome

    def keep(self, text: str) -> None:
        """Count a call, if only one that BFCL would have counted as an error."""
        self._results.append(text)
        self._made += 1

    def end(self) -> None:
        """Judge the current turn and go to the next."""
        expected = self._theirs.run(self.entry.answers[self.index])
        self.verdicts.append(
            objection(self._ours, self._theirs, self._made, self._results, expected, self.index)
        )
        self.index += 1
        self._made = 0


class _Hands:
    """The tools of an attempt."""

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns
        self._shown: dict[str, str] = {}

    def tools(self) -> list[ToolSpec]:
        extra = [ADDED] if self._turns.entry.added else []
        return [*functions(self._turns.entry, self._turns.index).values(), *extra, NEXT]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        if self._turns.over:
            return Result(text="there is no further request", error=True, misuse=True)
        if name == NEXT.name:
            return self._next(arguments)
        if name == ADDED.name and self._turns.entry.added:
            if problem := self._unfit(arguments):
                return self._seen(name, Outcome(problem, error=True, misuse=True))
            name, arguments = str(arguments["function"]), arguments["arguments"]
        known = functions(self._turns.entry, self._turns.index)
        if name not in known:
            self._turns.keep(f"Error during execution: name '{name}' is not defined")
            listed = ", ".join(spec.name for spec in self.tools())
            wrong = Outcome(f"no tool {name}. Tools: {listed}", error=True, misuse=True)
            return self._seen(name, wrong)
        return self._seen(name, self._turns.call(name, arguments), arguments)

    def _unfit(self, arguments: Mapping[str, Any]) -> str:
        fits = set(arguments) == {"function", "arguments"}
        if fits and isinstance(arguments["arguments"], Mapping):
            return ""
        return f"{ADDED.name} takes function, a name, and arguments, an object"

    def _next(self, arguments: Mapping[str, Any]) -> Result:
        if unknown := set(arguments) - {"reply"}:
            text = f"{NEXT.name} takes reply alone, not {', '.join(sorted(unknown))}"
            return self._seen(NEXT.name, Outcome(text, error=True, misuse=True))
        self._turns.end()
        self._shown.clear()
        if self._turns.over:
            return Result(text="that was the last request", observation=self.look())
        return Result(text=self._request(self._turns.index), observation=self.look())

    def _request(self, turn: int) -> str:
        """The request of a turn, with what was added for it."""
        entry = self._turns.entry
        known = functions(entry, turn)
        added = [known[name] for name in entry.added.get(turn, ()) if name in known]
        new = [f"new: {s.name}({', '.join(s.argument_names())}): {s.description}" for s in added]
        return "\n".join([entry.requests[turn], *new])

    def _seen(
        self, name: str, outcome: Outcome, arguments: Mapping[str, Any] | None = None
    ) -> Result:
        line = f"{name} {dict(arguments or {})}"
        # The same call with the same result leaves the same sight, or no loop would be noticed.
        self._shown.pop(line, None)
        self._shown[line] = outcome.text
        return Result(
            text=outcome.text,
            observation=self.look(),
            error=outcome.error,
            misuse=outcome.misuse,
        )

    def look(self) -> str:
        """All requests so far and what this one's calls came to, the latest last and in full."""
        turn = self._turns.index
        lines = [f"request {i + 1}, done: {self._request(i)}" for i in range(turn)]
        if not self._turns.over:
            lines.append(f"request {turn + 1}: {self._request(turn)}")
        kept: list[str] = []
        for call, text in reversed(self._shown.items()):
            if kept and sum(map(len, kept)) + len(text) > _SHOWN:
                break
            kept.append(f"{call} -> {text}")
        return "\n".join([*lines, *reversed(kept)])


class Attempt:
    """An attempt at one entry."""

    def __init__(self, entry: Entry) -> None:
        self._turns = _Turns(entry)
        self._hands = _Hands(self._turns)
        self.toolset: Toolset = self._hands

    async def observe(self) -> str:
        """The requests so far and the results for the current one."""
        return self._hands.look()

    def done(self) -> bool:
        """Whether the last request was dealt with, or the agent has finished before."""
        return self._turns.over

    async def finish(self, answer: str) -> Result:
        """Take the agent's word for the current request; those not yet asked count as failed."""
        if not self._turns.over:
            self._turns.end()
        self._turns.closed = True
        left = len(self._turns.entry.requests) - self._turns.index
        return Result(text=f"finished with {left} requests unasked" if left else "finished")

    async def score(self) -> Score:
        """PASS where each turn is right by BFCL's checks; ``turns`` is the share that is."""
        verdicts, total = self._turns.verdicts, len(self._turns.entry.requests)
        told = [f"request {i + 1}: {text}" for i, text in enumerate(verdicts) if text]
        if len(verdicts) < total:
            told.append(f"not dealt with: {total - len(verdicts)} of {total} requests")
        right = sum(not text for text in verdicts)
        return Score(
            status=Status.PASS if right == total else Status.FAIL,
            value=float(right == total),
            evidence="; ".join(told) or "every request was dealt with",
            metrics={"turns": right / total},
        )

    async def close(self) -> None:
        """Nothing is held."""
