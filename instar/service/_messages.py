"""Turns of a session from messages in OpenAI's form, whoever wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from instar.types import Result, Step, ToolCall, ToolSpec

__all__ = ["BadMessage", "steps_of", "tools_of"]

_LONGEST = 20_000


class BadMessage(ValueError):
    """A message that is none."""


def steps_of(messages: Sequence[Mapping[str, Any]], before: Step | None = None) -> list[Step]:
    """One step for each message of the assistant, with the results that tools gave its calls.

    Args:
        before: The last step on record, whose calls the first messages of tools may answer; it
            then comes first, with what they said.

    Raises:
        BadMessage: A message has no known role, or its calls are not calls.
    """
    steps = [before] if before else []
    seen, answers = "", _answered(before)
    for number, message in enumerate(messages, 1):
        role = message.get("role")
        if role == "assistant":
            calls = _calls(message, number)
            steps.append(Step(observation=seen, content=_text(message), calls=calls))
            seen, answers = "", {}
        elif role in ("tool", "function"):
            _answer(steps, message, number, answers)
        elif role in ("user", "system", "developer"):
            seen = f"{seen}\n{_text(message)}".strip()
        else:
            raise BadMessage(
                f"message {number} has role {role!r}; there are assistant, tool, user, system and developer"
            )
    return steps


def _answered(step: Step | None) -> dict[str, Result]:
    """What tools said already, by the call; the first calls are taken to be answered first."""
    if step is None:
        return {}
    return {call.id: said for call, said in zip(step.calls, step.results, strict=False)}


def _text(message: Mapping[str, Any]) -> str:
    """Its words; of a message in parts those of the parts that have some."""
    content = message.get("content") or ""
    if isinstance(content, list):
        parts = (p.get("text", "") for p in content if isinstance(p, dict))
        content = "\n".join(part for part in parts if isinstance(part, str))
    return str(content)[:_LONGEST]


def _calls(message: Mapping[str, Any], number: int) -> tuple[ToolCall, ...]:
    alone = message.get("function_call")  # as it was before a message could hold several
    found = message.get("tool_calls") or ([{"function": alone}] if alone else [])
    if not isinstance(found, list):
        raise BadMessage(f"the tool_calls of message {number} are no list")
    return tuple(_call(call, number, place) for place, call in enumerate(found))


def _call(call: Any, number: int, place: int) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not name:
        raise BadMessage(f"call {place + 1} of message {number} names no function")
    given = function.get("arguments") or {}
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = {"arguments": given}  # as the model wrote it: that too is what happened
    if not isinstance(given, dict):
        given = {"arguments": given}
    return ToolCall(id=str(call.get("id") or f"call{place}"), name=name, arguments=given)


def _answer(
    steps: list[Step], message: Mapping[str, Any], number: int, answers: dict[str, Result]
) -> None:
    """Put what a tool said beside its call; tools may answer in any order."""
    calls = steps[-1].calls if steps else ()
    id = str(message.get("tool_call_id") or "")
    waiting = [call.id for call in calls if call.id not in answers]
    if not waiting or (id and id not in waiting):
        raise BadMessage(f"message {number} of a tool answers no call of the message before it")
    failed = message.get("status") == "error"
    answers[id or waiting[0]] = Result(text=_text(message), error=failed)
    results = tuple(answers[call.id] for call in calls if call.id in answers)
    steps[-1] = steps[-1].model_copy(update={"results": results})


def tools_of(specs: Sequence[Mapping[str, Any]]) -> tuple[ToolSpec, ...]:
    """Tools from their description in OpenAI's form.

    Raises:
        BadMessage: One names no function.
    """
    tools = []
    for number, spec in enumerate(specs, 1):
        function = spec.get("function", spec)
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not name:
            raise BadMessage(f"tool {number} names no function")
        parameters = function.get("parameters")
        tools.append(
            ToolSpec(
                name=name,
                description=str(function.get("description") or name),
                parameters=parameters if isinstance(parameters, dict) else {"type": "object"},
            )
        )
    return tuple(tools)
