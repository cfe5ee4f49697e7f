"""What asking a provider has in common, whatever is asked of it: litellm made quiet, when to ask
again and after how long, and one line that says what went wrong.
"""

from __future__ import annotations

import logging
import os
import random
from functools import cache
from typing import Any

from instar._openai_server import status_of

__all__ = ["explain", "litellm", "mendable", "own_server_key", "seconds_before"]

_LONGEST_WAIT = 60.0
_MENDABLE = frozenset({408, 409, 425, 429})
_KEYLESS = "no-key"
_UNREACHED = ("Connection error", "Cannot connect", "Connection refused")


@cache
def litellm() -> Any:
    """The library, quiet: no download of the price list, no telemetry, no log lines."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm as library

    library.telemetry = False
    library.suppress_debug_info = True
    library.drop_params = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return library


def own_server_key(provider: str, base_url: str | None) -> str | None:
    """Servers of one's own want no key, but OpenAI's client insists on having one."""
    needed = base_url is not None and provider in {"openai", "hosted_vllm"}
    return _KEYLESS if needed and not os.environ.get(f"{provider.upper()}_API_KEY") else None


def mendable(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    status = status_of(error)
    if status is None or "Missing credentials" in str(error):
        return False
    return status in _MENDABLE or status >= 500


def seconds_before(attempt: int, error: Exception, jitter: random.Random) -> float:
    """How long to wait: what the server asked for, else doubling with jitter."""
    asked = _retry_after(error)
    if asked is not None:
        return min(_LONGEST_WAIT, asked)
    return min(_LONGEST_WAIT, 2.0**attempt) * (0.5 + jitter.random() / 2)


def _retry_after(error: Exception) -> float | None:
    for holder in (error, error.__cause__, error.__context__):
        headers = getattr(getattr(holder, "response", None), "headers", None) or {}
        headers = headers or getattr(holder, "litellm_response_headers", None) or {}
        value = headers.get("retry-after", "")
        if value.replace(".", "", 1).isdigit():
            return float(value)
    return None


def explain(error: Exception, model: str, provider: str, where: str, timeout: float) -> str:
    """One line that says what went wrong and, where it is known, what to do.

    Args:
        error: What the request failed with.
        model: As the user has named it.
        provider: Its keys stand in a variable of this name.
        where: Base URL, or the provider.
        timeout: Seconds that were allowed.
    """
    # Some providers of litellm put a whole traceback into the message.
    text = " ".join(str(error).partition("Traceback (most recent call last)")[0].split())
    status = status_of(error)
    if status == 401 or "Missing credentials" in text:
        variable = f"{provider.upper()}_API_KEY"
        return f"{where} refused the key for {model!r}, or none is set: export {variable}=..."
    if status == 404:
        return f"{where} has no model {model!r}."
    if any(words in text for words in _UNREACHED):
        return f"{where} cannot be reached for model {model!r}: is the server running?"
    if status == 408:
        return f"{where} did not answer within {timeout:g} s for model {model!r}."
    return f"{where} failed for model {model!r}: {text[:300]}"
