"""The state machine under both doors: a call and a state give a state and an answer.

Pure: nothing here knows of tasks, doors or scores. A mistake of the caller changes nothing but the
log; a broken rule is counted, and an irreversible one locks the record and ends the case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.houses.house import House
from benchmarks.houses.office import Office, Tool
from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.rules import Rule
from instar.types import Result

__all__ = ["apply", "facts_line", "family_of", "finish"]

_LONG = 400
_LOOK = "{kind} {name}: {facts}"


class _Refused(Exception):
    """A mistake of the caller; its text is the answer."""


def apply(
    house: House, state: State, name: str, arguments: Mapping[str, Any]
) -> tuple[State, Result]:
    """Make one call.

    Returns:
        The next state, with the call in its log, and the answer.
    """
    call = Call(name, {k: _text(v) for k, v in arguments.items() if v is not None})
    try:
        state, result = _dispatch(house, state, _normal(house.office, state, call))
    except _Refused as refused:
        result = Result(text=str(refused), error=True, misuse=True)
    return replace(state, events=(*state.events, (call, result.text))), result


def finish(house: House, state: State) -> tuple[State, Result]:
    """The agent says that it is done: what must be done last is looked at now."""
    if state.over:
        return state, Result(text="the case is over", error=True)
    for entry in state.entries.values():
        for family in entry.families:
            rule = house.rule(family, entry, None)
            if rule is not None and not rule.kept_at_finish(entry):
                return _break(state, entry, rule, Call("finish", {}))
    return replace(state, over=True), Result(text="done")


def family_of(office: Office, tool: str, entry: Entry) -> str:
    """The family that a piece of work belongs to; facts tell apart those that share a tool."""
    found = office.by_tool.get(tool, ())
    fitting = [f for f in found if all(entry.facts.get(k) == v for k, v in f.facts.items())]
    own = [f for f in found if f.name == tool]
    return next((f.name for f in [*fitting, *own, *found]), tool)


def facts_line(entry: Entry) -> str:
    """What there is to see of a record, on one line."""
    facts = [f"{key} {value}" for key, value in entry.facts.items()]
    return ", ".join([*facts, *entry.trail])


def _text(value: Any) -> str:
    return (
        str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    )


def _normal(office: Office, state: State, call: Call) -> Call:
    """The call with blank optional arguments left out, or a refusal that says what is wrong."""
    tool = office.tools.get(call.name)
    if tool is None:
        raise _Refused(f"no tool {call.name}")
    if state.over:
        raise _Refused("the case is over")
    unknown = [k for k in call.arguments if k not in tool.parameters]
    if unknown:
        raise _Refused(f"{call.name} has no argument {unknown[0]}")
    filled = {k: v for k, v in call.arguments.items() if v}
    missing = [p for p in tool.parameters if p not in tool.optional and p not in filled]
    if missing:
        raise _Refused(f"{missing[0]} is missing")
    long = [k for k, v in filled.items() if len(v) > _LONG]
    if long:
        raise _Refused(f"{long[0]} is longer than {_LONG} letters")
    return Call(call.name, filled)


def _entry(state: State, tool: Tool, call: Call) -> Entry:
    name = call.arguments[tool.parameters[0]]
    entry = state.entries.get(name)
    if entry is None or tool.kind not in ("", entry.kind):
        raise _Refused(f"no {tool.kind or 'record'} {name}")
    return entry


def _dispatch(house: House, state: State, call: Call) -> tuple[State, Result]:
    tool = house.office.tools[call.name]
    if not tool.on_record:
        return _aside(house.office, state, tool, call.arguments[tool.values[0]])
    entry = _entry(state, tool, call)
    if tool.role == "look":
        return state, Result(
            text=_LOOK.format(kind=entry.kind, name=entry.name, facts=facts_line(entry))
        )
    if tool.role == "counter":
        return _at_counter(house, state, entry, tool, call.arguments[tool.values[0]])
    if tool.role:
        return _mark(house.office, state, entry, tool.said.format(**call.arguments))
    return _work(house, state, entry, call)


def _aside(office: Office, state: State, tool: Tool, value: str) -> tuple[State, Result]:
    """What is done to no record: open a place, act as somebody, wait for a time of the day."""
    said = tool.said.format(**{tool.values[0]: value})
    if tool.role == "open":
        return replace(state, opened=(*state.opened, value)), Result(text=said)
    if tool.role == "act":
        return replace(state, actors=(*state.actors, value)), Result(text=said)
    if value not in office.shifts:
        raise _Refused(f"{tool.values[0]} is none of {', '.join(office.shifts)}")
    if value == (*office.shifts[:1], *state.shifts)[-1]:
        raise _Refused(f"it is {value} already")
    return replace(state, shifts=(*state.shifts, value)), Result(text=said)


def _mark(office: Office, state: State, entry: Entry, said: str) -> tuple[State, Result]:
    text = office.done.format(kind=entry.kind, name=entry.name, said=said)
    return state.put(entry.after(said)), Result(text=text)


def _at_counter(
    house: House, state: State, entry: Entry, counter: Tool, action: str
) -> tuple[State, Result]:
    tool = house.office.work.get(action)
    family = family_of(house.office, action, entry)
    rule = house.rule(family, entry, None) if tool is not None else None
    if tool is None or tool.kind != entry.kind or rule is None or rule.kind != "place":
        raise _Refused(f"the {counter.name} does not take {action}")
    _once(entry, tool)
    return _done(house.office, state, entry, tool, family, {})


def _work(house: House, state: State, entry: Entry, call: Call) -> tuple[State, Result]:
    tool = house.office.work[call.name]
    _once(entry, tool)
    _check(house.office, state, tool, call)
    family = family_of(house.office, call.name, entry)
    rule = house.rule(family, entry, call)
    if rule is not None and not rule.kept(state, entry, call):
        return _break(state, entry, rule, call)
    return _done(house.office, state, entry, tool, family, call.arguments)


def _once(entry: Entry, tool: Tool) -> None:
    if not tool.repeats and tool.said in entry.trail:
        raise _Refused(f"{entry.title} is already {tool.said}")


def _check(office: Office, state: State, tool: Tool, call: Call) -> None:
    """Values must be well-formed, and records that they name must exist."""
    for name in tool.values:
        value, given = office.values.get(name), call.arguments.get(name)
        if value is None or given is None:
            continue
        if value.record:
            other = state.entries.get(given)
            if other is None or other.kind != value.record:
                raise _Refused(f"no {value.record} {given}")
        if value.accepts and not re.fullmatch(value.accepts, given):
            raise _Refused(f"{name} {value.wrong}")


def _done(
    office: Office,
    state: State,
    entry: Entry,
    tool: Tool,
    family: str,
    arguments: Mapping[str, str],
) -> tuple[State, Result]:
    families = tuple(sorted({*entry.families, family}))
    state = state.put(replace(entry, families=families))
    for change in tool.changes:
        touched = state.entries[arguments[change.on] if change.on else entry.name]
        value = change.value.format(**arguments)
        if change.add:
            value = str(int(touched.facts[change.fact]) + int(value))
        state = state.put(replace(touched, facts={**touched.facts, change.fact: value}))
    return _mark(office, state, state.entries[entry.name], tool.said)


def _break(state: State, entry: Entry, rule: Rule, call: Call) -> tuple[State, Result]:
    if rule.irreversible:
        state = replace(state.put(replace(entry, locked=True)), over=True)
    state = replace(state, broken=(*state.broken, rule.kind))
    return state, Result(text=rule.message(entry, call), error=True)
