"""Rows of made-up offices: one office, several requests, through its tools or on one of its pages."""

from __future__ import annotations

from dataclasses import replace

from finetune.pocket.cases import Case, draw_case, draw_memories, system_text
from finetune.pocket.door import Move, Site, tool_call, walk
from finetune.pocket.memories import Memory
from finetune.pocket.office import Act, Goal, Office, from_verb
from finetune.pocket.pages import WEB_TOOLS
from finetune.pocket.query import Query, Row
from finetune.pocket.words import digits

__all__ = ["asked", "listed", "tools_row", "web_row"]


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


def asked(done: list[str], task: str) -> str:
    """History and task as `instar.render` writes them."""
    lines = ["done:", *done] if done else []
    return "\n".join([*lines, f"task: {task}"])


def _reply(case: Case, at: int, call: str) -> str:
    """A call, after the memory followed, recited from its verb on, or after the refusal met.

    A lesson is recited whole, a workflow up to the step that is due: so that reciting is copying on
    and on, and where to stop is seen from what is done.
    """
    if not case.memory:
        return f"{case.error if not case.over else ''}<|call|>{call}"
    said = case.memory.removeprefix("task: ")
    if case.steps:
        last = len(case.steps) - 1
        due = last if call == "finish" else at % last
        said = said[: -len("; ".join(case.steps))] + "; ".join(case.steps[: due + 1])
    return f"task: {from_verb(said)}<|call|>{call}"


def _tool_query(office: Office, case: Case) -> Query:
    rng = office.words.rng
    slots = case.goal.slots
    calls = [tool_call(a, slots) for a in case.plan]
    answers = [_answered(office, a, case.goal) for a in case.plan]
    at = rng.randint(0, len(calls))
    done = [f"{c} -> {r}" for c, r in zip(calls[:at], answers[:at], strict=True)]
    last = answers[at - 1] if at else f"{office.words.word()} {office.words.word()} {digits(rng)}"
    call = calls[at] if at < len(calls) else "finish"
    if case.failed:
        done.insert(0, f"{tool_call(case.failed, slots)} -> {case.error}")
        last = last if at else case.error
    if case.over:
        done, last, call = [*done[:1], f"{calls[0]} -> {case.over}"], case.over, "finish"
    body = f"<|user|>{last}\n{asked(done, case.goal.text)}"
    return Query(body, _reply(case, at, call), f"tools/{case.skill}")


def tools_row(office: Office, count: int, remembering: bool) -> Row:
    """An office through its tools, with memories or without any."""
    rng = office.words.rng
    goals: dict[tuple[str, ...], Goal] = {}
    memories = draw_memories(office, None, goals) if remembering else []
    tools = [t.signature() for t in (*office.mains, *office.sides)]
    if rng.random() < 0.5:
        rng.shuffle(tools)
    prefix = listed(*tools, "finish answer?") + system_text(memories)
    queries = tuple(
        _tool_query(office, draw_case(office, memories, goals, twice=True)) for _ in range(count)
    )
    return Row(prefix, queries)


def listed(*lines: str) -> str:
    """Signatures of tools as the template writes them."""
    return "<|tools|>" + "\n".join(lines)


def _web_query(
    office: Office, site: Site, case: Case, moves: list[Move], at: int, refs: dict[str, str]
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
    if case.over:
        done.append(f"{moves[opening].call(slots)} -> {case.over}")
    if at == len(moves) or case.over:
        call = "finish"
    else:
        move = moves[at]
        role = "textbox" if move.verb == "fill" else "button" if move.last else "link"
        reference = refs.get(f"{role} {_named(move, slots)}")
        if reference is None:
            return None
        call = move.call(slots, reference)
    return Query("\n" + asked(done, case.goal.text), _reply(case, at, call), f"web/{case.skill}")


def _opening(moves: list[Move]) -> int:
    """Number of moves until the first record is open."""
    return next(i for i, m in enumerate(moves) if m.page[0] == "record")


def _named(move: Move, slots: tuple[str, ...]) -> str:
    return slots[move.name - 1] if isinstance(move.name, int) else str(move.name)


def _page_of(case: Case, moves: list[Move], at: int) -> tuple[str, ...]:
    if at < len(moves):
        return moves[at].page
    return ("record", case.goal.noun, case.goal.slots[case.goal.records[-1] - 1])


def web_row(office: Office, count: int, remembering: bool) -> Row | None:
    """One page of an office, with memories or without any; None where no question fits it."""
    rng = office.words.rng
    site = Site(office)
    goals: dict[tuple[str, ...], Goal] = {}
    memories = draw_memories(office, site, goals) if remembering else []
    case = draw_case(office, memories, goals)
    moves = walk(site, case.goal, case.plan)
    opening = _opening(moves)
    at = rng.randint(opening if case.failed else 0, len(moves))
    at = opening if case.over else at
    page = _page_of(case, moves, at)
    elements = site.elements(page, case.goal)
    numbers = rng.sample(range(100), len(elements))
    refs = {f"{e.role} {e.name}": f"e{n}" for e, n in zip(elements, numbers, strict=True)}
    said = []
    ended = moves[at - 1].last if at else None
    if ended:
        said = [f"status: {_answered(office, ended, case.goal)}"]
    elif case.over:
        said = [f"alert: {case.over}"]
    elif case.failed and at == opening:
        said = [f"alert: {case.error}"]
    title, *rest = site.heading(page)
    shown = [e.line(f"e{n}") for e, n in zip(elements, numbers, strict=True)]
    nav = len(office.nouns) if site.grouped else 0
    lines = [title, *shown[:nav], *said, *rest, *shown[nav:]]
    prefix = f"{listed(*WEB_TOOLS)}{system_text(memories)}<|user|>" + "\n".join(lines)
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
    case = draw_case(office, memories, goals)
    if page == site.start and rng.random() < 0.5:
        moves = walk(site, case.goal, case.plan)
        return None if case.failed else _web_query(office, site, case, moves, 0, refs)
    if page[0] != "home" and case.goal.noun != page[1]:
        return None
    if page[0] == "list":
        names = [k.removeprefix("link ") for k in refs if " list" not in k]
        case = _moved(case, rng.choice(names))
    if page[0] == "record":
        case = _moved(case, page[2])
    moves = walk(site, case.goal, case.plan)
    fits = [i for i in range(len(moves) + 1) if _page_of(case, moves, i) == page]
    fits = [i for i in fits if not case.failed or i >= _opening(moves)]
    fits = [i for i in fits if not case.over or i == _opening(moves)]
    if not fits:
        return None
    return _web_query(office, site, case, moves, rng.choice(fits), refs)


def _moved(case: Case, record: str) -> Case:
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
