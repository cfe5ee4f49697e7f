"""The pages of an office: a state rendered, a form understood.

Lists of more than ten records have pages and a search box. What is to be confirmed is asked for once
more in a dialog. There are no scripts: a dialog is a page with an open one on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmarks.houses.case import Case
from benchmarks.houses.machine import facts_line
from benchmarks.houses.office import Office, Tool
from benchmarks.houses.records import Call, Entry
from instar.types import Result

__all__ = ["NO", "SEARCH", "YES", "Place", "asks", "call_of", "list_page", "record_page"]

SEARCH, YES, NO = "search", "yes", "no"
_A_PAGE = 10


class Place(NamedTuple):
    """Where a page stands: the address of the case, and what to say on it once."""

    root: str
    said: Result | None = None


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.jinja")


def asks(tool: Tool) -> bool:
    """Whether the pages ask once more before they do it."""
    return tool.role == "confirm"


def _side(office: Office) -> list[Tool]:
    return [tool for tool in office.side.values() if "write" in tool.effects]


def _work(office: Office, kind: str) -> list[Tool]:
    return [tool for tool in office.work.values() if tool.kind == kind]


def _box(tool: Tool, value: str) -> tuple[str, str]:
    """Name and label of the box that a parameter is typed in; work tools share boxes by label."""
    return (f"{tool.name}-{value}", f"{tool.name} {value}") if tool.role else (value, value)


def _render(case: Case, place: Place, title: str, **more: Any) -> str:
    house = case.house
    return _template().render(
        root=place.root,
        said=place.said,
        title=title,
        office=house.office.page.format(house=house.number),
        kinds=list(house.office.kinds),
        notice=case.notice,
        **{"entry": None, "asked": None, **more},
    )


def list_page(case: Case, place: Place, kind: str, query: str = "", page: int = 1) -> str:
    """Records of a kind as links, ten a page; a search narrows them by what their names contain."""
    every = sorted(e.name for e in case.state.entries.values() if e.kind == kind)
    names = [name for name in every if query.lower() in name.lower()]
    last = max(1, -(-len(names) // _A_PAGE))
    page = min(max(1, page), last)
    first = (page - 1) * _A_PAGE
    return _render(
        case,
        place,
        f"{kind} list",
        listed=kind,
        names=names[first : first + _A_PAGE],
        long=len(every) > _A_PAGE,
        query=query,
        search=SEARCH,
        page=page,
        last=last,
        count=f"{first + 1} to {min(first + _A_PAGE, len(names))} of {len(names)}",
    )


def record_page(case: Case, place: Place, entry: Entry, asked: str = "") -> str:
    """One record with its facts, a box for each parameter and a button for each tool.

    Args:
        asked: Name of the tool that a dialog asks to confirm, if any.
    """
    office = case.house.office
    work, side = _work(office, entry.kind), _side(office)
    groups = [
        {
            "boxes": dict(_box(tool, value) for tool in tools for value in tool.values),
            "tools": [tool.name for tool in tools],
        }
        for tools in (work, side)
    ]
    return _render(
        case,
        place,
        entry.title,
        entry=entry,
        facts=facts_line(entry),
        groups=groups,
        asked=asked if asked in {t.name for t in side if asks(t)} else None,
        yes=YES,
        no=NO,
    )


def call_of(office: Office, entry: Entry, form: Mapping[str, str]) -> Call | None:
    """The call that a posted form asks for, or None where it has no such button."""
    tools = {tool.name: tool for tool in [*_work(office, entry.kind), *_side(office)]}
    tool = tools.get(form.get("tool", ""))
    if tool is None:
        return None
    values = {value: form.get(_box(tool, value)[0], "") for value in tool.values}
    record = {tool.parameters[0]: entry.name} if tool.on_record else {}
    return Call(tool.name, record | values)
