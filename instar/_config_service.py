"""Settings of what stands beside somebody else's agent, and of what can be watched from outside."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from instar._config_agent import Section

__all__ = ["Service", "Telemetry"]


def _pattern(text: str) -> str:
    try:
        finds_nothing = re.compile(text).search("") is None
    except re.error as error:
        raise ValueError(f"this is no regular expression: {error}") from error
    if not finds_nothing:
        raise ValueError("this finds something in an empty text, and so everywhere")
    return text


class Service(Section):
    """What `serve`, `gateway` and `mcp` take out of sessions before they are written: what a regular
    expression of ``redact`` finds becomes ``[redacted]``.
    """

    redact: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()


class Telemetry(Section):
    """Spans of OpenTelemetry; with ``content`` they tell what was said, asked and remembered, too."""

    spans: bool = False
    content: bool = False
