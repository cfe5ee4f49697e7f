"""A server of one's own that speaks OpenAI's format, asked without a library of providers in between.

What litellm does for such a server is to hand the request on, which takes it longer than everything
else in a turn. `openai`'s client is asked by its plain ``post``: ``create`` first walks the whole
request for types that JSON lacks, and ours has none.
"""

from __future__ import annotations

import asyncio
from typing import Any

from instar.errors import ModelFault

__all__ = ["OpenAIServer", "status_of"]

_PREFIX = "openai/"


class OpenAIServer:
    """An endpoint for chat completions.

    Args:
        url: Its base URL, such as ``http://127.0.0.1:8000/v1``.
        api_key: None takes the one of the environment.
        timeout: Seconds for one request.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        self._url, self._api_key, self._timeout = url, api_key, timeout
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(self, request: dict[str, Any]) -> Any:
        """One completion, as ``openai.types.chat.ChatCompletion``.

        Args:
            request: The body, the model's name with or without ``openai/``.

        Raises:
            openai.OpenAIError: The request failed; `status_of` says how.
            ModelFault: What came back is no completion.
        """
        from openai.types.chat import ChatCompletion

        body = request | {"model": request["model"].removeprefix(_PREFIX)}
        made = await self._connected().post("/chat/completions", cast_to=ChatCompletion, body=body)
        if not isinstance(made, ChatCompletion):
            raise ModelFault(f"{self._url} does not answer in OpenAI's format.")
        return made

    def _connected(self) -> Any:
        """The client of the running loop, to which its connections belong."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = AsyncOpenAI(
                base_url=self._url,
                api_key=self._api_key,
                timeout=self._timeout,
                max_retries=0,
                # The client's own would try to close itself in whatever loop runs when it is dropped.
                http_client=DefaultAsyncHttpxClient(),
            )
            self._loop = loop
        return self._client

    async def close(self) -> None:
        """Let go of the connections of the running loop."""
        if self._client is not None and self._loop is asyncio.get_running_loop():
            await self._client.close()
            self._client = None


def status_of(error: Exception) -> int | None:
    """The HTTP status of a failed request; 408 where no answer came in time, 503 where nobody listens."""
    from openai import APIConnectionError, APITimeoutError

    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    if isinstance(error, APITimeoutError):
        return 408
    return 503 if isinstance(error, APIConnectionError) else None
