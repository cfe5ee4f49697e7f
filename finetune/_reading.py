"""Calls of a model read by TRL as they are read when the model serves, whatever its form of calls.

TRL asks the tokenizer. Templates of responses, which transformers has for some models, know nothing
of the tools, and of pocket's calls only these tell which argument a position is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from instar._toolparse import parse_reply
from instar.types import ToolSpec

__all__ = ["read_calls"]


def read_calls(tokenizer: Any, template: Any = None) -> None:
    """Let a tokenizer read calls with the tools at hand.

    Args:
        tokenizer: It gets a ``parse_response`` of its own.
        template: Of responses, which TRL wants to see set; None keeps what there is.
    """
    kept = getattr(tokenizer, "response_template", None)
    tokenizer.response_template = template or kept or {}
    tokenizer.parse_response = partial(_read, tokenizer)


def _read(
    tokenizer: Any,
    response: str | Sequence[int],
    schema: object = None,
    *,
    prefix: object = None,
    tools: Sequence[dict[str, Any] | Callable[..., Any]] | None = None,
) -> dict[str, Any]:
    """One answer as a message; positions take their names from the tools."""
    from transformers.utils import get_json_schema

    schemas = [get_json_schema(t) if callable(t) else t for t in tools or ()]
    functions = [s.get("function", s) for s in schemas]
    specs = [ToolSpec(name=f["name"], parameters=f["parameters"]) for f in functions]
    text = response if isinstance(response, str) else tokenizer.decode(response)
    text = text.removesuffix(str(tokenizer.eos_token))
    content, calls = parse_reply(text, specs)
    made = [
        {"type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
    ]
    return {"role": "assistant", "content": content} | ({"tool_calls": made} if made else {})
