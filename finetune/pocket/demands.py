"""What an office wants beside the request: an act of another tool, or a code, and how that is said.

A demand has a form (something is done *first*, *last* or *instead*, or *with* a code, or the words
mean nothing to the model: *strange*), words for it, and the plan that follows. The words vary: the
place word comes before or after, is another one or, for what comes first, is missing; fillers that
mean nothing stand around. No rule of any benchmark stands here: two acts at once, values made of a
record's own name, conditions and exceptions have no counterpart in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune.pocket.office import Act, Goal, Office, lift

__all__ = ["Demand", "draw_demand", "refused", "side_act"]

_FORMS = (
    "first",
    "first",
    "first",
    "last",
    "last",
    "instead",
    "instead",
    "with",
    "with",
    "strange",
)
_OPENINGS = ("rejected", "locked", "refused", "failed", "stopped", "escalated")
_FIRST = (
    *("{ask} first",) * 5,
    *("please {ask} first", "{ask} before", "before it {ask}", "first {ask}", "{ask} ahead of it"),
    *(
        "needs {ask}",
        "{ask} is missing",
        "no {ask} yet",
        "wants the {ask}",
        "the {ask} comes first",
    ),
)
_LAST = (
    *("{ask} last",) * 5,
    *("please {ask} last", "{ask} at the end", "{ask} when done", "when {word} {ask}"),
    *("{ask} when {word}", "not ended, {ask} after", "in the end {ask}", "{ask} after all"),
)
_INSTEAD = (
    *("{ask} instead",) * 4,
    *("please {ask} instead", "only {ask}", "rather {ask}", "{ask} in its place"),
)
_THROUGH = (
    "{main} by {tool}",
    "{tool} is for {main}",
    "{main} only at the {tool}",
    "{tool} does {main}",
)
_WITH = (
    *('with {code} "{value}"',) * 4,
    *('needs {code} "{value}"', 'use {code} "{value}"', 'only with {code} "{value}"'),
    *('{code} "{value}" is missing', '{code} must be "{value}"', 'no {code} "{value}"'),
)


@dataclass(frozen=True)
class Demand:
    """Words, form, and the plan that does what they ask; ``failed`` is the habit's act that is refused."""

    text: str
    form: str
    plan: tuple[Act, ...]
    failed: int


def side_act(office: Office, record: int | None, recorded: bool = False) -> Act | None:
    """An act of a side tool, on a record if the tool takes one."""
    sides = [s for s in office.sides if s.noun or not recorded]
    if not sides:
        return None
    tool = office.words.rng.choice(sides)
    value = office.words.name() if tool.param else None
    return Act(tool, record if tool.noun else None, value, main=False)


def draw_demand(office: Office, goal: Goal) -> Demand | None:
    """What an office may demand for a goal, or None where the form drawn does not fit it."""
    rng = office.words.rng
    at = rng.randrange(len(goal.habit))
    form = rng.choice(_FORMS)
    if form == "strange":
        return Demand(_strange(office), form, goal.habit, at)
    if form == "with":
        return _coded(office, goal, at)
    side = side_act(office, 1, recorded=form != "first")
    if side is None:
        return None
    if form == "instead":
        return _instead(office, goal, side, at)
    frame = rng.choice(_FIRST if form == "first" else _LAST)
    text = frame.format(ask=_asked(side), word=office.words.word())
    return Demand(_around(office, text), form, _placed(goal.habit, side, form), at)


def _asked(side: Act) -> str:
    """The tool and its value as words of a demand."""
    return " ".join([side.tool.name, *([lift(side.value)] if side.value else [])])


def _coded(office: Office, goal: Goal, at: int) -> Demand | None:
    tool = goal.habit[at].tool
    if not tool.code:
        return None
    rng, value = office.words.rng, office.words.name()
    text = rng.choice(_WITH).format(code=tool.code, value=value)
    plan = tuple(replace(a, code=value) if a.tool == tool else a for a in goal.habit)
    return Demand(_around(office, text), "with", plan, at)


def _instead(office: Office, goal: Goal, side: Act, at: int) -> Demand:
    """Another tool in place of the goal's: one with a value mostly takes the name of the goal's tool."""
    rng = office.words.rng
    main = goal.habit[0].tool
    alone = len({a.tool for a in goal.habit}) == 1
    if side.tool.param and alone and rng.random() < 0.7:
        side = replace(side, value=main.name)
    text = rng.choice(_INSTEAD).format(ask=_asked(side))
    if side.value == main.name and rng.random() < 0.4:
        text = rng.choice(_THROUGH).format(main=main.name, tool=side.tool.name)
    return Demand(_around(office, text), "instead", _placed(goal.habit, side, "instead"), at)


def _placed(habit: tuple[Act, ...], side: Act, form: str) -> tuple[Act, ...]:
    """The habit with another act for each record, or once where that act is on none."""
    if side.record is None:
        return (side, *habit)
    done: list[Act] = []
    for record in dict.fromkeys(a.record for a in habit):
        acts = [a for a in habit if a.record == record]
        extra = replace(side, record=record)
        done += {"first": [extra, *acts], "last": [*acts, extra], "instead": [extra]}[form]
    return tuple(done)


def _around(office: Office, text: str) -> str:
    """A demand with words around it that say nothing, mostly none."""
    rng = office.words.rng
    if rng.random() < 0.2:
        filler = " ".join(office.words.word() for _ in range(rng.randint(1, 3)))
        return rng.choice((f"{filler}, {text}", f"{filler} so {text}", f"{text} {filler}"))
    return text


def _strange(office: Office) -> str:
    """A few words, some in quotes, that ask for nothing the model knows."""
    rng = office.words.rng
    words = [office.words.name() for _ in range(rng.randint(1, 5))]
    return " ".join(f'"{w}"' if rng.random() < 0.25 else w for w in words)


def refused(office: Office, demand: Demand) -> str:
    """What the office says: how it refuses, and what it demands."""
    rng = office.words.rng
    opening = rng.choice(_OPENINGS) if rng.random() < 0.4 else office.words.word()
    if rng.random() < 0.2:
        opening = f"{opening} {office.words.word()}"
    if rng.random() < 0.25:
        return f"{demand.text} ({opening})"
    return f"{opening}: {demand.text}"
