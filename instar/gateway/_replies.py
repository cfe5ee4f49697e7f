"""What a model answered, out of the bytes that passed: one JSON object, or a stream of events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Replied", "replied"]


@dataclass(frozen=True)
class Replied:
    """A reply.

    Attributes:
        message: Of the assistant, in OpenAI's form.
        whole: Whether it came to its end.
    """

    message: dict[str, Any]
    whole: bool
    prompt_tokens: int = 0
    completion_tokens: int = 0


def replied(body: bytes, whole: bool) -> Replied | None:
    """The first choice of a chat completion; None where there is none in it.

    Args:
        body: As far as it came.
        whole: Whether that is all of it. Calls of a reply that broke off are left out.
    """
    if body.lstrip()[:1] == b"{":
        return _of_one(_json(body))
    return _of_stream(list(_events(body)), whole)


def _of_one(answer: Any) -> Replied | None:
    message = _choice(answer).get("message")
    if not isinstance(message, dict):
        return None
    kept = {k: v for k, v in message.items() if k in ("content", "tool_calls", "refusal")}
    if not kept.get("content") and kept.get("refusal"):
        kept["content"] = kept["refusal"]
    kept.pop("refusal", None)
    return Replied({"role": "assistant", **kept}, True, *_used(answer))


def _of_stream(events: list[Any], whole: bool) -> Replied | None:
    words: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    finished, used = False, (0, 0)
    for event in events:
        choice = _choice(event)
        finished = finished or bool(choice.get("finish_reason"))
        used = max(used, _used(event))
        delta = choice.get("delta")
        if isinstance(delta, dict):
            said = delta.get("content") or delta.get("refusal")
            words += [said] if isinstance(said, str) else []
            _join(calls, delta.get("tool_calls"))
    whole = whole and finished
    found = [calls[at] for at in sorted(calls)] if whole else []
    if not words and not found:
        return None
    message: dict[str, Any] = {"role": "assistant", "content": "".join(words) or None}
    message |= {"tool_calls": found} if found else {}
    return Replied(message, whole, *used)


def _join(calls: dict[int, dict[str, Any]], pieces: Any) -> None:
    """Add pieces of calls to those that came before."""
    for piece in pieces if isinstance(pieces, list) else ():
        function = piece.get("function") if isinstance(piece, dict) else None
        at = piece.get("index", 0) if isinstance(piece, dict) else None
        if not isinstance(function, dict) or not isinstance(at, int):
            continue
        empty = {"name": "", "arguments": ""}
        call = calls.setdefault(at, {"id": "", "type": "function", "function": empty})
        call["id"] = call["id"] or str(piece.get("id") or "")
        known = call["function"]
        known["name"] = known["name"] or str(function.get("name") or "")
        known["arguments"] += str(function.get("arguments") or "")


def _events(body: bytes) -> Iterator[Any]:
    for line in body.splitlines():
        if line.startswith(b"data:"):
            yield _json(line[5:])


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _choice(answer: Any) -> Mapping[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return {}


def _used(answer: Any) -> tuple[int, int]:
    usage = answer.get("usage") if isinstance(answer, dict) else None
    found = usage if isinstance(usage, dict) else {}
    prompt, completion = found.get("prompt_tokens"), found.get("completion_tokens")
    return _count(prompt), _count(completion)


def _count(found: Any) -> int:
    return found if isinstance(found, int) and found > 0 else 0
