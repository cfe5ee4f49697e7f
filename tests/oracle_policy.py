"""A model without weights for tests of the loop: it does what the instruction says, and follows
memories as a good model would. It knows nothing of any house: tools and memories are all it reads.
"""

from collections.abc import Sequence

from benchmarks.studies._clerk_policy import bare, planned, worded
from instar.types import Message, Reply, Sampling, ToolCall, ToolSpec, Usage


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
        instruction = bare(lines[-1])
        plan, label = self._plan(system, instruction)
        usage = Usage(calls=1, prompt_tokens=len(system + user) // 4, completion_tokens=8)
        text = plan[len(done)] if len(done) < len(plan) else "finish"
        cited = f"follow [{label}]" if label else ""
        return Reply(content=cited, calls=(_call(text, tools),), usage=usage, provider="scripted")

    def _plan(self, system: str, instruction: str) -> tuple[list[str], str]:
        return planned(system.split("\n"), instruction)


def _call(text: str, tools: Sequence[ToolSpec]) -> ToolCall:
    name, *values = worded(text)
    spec = next((t for t in tools if t.name == name), None)
    # A workflow from elsewhere may name a tool that is not here: the agent is told so.
    names = [a for a in spec.argument_names() if a not in spec.volatile] if spec else []
    return ToolCall(id="call_1", name=name, arguments=dict(zip(names, values, strict=False)))
