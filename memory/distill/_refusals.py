"""A trajectory as the `rules` distiller reads it: calls as lines with slots, and what was refused."""

from __future__ import annotations

import re
from typing import NamedTuple

from instar.types import Origin, Result, ToolCall, ToolSpec, Trajectory
from memory.distill._slots import Slots, lasting
from memory.distill.base import FINISH, calls, origin_behind, verified

__all__ = ["Call", "Run", "masked", "read"]

_CHARACTERS = 160


class Call(NamedTuple):
    """A call with slots.

    Attributes:
        line: As written in a prompt.
        subject: The line up to its first argument: what was tried, on what.
        error: First line of the refusal, with slots; None where the call went through.
        origin: Class of the text of the refusal.
    """

    line: str
    subject: str
    error: str | None
    origin: Origin

    def attempts(self, content: str) -> bool:
        """Whether it is the kind of call that a lesson's content begins with."""
        return content.startswith(f"{self.subject} ")


class Run(NamedTuple):
    """A trajectory and those of its calls that tell something."""

    source: Trajectory
    calls: tuple[Call, ...]

    @property
    def clean(self) -> bool:
        """Whether it is a verified success without a refusal."""
        return verified(self.source) and not any(r.error for _, r in calls(self.source))

    def way_round(self, content: str) -> tuple[Call, ...] | None:
        """The calls after a refusal up to the one that went through; None where none did."""
        refused = [i for i, c in enumerate(self.calls) if f"{c.line} -> {c.error}" == content]
        for end in range(refused[0] + 1, len(self.calls)) if refused else ():
            if self.calls[end].error is None and self.calls[end].attempts(content):
                return tuple(c for c in self.calls[refused[0] + 1 : end + 1] if c.error is None)
        return None

    def supports(self, content: str) -> bool:
        """Whether what the lesson saw refused went through here, later or in a verified success."""
        went = any(c.error is None and c.attempts(content) for c in self.calls)
        return self.way_round(content) is not None or (verified(self.source) and went)


def read(trajectory: Trajectory, slots: Slots) -> Run:
    """The calls that went through, and the refusals that speak of the world."""
    specs = {t.name: t for t in trajectory.tools}
    kept = []
    for call, result in calls(trajectory):
        spec = specs.get(call.name)
        if not result.error or _tells(call, result, spec, slots):
            kept.append(_call(call, result, spec, slots))
    return Run(trajectory, tuple(kept))


def masked(error: str) -> str:
    """A refusal without its numbers, to see that two are alike."""
    return re.sub(r"\d+", "#", error)


def _call(call: ToolCall, result: Result, spec: ToolSpec | None, slots: Slots) -> Call:
    first = dict(list(lasting(call, spec).items())[:1])
    subject = slots.line(call.model_copy(update={"arguments": first}), spec)
    return Call(
        line=slots.line(call, spec),
        subject=subject,
        error=slots.put(_first_line(result)) if result.error else None,
        origin=origin_behind([spec] if spec else []),
    )


def _first_line(result: Result) -> str:
    return " ".join(result.text.strip().split("\n", 1)[0].split())[:_CHARACTERS]


def _tells(call: ToolCall, result: Result, spec: ToolSpec | None, slots: Slots) -> bool:
    """Whether a refusal is about the world: a tool at hand, rightly called, on what the task names."""
    if result.misuse or not result.text.strip() or (spec is None and call.name != FINISH):
        return False
    if spec is not None:
        required = set(spec.parameters.get("required", ()))
        if not required <= set(call.arguments) <= set(spec.argument_names()):
            return False
    # A bare number in the call is a record that the task does not speak of: the agent's own slip.
    return re.search(r"(?<![\w$])\d+(?!\w)", slots.line(call, spec)) is None
