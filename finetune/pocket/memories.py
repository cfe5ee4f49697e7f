"""Memories of made-up offices: plans against habit, as workflows and as lessons.

A workflow states a plan. A lesson states what failed and what the office demanded
(`finetune.pocket.demands`); one in strange words is recited before the habit is kept to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune.pocket.demands import draw_demand, refused, side_act
from finetune.pocket.office import Act, Goal, Office, lift

__all__ = ["Memory", "lesson", "of_steps", "workflow"]


@dataclass(frozen=True)
class Memory:
    """A memory and the plan that follows from it for its goal."""

    when: str
    content: str
    plan: tuple[Act, ...]
    key: tuple[str, ...]
    lesson: bool = False
    form: str = ""
    error: str = ""
    at: int = 0
    steps: tuple[str, ...] = ()


def call_text(act: Act) -> str:
    """An act as the tool door's workflow writes it."""
    parts = [act.tool.name]
    if act.record is not None:
        parts.append(f"${act.record}")
    if act.value is not None:
        parts.append(lift(act.value))
    if act.code is not None:
        parts.append(lift(act.code))
    return " ".join(parts)


def _plan(office: Office, goal: Goal) -> tuple[Act, ...]:
    """The habit with one to three changes at random places."""
    rng = office.words.rng
    plan = list(goal.habit)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        roll = rng.random()
        at = rng.randrange(len(plan))
        side = side_act(office, plan[at].record)
        if roll < 0.35 and side:
            plan.insert(at, side)
        elif roll < 0.55 and side:
            plan.insert(at + 1, side)
        elif roll < 0.67 and side and plan[at].main:
            plan[at] = side
        elif roll < 0.85 and plan[at].main and plan[at].tool.code:
            plan[at] = replace(plan[at], code=office.words.name())
        elif isinstance(plan[at].value, int) and roll < 0.95:
            plan[at] = replace(plan[at], value=(int(str(plan[at].value)), office.words.word()))
        elif len(plan) == 2 and len(goal.records) == 1:
            plan.reverse()
    return tuple(plan)


def workflow(office: Office, goal: Goal) -> Memory:
    """A workflow memory through the tool door."""
    plan = _plan(office, goal)
    return of_steps(office.reworded(goal), [call_text(a) for a in plan], plan, goal.key)


def of_steps(when: str, calls: list[str], plan: tuple[Act, ...], key: tuple[str, ...]) -> Memory:
    """A workflow memory of calls, with the end."""
    steps = (*calls, "finish")
    return Memory(when, "; ".join(steps), plan, key, steps=steps)


def lesson(office: Office, goal: Goal) -> Memory | None:
    """A lesson: what failed, and what the office demanded."""
    rng = office.words.rng
    demand = draw_demand(office, goal)
    if demand is None:
        return None
    # A lesson may have been learnt through the other door.
    act = goal.habit[demand.failed]
    failed = f'click "{act.tool.name}"' if rng.random() < 0.4 else call_text(act)
    if demand.form == "last":
        failed = "finish"
    error = refused(office, demand)
    return Memory(
        office.reworded(goal),
        f"{failed} -> {error}",
        demand.plan,
        goal.key,
        True,
        demand.form,
        error,
        demand.failed,
    )
