"""The state machine under both doors: a call and a state give a state and an answer.

Pure: nothing here knows of tasks, doors or scores. A mistake of the caller changes nothing but the
log; a broken rule is counted, and an irreversible one locks the record and ends the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.houses.house import House
from benchmarks.houses.records import SIDE_TOOLS, TOOLS, WORK_TOOLS, Call, Entry, State, Tool
from benchmarks.houses.rules import Rule
from instar.types import Result

__all__ = ["apply", "facts_line", "family_of", "finish"]


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
        state, result = _dispatch(house, state, _normal(state, call))
    except _Refused as refused:
        result = Result(text=str(refused), error=True, misuse=True)
    return replace(state, events=(*state.events, (call, result.text))), result


def finish(house: House, state: State) -> tuple[State, Result]:
    """The agent says that it is done: what must be done last is looked at now."""
    if state.over:
        return state, Result(text="the case is over", error=True)
    for entry in state.entries.values():
        for family in entry.families:
            rule = house.rule(family, entry.large)
            if rule is not None and not rule.kept_at_finish(entry):
                return _break(state, entry, rule, Call("finish", {}))
    return replace(state, over=True), Result(text="done")


def family_of(tool: str, entry: Entry) -> str:
    """The family that a piece of work belongs to: what is shipped after delivery is an exchange."""
    if tool == "fetch" or (tool == "ship" and entry.facts.get("status") == "delivered"):
        return "exchange"
    return tool


def facts_line(entry: Entry) -> str:
    """What there is to see of a record, on one line."""
    facts = [f"{key} {value}" for key, value in entry.facts.items()]
    return ", ".join([*facts, *entry.trail])


def _text(value: Any) -> str:
    return (
        str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    )


def _normal(state: State, call: Call) -> Call:
    """The call with blank optional arguments left out, or a refusal that says what is wrong."""
    tool = TOOLS.get(call.name)
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
    return Call(call.name, filled)


def _entry(state: State, tool: Tool, call: Call) -> Entry:
    name = call.arguments[tool.parameters[0]]
    entry = state.entries.get(name)
    if entry is None or tool.kind not in ("", entry.kind):
        raise _Refused(f"no {tool.kind or 'record'} {name}")
    return entry


def _dispatch(house: House, state: State, call: Call) -> tuple[State, Result]:
    if call.name == "open":
        place = call.arguments["place"]
        return replace(state, opened=(*state.opened, place)), Result(text=f"{place} opened")
    tool = TOOLS[call.name]
    entry = _entry(state, tool, call)
    if call.name == "look":
        return state, Result(text=f"{entry.title}: {facts_line(entry)}")
    if call.name == "desk":
        return _at_desk(house, state, entry, call.arguments["action"])
    if call.name in SIDE_TOOLS:
        return _mark(state, entry, tool.said.format(**call.arguments))
    return _work(house, state, entry, call)


def _mark(state: State, entry: Entry, said: str) -> tuple[State, Result]:
    return state.put(entry.after(said)), Result(text=f"{entry.title} {said}")


def _at_desk(house: House, state: State, entry: Entry, action: str) -> tuple[State, Result]:
    tool = WORK_TOOLS.get(action)
    family = family_of(action, entry)
    rule = house.rule(family, entry.large)
    if tool is None or tool.kind != entry.kind or rule is None or rule.kind != "place":
        raise _Refused(f"the desk does not take {action}")
    _once(entry, tool)
    return _done(state, entry, tool, family, {})


def _work(house: House, state: State, entry: Entry, call: Call) -> tuple[State, Result]:
    tool = WORK_TOOLS[call.name]
    _once(entry, tool)
    if call.name == "restock" and not call.arguments["quantity"].isdecimal():
        raise _Refused("quantity is not a number")
    family = family_of(call.name, entry)
    rule = house.rule(family, entry.large)
    if rule is not None and not rule.kept(state, entry, call):
        return _break(state, entry, rule, call)
    return _done(state, entry, tool, family, call.arguments)


def _once(entry: Entry, tool: Tool) -> None:
    if tool.name not in ("restock", "update") and tool.said in entry.trail:
        raise _Refused(f"{entry.title} is already {tool.said}")


def _done(
    state: State, entry: Entry, tool: Tool, family: str, arguments: Mapping[str, str]
) -> tuple[State, Result]:
    facts = {k: arguments[k] for k in ("text", "email") if k in arguments}
    if tool.name == "restock":
        facts["stock"] = str(int(entry.facts["stock"]) + int(arguments["quantity"]))
    families = tuple(sorted({*entry.families, family}))
    return _mark(
        state, replace(entry, families=families, facts={**entry.facts, **facts}), tool.said
    )


def _break(state: State, entry: Entry, rule: Rule, call: Call) -> tuple[State, Result]:
    if rule.irreversible:
        state = replace(state.put(replace(entry, locked=True)), over=True)
    state = replace(state, broken=(*state.broken, rule.kind))
    return state, Result(text=rule.message(call), error=True)
