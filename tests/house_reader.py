"""An agent that knows a house only from what it was told: it reads a refusal of the back office and
does as it says. It has no access to any rule; tests use it to prove that an answer says enough.
"""

import re
from collections.abc import Mapping, Sequence

from benchmarks.houses.records import Call

_QUOTED = re.compile(r'"([^"]+)"')


def facts_of(look: str) -> dict[str, str]:
    """Facts from the answer to a look."""
    line = look.partition(": ")[2]
    return dict(part.split(" ", 1) for part in line.split(", ") if " " in part)


def advised(
    said: str, told_of: str, record: str, looks: Mapping[str, str], work: Sequence[Call]
) -> list[Call]:
    """The calls for a record that follow from a refusal.

    Args:
        said: The refusal.
        told_of: The record that it was about, whose name it may hold.
        record: The record to work on now.
        looks: Answer to a look at each record.
        work: What the request says, on this record.
    """
    demand = said.partition(": ")[2].removeprefix("please ").removeprefix("only ")
    facts = facts_of(looks[record])
    outside = re.search(r" (?:unless|but not where) (\w+) is (\w+)$", demand)
    if outside and facts[outside[1]] == outside[2]:
        return list(work)
    demand = demand[: outside.start()] if outside else demand
    word = (_QUOTED.findall(demand) or [""])[0]
    word = re.sub(rf"-{told_of}$", f"-{record}", word)
    if demand.startswith("with "):
        return _with(demand, word, facts, work)
    if demand.endswith(" instead"):
        return [Call("desk", {"record": record, "action": c.name}) for c in work]
    if demand == "seal last":
        return [*work, Call("seal", {"record": record})]
    if demand == "confirm right after":
        return [c for one in work for c in (one, Call("confirm", {"record": record}))]
    if demand == "ship first":
        return sorted(work, key=lambda c: c.name != "ship")
    return [*_first(demand, word, record, facts, work), *work]


def _with(demand: str, word: str, facts: Mapping[str, str], work: Sequence[Call]) -> list[Call]:
    if demand.startswith("with text ending"):
        more = {"text": f"{work[0].arguments['text']} {word}"}
    elif named := re.fullmatch(r"with reason naming the (\w+)", demand):
        more = {"reason": facts[named[1]]}
    else:
        more = {"code": word}
    return [Call(c.name, {**c.arguments, **more}) for c in work]


def _first(
    demand: str, word: str, record: str, facts: Mapping[str, str], work: Sequence[Call]
) -> list[Call]:
    verb = demand.split()[0]
    if limit := re.search(r"above (\d+)", demand):
        numbers = [v for v in work[0].arguments.values() if v.isdecimal() and v != record]
        return (
            [Call("approve", {"record": record})] if _amount(numbers, facts) > int(limit[1]) else []
        )
    if verb == "approve":
        return [Call("approve", {"record": record})] if facts["size"] == "large" else []
    aside = {"open": "place", "become": "person", "wait": "until"}
    if verb in aside:
        return [Call(verb, {aside[verb]: word})]
    calls = [Call(verb, {"record": record, {"tag": "text", "assign": "person"}[verb]: word})]
    return [*calls, Call("log", {"record": record})] if "and log" in demand else calls


def _amount(numbers: Sequence[str], facts: Mapping[str, str]) -> int:
    return int(numbers[0] if numbers else facts["total"])
