"""A clerk without a model: does what a request of House Rules says, unless a memory says it otherwise.

It knows the words of requests and nothing of any house. A workflow it follows; by a lesson it changes what it
would have done, as the refusal in it says. It stands in for a model that takes good advice, so that what is
measured with it is the advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["bare", "planned", "worded"]

_MEMORY = re.compile(r"^task: (?P<when>.+?) \[(?P<label>m\d+)\] -> (?P<content>.+)$")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_VERBS = "refund|ship|cancel|fetch|discount|restock|close|reply|update|forward|archive|book|move"
_KINDS = {"order", "ticket", "item", "customer", "message", "slot"}
_WORK = re.compile(rf"\b({_VERBS}) .*")
_POLITE = re.compile(r"( (today|please|now|soon|at once))+$")


def planned(lines: Iterable[str], request: str) -> tuple[list[str], str]:
    """The calls for a request, one a text, and the label of the memory that they follow, if any.

    Args:
        lines: Of a prompt; those that are memories are read.
        request: Without words of courtesy, see `bare`.
    """
    found = []
    for line in lines:
        memory = _MEMORY.match(line)
        slots = memory and _slots(bare(memory["when"]), request)
        if memory and slots is not None:
            found.append((_fill(memory["content"], slots), memory["label"]))
    naive = _naive(request)
    advice = [(c, label) for c, label in found if c.startswith("for ")]
    for content, label in advice:
        demand = content.split(" ", 2)[2]
        return _avoid(naive, f"it -> advice: {demand}"), label
    for content, label in found:
        if " -> " not in content:
            return content.split("; "), label
    for content, label in found:
        return _avoid(naive, content), label
    return naive, ""


def worded(text: str) -> list[str]:
    """The name and the values of a call that is written as a text."""
    return [quoted or plain for quoted, plain in _WORD.findall(text)]


def bare(line: str) -> str:
    """The request without words of courtesy."""
    found = _WORK.search(line)
    return _POLITE.sub("", found.group(0) if found else line)


def _slots(when: str, request: str) -> dict[str, str] | None:
    parts = re.split(r"(\$\d+)", when)
    pattern = "".join(r"(\S+)" if p.startswith("$") else re.escape(p) for p in parts)
    match = re.fullmatch(pattern, request)
    names = [p for p in parts if p.startswith("$")]
    return dict(zip(names, match.groups(), strict=True)) if match else None


def _fill(content: str, slots: dict[str, str]) -> str:
    for name, value in slots.items():
        content = content.replace(name, value)
    return content


def _naive(request: str) -> list[str]:
    words = [w for w in request.replace("to ticket", "ticket").split() if w != "large"]
    if words[0] == "fetch":
        return [f"fetch {words[2]}", f"ship {words[2]}"]
    asked = words[: words.index("with")] if "with" in words else words
    names = [asked[i + 1] for i, w in enumerate(asked) if w in _KINDS]
    value = words[-1] if "with" in words else ""
    return [f"{words[0]} {name} {value}".strip() for name in names]


def _avoid(naive: list[str], lesson: str) -> list[str]:
    """The naive calls, changed as the refusal says."""
    demand = lesson.split(" -> ")[1].partition(": ")[2].removeprefix("please ")
    word = (re.findall(r'"([^"]*)"', demand) or [""])[0]
    plan = []
    for call in naive:
        name, record, *rest = call.split()
        first = demand.split()[0]
        if demand.startswith("with text"):
            plan.append(f'{name} {record} "{" ".join(rest)} {word}"')
        elif demand.startswith("with"):
            plan.append(" ".join([call, word]))
        elif demand.endswith("instead"):
            plan.append(f"desk {record} {word}")
        elif demand.endswith("last"):
            plan += [call, f"{first} {record}"]
        elif first in ("open", "become", "wait"):
            plan += [f"{first} {word}", call]
        elif demand.endswith("right after"):
            plan += [call, f"{first} {record}"]
        elif first not in ("tag", "assign", "log", "seal", "approve"):
            plan.append(call)
        else:
            more = [f"log {record}"] if "and log" in demand else []
            plan += [f"{first} {record} {word}".strip(), *more, call]
    return plan
