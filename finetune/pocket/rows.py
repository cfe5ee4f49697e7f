"""Training rows: what comes first is shared, then as many questions as fit, each with its answer.

A row is a prefix (tools, memories, page) and several queries that see the prefix and themselves
only. Every query is one turn exactly as `instar.render` and the chat template write it; a test
holds the two together. Four sorts of row: an office through its tools, an office through its
pages, and plain pages with plain requests.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from finetune.pocket.door import Move, Site, tool_call, walk
from finetune.pocket.memories import Memory, lesson, of_steps, workflow
from finetune.pocket.office import Act, Goal, Office, Words
from finetune.pocket.pages import WEB_TOOLS, plain_row
from finetune.pocket.words import digits

__all__ = ["Query", "Row", "draw_row"]

_SYSTEM = "act with one call"


@dataclass(frozen=True)
class Query:
    """One question on a prefix: what follows the prefix, the answer, and what it tests."""

    body: str
    answer: str
    skill: str


@dataclass(frozen=True)
class Row:
    """A prefix and its queries."""

    prefix: str
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class _Case:
    """A goal with the plan to follow, the memory it comes from and an error already met."""

    goal: Goal
    plan: tuple[Act, ...]
    memory: str = ""
    steps: tuple[str, ...] = ()
    failed: Act | None = None
    error: str = ""
    skill: str = "habit"


def _workflow(office: Office, site: Site | None, goal: Goal) -> Memory:
    memory = workflow(office, goal)
    if site is None:
        return memory
    calls = [m.lifted() for m in walk(site, goal, memory.plan)]
    return of_steps(memory.when, calls, memory.plan, memory.key)


def _lines(memories: list[Memory]) -> list[str]:
    return [f"task: {m.when} [m{i}] -> {m.content}" for i, m in enumerate(memories, 1)]


def _system(memories: list[Memory]) -> str:
    if not memories:
        return f"<|system|>{_SYSTEM}"
    return "\n".join([f"<|system|>{_SYSTEM}", "<memory>", *_lines(memories), "</memory>"])


def _case(
    office: Office,
    memories: list[Memory],
    goals: dict[tuple[str, ...], Goal],
    twice: bool = False,
) -> _Case:
    """Draw a goal: one that a memory speaks of, or another, now and then after an error."""
    rng = office.words.rng
    if memories and rng.random() < 0.7:
        index = rng.randrange(len(memories))
        memory, line = memories[index], _lines(memories)[index]
        goal = office.again(goals[memory.key])
        plan = memory.plan
        if twice and len(goal.slots) == 1 and len(memory.key) == 2 and rng.random() < 0.15:
            goal = office.twice(goal)
            plan = (
                *plan,
                *(Act(a.tool, 2 if a.record else None, a.value, a.code, a.main) for a in plan),
            )
        skill = "lesson" if memory.lesson else "workflow"
        return _Case(goal, plan, line, memory.steps, skill=skill)
    goal = office.goal()
    while goal.key in goals or (*goal.key[:-1],) in goals:
        if rng.random() < 0.2:
            return _Case(*_fresh(office, goals))
        goal = office.goal()
    met = lesson(office, goal) if rng.random() < 0.3 else None
    if met and met.form != "last" and met.at == 0:
        return _Case(goal, met.plan, failed=goal.habit[0], error=met.error, skill="error")
    return _Case(goal, goal.habit)


def _fresh(office: Office, goals: dict[tuple[str, ...], Goal]) -> tuple[Goal, tuple[Act, ...]]:
    """A goal of another office, for offices whose every goal has a memory: the tools stay unknown."""
    other = Office.draw(office.words)
    goal = other.goal(next((t for t in other.mains if t.name not in {k[0] for k in goals}), None))
    return goal, goal.habit


def _answered(office: Office, act: Act, goal: Goal) -> str:
    """What an office says when an act went well."""
    rng = office.words.rng
    record = goal.slots[(act.record or 1) - 1]
    texts = (
        "ok",
        f"{goal.noun} {record} {act.tool.name}ed",
        f"{act.tool.name} {record} done",
        f"{goal.noun} {record} {act.tool.name}ped {office.words.word()}",
        f"{goal.noun} {record}: {office.words.word()}",
    )
    return rng.choice(texts)


def _ask(done: list[str], task: str) -> str:
    lines = ["done:", *done] if done else []
    return "\n".join([*lines, f"task: {task}"])


def _reply(case: _Case, at: int, call: str) -> str:
    """A call, after the memory followed: a lesson whole, of a workflow the step that is due."""
    said = case.memory
    if case.steps:
        head = said[: -len("; ".join(case.steps))]
        said = head + ("finish" if call == "finish" else case.steps[at % (len(case.steps) - 1)])
    return f"{said}<|call|>{call}"


def _tool_query(office: Office, case: _Case) -> Query:
    rng = office.words.rng
    slots = case.goal.slots
    calls = [tool_call(a, slots) for a in case.plan]
    answers = [_answered(office, a, case.goal) for a in case.plan]
    at = rng.randint(0, len(calls))
    done = [f"{c} -> {r}" for c, r in zip(calls[:at], answers[:at], strict=True)]
    last = answers[at - 1] if at else f"{office.words.word()} {office.words.word()} {digits(rng)}"
    if case.failed:
        done.insert(0, f"{tool_call(case.failed, slots)} -> {case.error}")
        last = last if at else case.error
    call = calls[at] if at < len(calls) else "finish"
    body = f"<|user|>{last}\n{_ask(done, case.goal.text)}"
    return Query(body, _reply(case, at, call), f"tools/{case.skill}")


def _tools_row(office: Office, count: int) -> Row:
    rng = office.words.rng
    goals: dict[tuple[str, ...], Goal] = {}
    memories = _drawn(office, None, goals)
    tools = [t.signature() for t in (*office.mains, *office.sides)]
    if rng.random() < 0.5:
        rng.shuffle(tools)
    prefix = "<|tools|>" + "\n".join([*tools, "finish answer?"]) + _system(memories)
    queries = tuple(
        _tool_query(office, _case(office, memories, goals, twice=True)) for _ in range(count)
    )
    return Row(prefix, queries)


def _drawn(office: Office, site: Site | None, goals: dict[tuple[str, ...], Goal]) -> list[Memory]:
    """Memories, with the goals they are about filled into ``goals``."""
    rng = office.words.rng
    memories: list[Memory] = []
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4))):
        goal = office.goal()
        if goal.key in goals:
            continue
        goals[goal.key] = goal
        learnt = lesson(office, goal) if rng.random() < 0.45 else None
        memories.append(learnt or _workflow(office, site, goal))
    return memories


def _web_query(
    office: Office, site: Site, case: _Case, moves: list[Move], at: int, refs: dict[str, str]
) -> Query | None:
    slots = case.goal.slots
    done = []
    for move in moves[:at]:
        said = _answered(office, move.last, case.goal) if move.last else "ok"
        done.append(f"{move.call(slots)} -> {said}")
    if case.failed:
        first = site.moves(case.failed, case.goal.noun, slots[0])
        opening = _opening(moves)
        met = [f"{m.call(slots)} -> ok" for m in (*moves[:opening], *first[:-1])]
        done = [*met, f"{first[-1].call(slots)} -> {case.error}", *done[opening:]]
    if at == len(moves):
        call = "finish"
    else:
        move = moves[at]
        role = "textbox" if move.verb == "fill" else "button" if move.last else "link"
        reference = refs.get(f"{role} {_named(move, slots)}")
        if reference is None:
            return None
        call = move.call(slots, reference)
    return Query("\n" + _ask(done, case.goal.text), _reply(case, at, call), f"web/{case.skill}")


def _opening(moves: list[Move]) -> int:
    """Number of moves until the first record is open."""
    return next(i for i, m in enumerate(moves) if m.page[0] == "record")


def _named(move: Move, slots: tuple[str, ...]) -> str:
    return slots[move.name - 1] if isinstance(move.name, int) else str(move.name)


def _page_of(case: _Case, moves: list[Move], at: int) -> tuple[str, ...]:
    if at < len(moves):
        return moves[at].page
    return ("record", case.goal.noun, case.goal.slots[case.goal.records[-1] - 1])


def _web_row(office: Office, count: int) -> Row | None:
    rng = office.words.rng
    site = Site(office)
    goals: dict[tuple[str, ...], Goal] = {}
    memories = _drawn(office, site, goals)
    case = _case(office, memories, goals)
    moves = walk(site, case.goal, case.plan)
    opening = _opening(moves)
    at = rng.randint(opening if case.failed else 0, len(moves))
    page = _page_of(case, moves, at)
    elements = site.elements(page, case.goal)
    numbers = rng.sample(range(100), len(elements))
    refs = {f"{e.role} {e.name}": f"e{n}" for e, n in zip(elements, numbers, strict=True)}
    said = []
    ended = moves[at - 1].last if at else None
    if ended:
        said = [f"status: {_answered(office, ended, case.goal)}"]
    elif case.failed and at == opening:
        said = [f"alert: {case.error}"]
    title, *rest = site.heading(page)
    listed = [e.line(f"e{n}") for e, n in zip(elements, numbers, strict=True)]
    nav = len(office.nouns) if site.grouped else 0
    lines = [title, *listed[:nav], *said, *rest, *listed[nav:]]
    tools = "<|tools|>" + "\n".join(WEB_TOOLS)
    prefix = f"{tools}{_system(memories)}<|user|>" + "\n".join(lines)
    queries = [_web_query(office, site, case, moves, at, refs)]
    for _ in range(count - 1):
        queries.append(_other(office, site, memories, goals, page, refs))
    return Row(prefix, tuple(q for q in queries if q))


def _other(
    office: Office,
    site: Site,
    memories: list[Memory],
    goals: dict[tuple[str, ...], Goal],
    page: tuple[str, ...],
    refs: dict[str, str],
) -> Query | None:
    """Another question that could be asked on the same page."""
    rng = office.words.rng
    case = _case(office, memories, goals)
    if page == site.start and rng.random() < 0.5:
        moves = walk(site, case.goal, case.plan)
        return None if case.failed else _web_query(office, site, case, moves, 0, refs)
    if page[0] != "home" and case.goal.noun != page[1]:
        return None
    if page[0] == "list":
        listed = [k.removeprefix("link ") for k in refs if " list" not in k]
        case = _moved(case, rng.choice(listed))
    if page[0] == "record":
        case = _moved(case, page[2])
    moves = walk(site, case.goal, case.plan)
    fits = [i for i in range(len(moves) + 1) if _page_of(case, moves, i) == page]
    fits = [i for i in fits if not case.failed or i >= _opening(moves)]
    if not fits:
        return None
    return _web_query(office, site, case, moves, rng.choice(fits), refs)


def _moved(case: _Case, record: str) -> _Case:
    """The same case on another first record."""
    if record in case.goal.slots:
        return case
    text = case.goal.when
    slots = (record, *case.goal.slots[1:])
    for number, value in enumerate(slots, 1):
        text = text.replace(f"${number}", value)
    goal = case.goal
    moved = Goal(text, goal.when, slots, goal.noun, goal.records, goal.habit, goal.key)
    return replace(case, goal=moved)


def draw_row(rng: random.Random, held_out: bool, count: int, pool: list[str] | None = None) -> Row:
    """A row of a random sort with about ``count`` queries."""
    words = Words(rng, held_out, pool)
    while True:
        roll = rng.random()
        if roll < 0.2:
            prefix, pairs = plain_row(words, count)
            tools = "<|tools|>" + "\n".join(WEB_TOOLS)
            head = f"{tools}<|system|>{_SYSTEM}<|user|>{prefix}"
            asked = (Query("\n" + _ask(d, t), f"<|call|>{a}", "page") for d, t, a in pairs)
            return Row(head, tuple(asked))
        office = Office.draw(words)
        if not office.mains:
            continue
        row = _tools_row(office, count) if roll < 0.58 else _web_row(office, count)
        if row and row.queries:
            return row
