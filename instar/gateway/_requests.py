"""What a chat completion says of its session, and what of it is new; memories put into it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pydantic import ValidationError

from instar.errors import UserError
from instar.gateway._conversations import SYSTEM, Conversation, text_of
from instar.service import shapes

__all__ = ["Scope", "begun", "memories_in", "newest", "scope_of"]

_AGENT = "gateway"
_TASK, _TOOLS, _MODEL, _USER = 20_000, 200, 200, 80
_UNFIT = re.compile(r"^[^A-Za-z0-9]+|[^A-Za-z0-9._@+-]")


@dataclass(frozen=True)
class Scope:
    """A chat completion, and whose it is.

    Attributes:
        session: As the caller names it; empty where it does not.
    """

    asked: dict[str, Any]
    messages: list[dict[str, Any]]
    session: str
    agent: str
    subject: str | None
    shadow: bool


def scope_of(headers: Mapping[str, str], body: bytes, shadow: bool) -> Scope | None:
    """A request read; None where it is no chat completion, which its upstream will say.

    Args:
        shadow: Whether nothing is shown whatever the request says.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(messages, list) or not messages:
        return None
    if not all(isinstance(m, dict) for m in messages):
        return None
    user = asked.get("user")
    given = headers.get("instar-subject") or (named(user) if isinstance(user, str) else None)
    return Scope(
        asked,
        messages,
        headers.get("instar-session", ""),
        headers.get("instar-agent") or _AGENT,
        given or None,
        shadow or headers.get("instar-shadow", "").lower() in ("true", "1", "yes"),
    )


def named(user: str) -> str:
    """A user as the name of a subject; one that is none gets its hash behind what is left of it."""
    kept = _UNFIT.sub("-", user).strip("-")[:_USER]
    if kept == user:
        return user
    mark = blake2b(user.encode(errors="replace"), digest_size=6).hexdigest()
    return f"{kept}-{mark}".strip("-") if user else ""


def begun(scope: Scope) -> shapes.Begin:
    """The session that begins with a request.

    Raises:
        UserError: A name that a header gives is none.
    """
    tools = scope.asked.get("tools")
    known = [t for t in tools if _is_function(t)] if isinstance(tools, list) else []
    try:
        return shapes.Begin(
            agent=scope.agent,
            task=_task(scope.messages),
            subject=scope.subject,
            shadow=scope.shadow,
            tools=known[:_TOOLS],
            model=str(scope.asked.get("model") or "unknown")[:_MODEL],
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{first['loc'][0]} of a request: {first['msg']}") from error


def _is_function(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _task(messages: Sequence[Mapping[str, Any]]) -> str:
    """What was asked first."""
    for message in messages:
        if message.get("role") == "user" and (text := text_of(message).strip()):
            return text.encode(errors="replace").decode()[:_TASK]
    return "(nothing in words)"


def newest(
    messages: Sequence[dict[str, Any]], marks: Sequence[bytes], talk: Conversation
) -> list[dict[str, Any]]:
    """The messages of a history that are not on record yet, system messages left out.

    Args:
        marks: Of the messages, by `digests`.
    """
    since = 0
    if talk.tail in marks:
        since = len(marks) - list(reversed(marks)).index(talk.tail)
    elif not talk.fresh:
        # The agent has changed what lies behind it; what came after the last reply is surely new.
        spoken = [at for at, m in enumerate(messages, 1) if m.get("role") == "assistant"]
        since = spoken[-1] if spoken else 0
    return [m for m in messages[since:] if m.get("role") not in SYSTEM]


def memories_in(asked: Mapping[str, Any], text: str) -> bytes:
    """A request with memories at the end of its system message.

    Raises:
        ValueError: It holds what JSON does not.
    """
    first, *rest = asked["messages"]
    if first.get("role") not in SYSTEM:
        told = [{"role": "system", "content": text}, first, *rest]
    elif isinstance(first.get("content"), list):
        told = [first | {"content": [*first["content"], {"type": "text", "text": text}]}, *rest]
    else:
        said = f"{first.get('content') or ''}\n\n{text}".lstrip()
        told = [first | {"content": said}, *rest]
    return json.dumps({**asked, "messages": told}, allow_nan=False).encode()
