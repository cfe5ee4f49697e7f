"""From records to messages: one place, for serving and for training.

A turn is always two messages. The system message holds policy, the memories fenced as data, and a
fixed line of policy; the user message holds the latest observation in full, what was done so far
in one line a call, and the task last. A training row is one turn rendered by the same functions,
so what is trained is what was served; leaving out memories and citations is a matter of structure
(the list is empty, the field is not written), never of searching in text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from instar.structure import harmless
from instar.types import (
    MemoryKind,
    Message,
    Prompts,
    Recalled,
    Result,
    Step,
    Task,
    ToolCall,
    ToolSpec,
    Trajectory,
)

__all__ = [
    "assistant_message",
    "call_line",
    "done_lines",
    "memory_block",
    "memory_line",
    "messages",
    "row",
    "split_citation",
]

_RECITED = re.compile(r"^task: [^\n]*\[(m\d+)\] -> [^\n]*")
_CITED = re.compile(r"^[^\n]*\[(m\d+)\]")
_REFERENCE = re.compile(r"^e\d{1,3}$")
_ABOUT = {MemoryKind.PRINCIPLE: "always", MemoryKind.TOOL_NOTE: "tool"}
"""What the occasion of a memory is of, where it is not the task."""
_LINE_CHARACTERS = 160
_HISTORY_LINES = 24


def quote(value: Any) -> str:
    """A value as the compact call line writes it: element references bare, the rest quoted."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if _REFERENCE.match(text):
        return text
    return '"' + text.replace('"', '\\"').replace("\n", " ") + '"'


def call_line(
    call: ToolCall, spec: ToolSpec | None = None, write: Callable[[Any], str] = quote
) -> str:
    """A call on one line: its name, then the values in the order of the schema.

    An argument that is not given before one that is stands as a bare ``-``. Arguments that the
    tool marks as volatile are left out without a mark: they mean nothing later.

    Args:
        write: How a value is written.
    """
    order = spec.argument_names() if spec else tuple(call.arguments)
    volatile = spec.volatile if spec else ()
    names = [n for n in order if n not in volatile]
    while names and names[-1] not in call.arguments:
        names.pop()
    values = (write(call.arguments[n]) if n in call.arguments else "-" for n in names)
    return " ".join([call.name, *values])


def _first_line(result: Result) -> str:
    line = result.text.strip().split("\n", 1)[0]
    return line[:_LINE_CHARACTERS]


def done_lines(steps: Sequence[Step], tools: Sequence[ToolSpec]) -> list[str]:
    """Earlier calls, one line each with the first line of what came back; the oldest are cut."""
    specs = {t.name: t for t in tools}
    lines = [
        f"{call_line(call, specs.get(call.name))} -> {_first_line(result)}"
        for step in steps
        for call, result in zip(step.calls, step.results, strict=False)
    ]
    return lines[-_HISTORY_LINES:]


def memory_line(memory: Recalled, fences: Sequence[str] = ()) -> str:
    """A memory as the prompt shows it, on one line: when, label, what.

    Whatever it says, it cannot end the fence that it stands in, nor pass for another memory.

    Args:
        fences: Those of the prompts, where they have their own.
    """
    texts = (harmless(" ".join(t.split()), fences) for t in (memory.when, memory.content))
    when, content = texts
    return f"{_ABOUT.get(memory.kind, 'task')}: {when} [{memory.label}] -> {content}"


def memory_block(prompts: Prompts, memories: Sequence[Recalled]) -> str:
    """The memories that are shown, in their fence, and the policy behind it; empty where none is."""
    fences = prompts.memory_open, prompts.memory_close
    shown = [memory_line(m, fences) for m in memories if m.shown]
    parts = [prompts.memory_open, *shown, prompts.memory_close, prompts.after_memory]
    return "\n".join(p for p in parts if p) if shown else ""


def _system(prompts: Prompts, memories: Sequence[Recalled]) -> str:
    return "\n".join(p for p in (prompts.system, memory_block(prompts, memories)) if p)


def messages(
    prompts: Prompts,
    memories: Sequence[Recalled],
    task: Task,
    steps: Sequence[Step],
    observation: str,
    tools: Sequence[ToolSpec],
) -> list[Message]:
    """The two messages of a turn.

    Args:
        memories: All that were recalled; only those shown are rendered, from their turn on.
        steps: The turns before this one.
        observation: What there is to see now, in full.
    """
    known = [m for m in memories if m.since <= len(steps)]
    done = done_lines(steps, tools)
    parts = [observation.strip()]
    if done:
        parts += ["done:", *done]
    parts.append(f"task: {task.instruction}")
    return [
        {"role": "system", "content": _system(prompts, known)},
        {"role": "user", "content": "\n".join(p for p in parts if p)},
    ]


def split_citation(content: str) -> tuple[str, str, str | None]:
    """Part what a model wrote into citation, rest and the label cited.

    The citation is the first line through its last ``[mN]``, or the whole first line where it
    recites a memory in the form of `memory_line`; without a label it is empty.
    """
    found = _RECITED.match(content.strip()) or _CITED.match(content.strip())
    if found is None:
        return "", content.strip(), None
    return found.group(0), content.strip()[found.end() :].strip(), found.group(1)


def assistant_message(step: Step, citation: bool = True) -> Message:
    """What the model answered in a step, as an OpenAI message with decoded arguments."""
    content = "\n".join(p for p in (step.citation if citation else "", step.content) if p)
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in step.calls
    ]
    message: Message = {"role": "assistant", "content": content}
    return message | {"tool_calls": calls} if calls else message


def row(trajectory: Trajectory, index: int, memories: bool) -> dict[str, Any]:
    """One step of a trajectory as a training row.

    Args:
        index: Which step.
        memories: Whether the row keeps the memories shown and the citation, or has neither.

    Returns:
        ``prompt`` and ``completion`` in TRL's conversational form, and ``tools``.
    """
    step = trajectory.steps[index]
    shown = trajectory.memories if memories else ()
    prompt = messages(
        trajectory.prompts,
        shown,
        trajectory.task,
        trajectory.steps[:index],
        step.observation,
        trajectory.tools,
    )
    return {
        "prompt": prompt,
        "completion": [assistant_message(step, citation=memories)],
        "tools": [t.schema_openai() for t in trajectory.tools],
    }
