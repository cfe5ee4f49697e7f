"""Memories of made-up offices: plans against habit, as workflows and as lessons.

A workflow states a plan. A lesson states what failed and a hint, in four forms told by a position
word: something is done *first*, *last*, *instead*, or *with* the act. A fifth form is *strange*:
words that mean nothing to the model, which it recites before it keeps to its habit. No rule of any
benchmark stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune.pocket.office import Act, Goal, Office, lift

__all__ = ["Memory", "lesson", "of_steps", "workflow"]

_STATUS = ("rejected", "locked", "refused", "failed", "stopped", "escalated")
_FORMS = ("first", "first", "last", "last", "instead", "with", "strange")


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


def _side(office: Office, record: int | None, recorded: bool = False) -> Act | None:
    sides = [s for s in office.sides if s.noun or not recorded]
    if not sides:
        return None
    tool = office.words.rng.choice(sides)
    value = office.words.name() if tool.param else None
    return Act(tool, record if tool.noun else None, value, main=False)


def _plan(office: Office, goal: Goal) -> tuple[Act, ...]:
    """The habit with one to three changes at random places."""
    rng = office.words.rng
    plan = list(goal.habit)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        roll = rng.random()
        at = rng.randrange(len(plan))
        side = _side(office, plan[at].record)
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
    """A lesson: what failed, and a hint with a position word."""
    rng = office.words.rng
    plan = list(goal.habit)
    at = rng.randrange(len(plan))
    form = rng.choice(_FORMS)
    # A lesson may have been learnt through the other door.
    failed, hint = call_text(plan[at]), ""
    if rng.random() < 0.4:
        failed = f'click "{plan[at].tool.name}"'
    if form == "with":
        if not plan[at].tool.code:
            return None
        code = office.words.name()
        plan = [replace(a, code=code) if a.tool == plan[at].tool else a for a in plan]
        hint = f'with code "{code}"'
    elif form == "strange":
        hint = _strange(office)
    else:
        side = _side(office, 1, recorded=True)
        if side is None:
            return None
        hint = " ".join([side.tool.name, *([lift(side.value)] if side.value else []), form])
        plan = _apply(plan, side, form)
        failed = "finish" if form == "last" else failed
    if rng.random() < 0.2:
        hint = rng.choice(("needs ", "use ", "please ")) + hint
    status = rng.choice(_STATUS) if rng.random() < 0.4 else office.words.word()
    error = f"{status}: {hint}"
    content = f"{failed} -> {error}"
    when = office.reworded(goal)
    return Memory(when, content, tuple(plan), goal.key, True, form, error, at)


def _strange(office: Office) -> str:
    """A few words, some in quotes, that ask for nothing the model knows."""
    rng = office.words.rng
    words = [office.words.name() for _ in range(rng.randint(1, 5))]
    return " ".join(f'"{w}"' if rng.random() < 0.25 else w for w in words)


def _apply(plan: list[Act], side: Act, form: str) -> list[Act]:
    done: list[Act] = []
    records = list(dict.fromkeys(a.record for a in plan))
    for record in records:
        acts = [a for a in plan if a.record == record]
        extra = replace(side, record=record)
        if form == "first":
            done += [extra, *acts]
        elif form == "last":
            done += [*acts, extra]
        else:
            done += [extra]
    return done
