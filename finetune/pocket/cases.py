"""What a query asks: a goal, the plan to follow, and the memory or the error it comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune.pocket.door import Site, walk
from finetune.pocket.memories import Memory, lesson, of_steps, workflow
from finetune.pocket.office import Act, Goal, Office

__all__ = ["OVER", "SYSTEM", "Case", "draw_case", "draw_memories", "system_text"]

SYSTEM = "act with one call"
OVER = ("the case is over", "it is over", "this is closed", "nothing more to do here", "too late")
"""What is said when nothing can be done any more."""


@dataclass(frozen=True)
class Case:
    """A goal with the plan to follow, the memory it comes from and an error already met.

    ``over`` is what was said after the error, where nothing can be done any more.
    """

    goal: Goal
    plan: tuple[Act, ...]
    memory: str = ""
    steps: tuple[str, ...] = ()
    failed: Act | None = None
    error: str = ""
    over: str = ""
    skill: str = "habit"


def _lines(memories: list[Memory]) -> list[str]:
    return [f"task: {m.when} [m{i}] -> {m.content}" for i, m in enumerate(memories, 1)]


def system_text(memories: list[Memory]) -> str:
    """The system message with the memories fenced."""
    if not memories:
        return f"<|system|>{SYSTEM}"
    return "\n".join([f"<|system|>{SYSTEM}", "<memory>", *_lines(memories), "</memory>"])


def draw_case(
    office: Office,
    memories: list[Memory],
    goals: dict[tuple[str, ...], Goal],
    twice: bool = False,
) -> Case:
    """Draw a goal: one that a memory speaks of, or another, now and then after an error."""
    rng = office.words.rng
    if memories and rng.random() < 0.75:
        index = rng.randrange(len(memories))
        memory, line = memories[index], _lines(memories)[index]
        goal = office.again(goals[memory.key])
        plan = memory.plan
        plain = memory.key[1] == goal.noun
        alone = not any(k[0] == memory.key[0] and k != memory.key for k in goals)
        if plain and alone and rng.random() < 0.3:
            goal = office.qualified(goal)
        if twice and len(goal.slots) == 1 and len(memory.key) == 2 and rng.random() < 0.15:
            goal = office.twice(goal)
            plan = (*plan, *(replace(a, record=2) for a in plan if a.record))
        skill = "lesson" if memory.lesson else "workflow"
        return Case(goal, plan, line, memory.steps, skill=skill)
    skill = "ignore" if memories else "habit"
    goal = office.goal()
    while _spoken_of(goal, goals):
        if rng.random() < 0.2:
            return Case(*_fresh(office, goals), skill=skill)
        goal = office.goal()
    met = lesson(office, goal) if rng.random() < 0.35 else None
    if met and met.form not in ("last", "strange") and met.at == 0:
        over = rng.choice(OVER) if rng.random() < 0.15 else ""
        return Case(goal, met.plan, failed=goal.habit[0], error=met.error, over=over, skill="error")
    return Case(goal, goal.habit, skill=skill)


def _fresh(office: Office, goals: dict[tuple[str, ...], Goal]) -> tuple[Goal, tuple[Act, ...]]:
    """A goal of another office, for offices whose every goal has a memory: the tools stay unknown."""
    other = Office.draw(office.words)
    goal = other.goal(next((t for t in other.mains if t.name not in {k[0] for k in goals}), None))
    return goal, goal.habit


def _spoken_of(goal: Goal, goals: dict[tuple[str, ...], Goal]) -> bool:
    """Whether a memory may hold for a goal: the same verb on the same or on any sort of noun."""
    verb, ask, *rest = goal.key
    return goal.key in goals or (verb, ask) in goals or (verb, goal.noun, *rest) in goals


def draw_memories(
    office: Office, site: Site | None, goals: dict[tuple[str, ...], Goal]
) -> list[Memory]:
    """Memories, with the goals they are about filled into ``goals``."""
    rng = office.words.rng
    memories: list[Memory] = []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        goal = office.goal()
        if goal.key in goals:
            continue
        goals[goal.key] = goal
        learnt = lesson(office, goal) if rng.random() < 0.5 else None
        memories.append(learnt or _workflow(office, site, goal))
    return memories


def _workflow(office: Office, site: Site | None, goal: Goal) -> Memory:
    memory = workflow(office, goal)
    if site is None:
        return memory
    calls = [m.lifted() for m in walk(site, goal, memory.plan)]
    return of_steps(memory.when, calls, memory.plan, memory.key)
