"""Proposers draft new practise tasks; each draft still has to pass `curriculum.checks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from instar.contracts import Join
from instar.contracts import Proposer as Contract
from instar.types import Split, Task, ToolSpec, Trajectory

__all__ = ["Context", "Contract", "check_practise"]

_MEASURED = frozenset({"gate", "report"})


@dataclass
class Context:
    """What a proposer may look at; see `instar.contracts.ProposalContext`."""

    failures: Sequence[Trajectory] = ()
    successes: Sequence[Trajectory] = ()
    tools: Sequence[ToolSpec] = ()
    recent: Sequence[Task] = ()
    dials: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    content: Sequence[str] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    join: Join | None = None


def check_practise(trajectories: Sequence[Trajectory]) -> None:
    """Refuse what measures: a task made of a gate task would make the gate worthless.

    Raises:
        ValueError: A trajectory is of a task that is not for practice, or was run to measure.
    """
    for trajectory in trajectories:
        task = trajectory.task
        if task.split is not Split.PRACTISE or trajectory.purpose in _MEASURED:
            raise ValueError(
                f"trajectory {trajectory.id} ({trajectory.purpose}, {task.split} task {task.id}) "
                "must not be learnt from: proposals come of practise tasks only"
            )
