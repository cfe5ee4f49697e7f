"""The pages of the back office: a state rendered, a form understood."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmarks.houses.machine import facts_line
from benchmarks.houses.records import KINDS, SIDE_TOOLS, WORK_TOOLS, Call, Entry, State, Tool
from instar.types import Result

__all__ = ["call_of", "list_page", "record_page"]

_SIDE = [t for t in SIDE_TOOLS.values() if "write" in t.effects]


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.jinja")


def _work(kind: str) -> list[Tool]:
    return [tool for tool in WORK_TOOLS.values() if tool.kind == kind]


def _box(tool: Tool, value: str) -> tuple[str, str]:
    """Name and label of the box that a parameter is typed in; work tools share boxes by label."""
    if tool.name in WORK_TOOLS:
        return value, value
    return f"{tool.name}-{value}", f"{tool.name} {value}"


def list_page(root: str, house: int, state: State, kind: str, said: Result | None) -> str:
    """All records of a kind, as links."""
    names = sorted(e.name for e in state.entries.values() if e.kind == kind)
    title = f"{kind} list"
    return _template().render(
        root=root,
        house=house,
        kinds=KINDS,
        title=title,
        said=said,
        entry=None,
        listed=kind,
        names=names,
    )


def record_page(root: str, house: int, entry: Entry, said: Result | None) -> str:
    """One record with its facts, a box for each parameter and a button for each tool."""
    work = _work(entry.kind)
    boxes = dict(_box(tool, value) for tool in [*work, *_SIDE] for value in tool.values)
    return _template().render(
        root=root,
        house=house,
        kinds=KINDS,
        title=entry.title,
        said=said,
        entry=entry,
        facts=facts_line(entry),
        boxes=list(boxes.items()),
        work=[tool.name for tool in work],
        side=[tool.name for tool in _SIDE],
    )


def call_of(entry: Entry, form: Mapping[str, str]) -> Call | None:
    """The call that a posted form asks for, or None where it has no such button."""
    tools = {tool.name: tool for tool in [*_work(entry.kind), *_SIDE]}
    tool = tools.get(form.get("tool", ""))
    if tool is None:
        return None
    values = {value: form.get(_box(tool, value)[0], "") for value in tool.values}
    record = {} if tool.name == "open" else {tool.parameters[0]: entry.name}
    return Call(tool.name, record | values)
