"""Messages of LangChain as the service takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    convert_to_openai_messages,
)

__all__ = ["model_of", "plain", "task_of", "usage_of"]


def task_of(messages: Sequence[Any]) -> str:
    """What was asked last."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return message.text
        if isinstance(message, Mapping) and message.get("role") == "user":
            return str(message.get("content"))
        if isinstance(message, tuple) and message[0] in ("user", "human"):
            return str(message[1])
        if isinstance(message, str):
            return message
    raise ValueError("no message of a user")


def plain(messages: Sequence[AnyMessage | BaseMessage]) -> list[dict[str, Any]]:
    """Messages in OpenAI's form; answers of tools whose call is not among them are left out."""
    found: list[dict[str, Any]] = []
    open_calls: set[str] = set()
    for message in messages:
        told = dict(convert_to_openai_messages(message))
        if told["role"] == "assistant":
            open_calls = {str(call["id"]) for call in told.get("tool_calls", ())}
        elif isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                continue
            open_calls.discard(message.tool_call_id)
            told |= {"status": message.status}
        found.append(told)
    return found


def model_of(messages: Sequence[BaseMessage]) -> str:
    """The model that wrote the last of the messages that name theirs."""
    said = [m.response_metadata for m in messages if isinstance(m, AIMessage)]
    named = [str(m.get("model_name") or m.get("model") or "") for m in said]
    return next((name for name in reversed(named) if name), "")


def usage_of(messages: Sequence[BaseMessage]) -> dict[str, int]:
    used = [m.usage_metadata for m in messages if isinstance(m, AIMessage) and m.usage_metadata]
    return {
        "prompt_tokens": sum(u["input_tokens"] for u in used),
        "completion_tokens": sum(u["output_tokens"] for u in used),
    }
