"""A model without weights for tests of the loop: it does what the instruction says, and follows
memories as a good model would. It knows nothing of any house: tools and memories are all it reads.
"""

import re
from collections.abc import Sequence

from instar.types import Message, Reply, Sampling, ToolCall, ToolSpec, Usage

_MEMORY = re.compile(r"^task: (?P<when>.+?) \[(?P<label>m\d+)\] -> (?P<content>.+)$")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_VERBS = "refund|ship|cancel|fetch|discount|restock|close|reply|update|forward|archive|book|move"
_KINDS = {"order", "ticket", "item", "customer", "message", "slot"}
_WORK = re.compile(rf"\b({_VERBS}) .*")
_POLITE = re.compile(r"( (today|please|now|soon|at once))+$")


class Obedient:
    """Habit without memory; with one, its workflow or its lesson."""

    name = "obedient"
    provider = "scripted"

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        system, user = messages[0]["content"], messages[1]["content"]
        lines = user.split("\n")
        done = lines[lines.index("done:") + 1 : -1] if "done:" in lines else []
        instruction = _bare(lines[-1])
        plan, label = self._plan(system, instruction)
        usage = Usage(calls=1, prompt_tokens=len(system + user) // 4, completion_tokens=8)
        text = plan[len(done)] if len(done) < len(plan) else "finish"
        cited = f"follow [{label}]" if label else ""
        return Reply(content=cited, calls=(_call(text, tools),), usage=usage, provider="scripted")

    def _plan(self, system: str, instruction: str) -> tuple[list[str], str]:
        found = []
        for line in system.split("\n"):
            memory = _MEMORY.match(line)
            slots = memory and _slots(_bare(memory["when"]), instruction)
            if memory and slots is not None:
                found.append((_fill(memory["content"], slots), memory["label"]))
        naive = _naive(instruction)
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


def _bare(line: str) -> str:
    """The instruction without words of courtesy."""
    found = _WORK.search(line)
    return _POLITE.sub("", found.group(0) if found else line)


def _slots(when: str, instruction: str) -> dict[str, str] | None:
    parts = re.split(r"(\$\d+)", when)
    pattern = "".join(r"(\S+)" if p.startswith("$") else re.escape(p) for p in parts)
    match = re.fullmatch(pattern, instruction)
    names = [p for p in parts if p.startswith("$")]
    return dict(zip(names, match.groups(), strict=True)) if match else None


def _fill(content: str, slots: dict[str, str]) -> str:
    for name, value in slots.items():
        content = content.replace(name, value)
    return content


def _naive(instruction: str) -> list[str]:
    words = [w for w in instruction.replace("to ticket", "ticket").split() if w != "large"]
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


def _call(text: str, tools: Sequence[ToolSpec]) -> ToolCall:
    name, *values = [quoted or bare for quoted, bare in _WORD.findall(text)]
    spec = next((t for t in tools if t.name == name), None)
    assert spec, (text, name)
    names = [a for a in spec.argument_names() if a not in spec.volatile]
    return ToolCall(id="call_1", name=name, arguments=dict(zip(names, values, strict=False)))
