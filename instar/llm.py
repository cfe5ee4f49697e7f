"""Models behind a wire, through litellm; and the scripted model, re-exported from its own file.

litellm knows the providers; a server of one's own in OpenAI's format is asked directly. Everything
around it is decided here and in `_providers`, because it differs between them: one retry policy with
an injected sleep (litellm's own is switched off), one error with one line for whatever cannot be
mended by asking again, arguments decoded, a price only where one is known.
A server that leaves tool calls in the text (many do for open models) is read by `_toolparse`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from instar._openai_server import OpenAIServer
from instar._providers import explain, litellm, mendable, own_server_key, seconds_before
from instar._scripted import Scripted
from instar._toolparse import decode_arguments, parse_reply
from instar.errors import ModelFault, UserError
from instar.types import Message, Reply, Sampling, ToolCall, ToolSpec, Usage

__all__ = ["LiteLLM", "Scripted"]


class LiteLLM:
    """Any model that litellm reaches, such as ``anthropic/...``, ``ollama/...`` or a server by URL.

    Args:
        model: litellm's name of the model; with ``base_url`` a bare name means an OpenAI-format server.
        base_url: Server to ask instead of the provider's own.
        api_key: Key to send instead of the one in the environment.
        timeout: Seconds for one request.
        retries: How often to ask again after an answer that may pass (429, 5xx, no connection).
        sleep: How to wait between two requests.
        clock: Monotonic seconds, for what a request took.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 4,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if base_url and "/" not in model:
            model = f"openai/{model}"
        self.name = model
        self.provider = model.split("/", 1)[0] if "/" in model else _provider(model)
        self._base_url = base_url
        self._api_key = api_key or own_server_key(self.provider, base_url)
        own = base_url if self.provider == "openai" else None
        self._server = OpenAIServer(own, self._api_key, timeout) if own else None
        self._timeout = timeout
        self._retries = retries
        self._sleep = sleep
        self._clock = clock
        self._jitter = random.Random(0)

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        """Answer once.

        Raises:
            ModelFault: The request is refused for good, or failed after all retries.
        """
        request = self._request(messages, tools, sampling)
        for attempt in range(self._retries + 1):
            started = self._clock()
            # litellm raises a family of classes without a common base below Exception.
            try:
                response = await self._ask(request)
            except ModelFault:
                raise
            except Exception as error:
                if not mendable(error) or attempt == self._retries:
                    raise ModelFault(self._explain(error)) from error
                await self._sleep(seconds_before(attempt, error, self._jitter))
            else:
                return self._reply(response, tools, self._clock() - started)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Let go of connections that are ours; litellm keeps its own."""
        if self._server is not None:
            await self._server.close()

    def _request(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.name,
            "messages": [_wire(m) for m in messages],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        }
        if sampling.top_p != 1.0:
            # Several providers refuse a request that sets both temperature and top_p.
            request["top_p"] = sampling.top_p
        if tools:
            request["tools"] = [t.schema_openai() for t in tools]
        return request

    async def _ask(self, request: dict[str, Any]) -> Any:
        """The provider's answer, in OpenAI's form."""
        if self._server is not None:
            return await self._server.ask(request)
        return await litellm().acompletion(
            **request,
            timeout=self._timeout,
            api_base=self._base_url,
            api_key=self._api_key,
            num_retries=0,
            max_retries=0,
            # With tools litellm imports its MCP gateway, which fails where `mcp` is not installed.
            _skip_mcp_handler=True,
        )

    def _explain(self, error: Exception) -> str:
        """One line that says what went wrong and, where it is known, what to do."""
        if "LLM Provider NOT provided" in str(error):
            return _unknown(self.name)
        where = self._base_url or self.provider
        return explain(error, self.name, self.provider, where, self._timeout)

    def _reply(self, response: Any, tools: Sequence[ToolSpec], seconds: float) -> Reply:
        choice = response.choices[0] if response.choices else None
        message = choice.message if choice else None
        content = (message.content if message else None) or ""
        calls = tuple(
            ToolCall(
                id=c.id or f"call_{i}",
                name=c.function.name or "",
                arguments=decode_arguments(c.function.arguments),
            )
            for i, c in enumerate((message.tool_calls if message else None) or (), 1)
        )
        if tools and not calls:
            content, calls = parse_reply(content, tools)
        return Reply(
            content=content,
            calls=calls,
            usage=self._usage(response),
            model=response.model or self.name,
            provider=self.provider,
            finish=(choice.finish_reason if choice else None) or "stop",
            seconds=seconds,
        )

    def _usage(self, response: Any) -> Usage:
        used = getattr(response, "usage", None)
        hidden = getattr(response, "_hidden_params", None) or {}
        # A server of one's own has no list price, whatever its model is called.
        cost = None if self._base_url else hidden.get("response_cost")
        return Usage(
            calls=1,
            prompt_tokens=getattr(used, "prompt_tokens", 0) or 0,
            completion_tokens=getattr(used, "completion_tokens", 0) or 0,
            cost=cost,
        )


def _provider(model: str) -> str:
    """The provider that litellm takes a bare model name for."""
    library = litellm()
    try:
        return str(library.get_llm_provider(model)[1])
    except library.exceptions.BadRequestError as error:
        raise UserError(_unknown(model)) from error


def _unknown(model: str) -> str:
    return (
        f"Unknown model {model!r}: write pocket, local/DIR, scripted:FILE.jsonl, "
        "provider/model, or give a base URL."
    )


def _wire(message: Message) -> Message:
    """A message as the wire has it: arguments of tool calls are JSON strings."""
    if "tool_calls" not in message:
        return message
    calls = [
        {**c, "function": {**c["function"], "arguments": json.dumps(c["function"]["arguments"])}}
        for c in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}
