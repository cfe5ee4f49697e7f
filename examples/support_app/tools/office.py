"""The back office over HTTP, as tools of LangChain.

``GET`` tells which tools there are, in OpenAI's form; ``POST`` of a name and arguments uses one and answers
``{"text": ..., "error": ...}``.
"""

from __future__ import annotations

from typing import Any

import httpx
from langchain_core.tools import BaseTool, StructuredTool, ToolException

__all__ = ["office_tools"]

_PATIENCE = 30.0


def office_tools(url: str) -> list[BaseTool]:
    """The tools of the office at an address.

    Raises:
        httpx.HTTPError: The office does not answer.
    """
    answer = httpx.get(url, timeout=_PATIENCE).raise_for_status()
    return [_tool(url, spec["function"]) for spec in answer.json()]


def _tool(url: str, function: dict[str, Any]) -> BaseTool:
    name = function["name"]

    def use(**arguments: Any) -> str:
        asked = {"name": name, "arguments": arguments}
        told = httpx.post(url, json=asked, timeout=_PATIENCE).raise_for_status().json()
        if told["error"]:
            raise ToolException(told["text"])
        return str(told["text"])

    return StructuredTool(
        name=name,
        description=function.get("description") or name,
        args_schema=function.get("parameters") or {"type": "object", "properties": {}},
        func=use,
        # What the office refuses is for the model to read.
        handle_tool_error=True,
    )
