"""A model without weights that writes instructions out of what was refused, as a good one would."""

import re

from benchmarks.studies._clerk_policy import bare
from instar.types import Reply, Usage

_EPISODE = re.compile(r"^Episode \d+: (.+)$")
_REFUSED = re.compile(r'^(\w+) "(\d+)".* -> (\w+: .+)$')
_NUMBER = re.compile(r"\b\d+\b")


class Writer:
    """One line a kind of task: what to do instead, in the form in which memories are read."""

    name, provider = "writer", "scripted"
    asked = 0

    async def complete(self, messages, tools, sampling):
        type(self).asked += 1
        told = messages[1]["content"]
        known = told.split("```")[1].strip().split("\n")
        content = "\n".join(["Here it is.", "```", *_with(known, told), "```"])
        used = Usage(calls=1, prompt_tokens=len(told) // 4, completion_tokens=len(content) // 4)
        return Reply(content=content, usage=used, provider="scripted")


def _with(known, told):
    lines, task = list(known), ""
    for line in told.split("\n"):
        begun, refused = _EPISODE.match(line), _REFUSED.match(line)
        if begun:
            task = bare(begun[1])
        elif refused:
            when = task
            for place, number in enumerate(dict.fromkeys(_NUMBER.findall(task)), 1):
                when = when.replace(number, f"${place}")
            rule = f"task: {when} [m{len(lines)}] -> {refused[1]} $1 -> {refused[3]}"
            if not any(line.startswith(f"task: {when} [") for line in lines):
                lines.append(rule)
    return lines
