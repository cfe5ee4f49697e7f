"""One model of litellm's in the place of a server: the request's model does not matter, this one answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import cache
from types import TracebackType
from typing import Any, Self, get_type_hints

from instar._openai_server import status_of
from instar._providers import explain, litellm, own_server_key
from instar.gateway.upstream import CHAT, Answer, Asked, Fault

__all__ = ["LiteLLMUpstream"]

_MODELS = "/models"


class LiteLLMUpstream:
    """A model that litellm knows; its keys stand in the environment, as litellm names them.

    Args:
        model: Such as ``anthropic/claude-sonnet-4-5``.
        base_url: Server to ask instead of the provider's own.
        timeout: Seconds for one request.
    """

    def __init__(self, model: str, base_url: str | None = None, timeout: float = 600.0) -> None:
        self.name = model
        self._provider = model.partition("/")[0]
        self._base_url, self._timeout = base_url, timeout
        self._key = own_server_key(self._provider, base_url)

    async def __aenter__(self) -> Self:
        litellm()  # it takes seconds to import: now rather than in the first call
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def ask(self, asked: Asked) -> Answer:
        """Answer a chat completion, or what models there are.

        Raises:
            Fault: There is no answer.
        """
        path = asked.path.partition("?")[0]
        if path == CHAT and asked.method == "POST" and isinstance(asked.body, bytes):
            return await self._chat(asked.body)
        if path == _MODELS and asked.method == "GET":
            model = {"id": self.name, "object": "model", "created": 0, "owned_by": "litellm"}
            return _one(json.dumps({"object": "list", "data": [model]}).encode())
        raise Fault(
            f"With --model the gateway knows /v1{CHAT} and /v1{_MODELS} only; --upstream URL passes all on.",
            404,
        )

    async def _chat(self, body: bytes) -> Answer:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Fault("The request is no JSON.", 400) from error
        if not isinstance(given, dict) or not isinstance(given.get("messages"), list):
            raise Fault("The request has no list of messages.", 400)
        # Nothing else: litellm would take addresses and keys out of a request, too.
        request = {k: v for k, v in given.items() if k in _accepted() and v is not None}
        try:
            made = await litellm().acompletion(
                **request,
                model=self.name,
                timeout=self._timeout,
                api_base=self._base_url,
                api_key=self._key,
                num_retries=0,
                max_retries=0,
                _skip_mcp_handler=True,
            )
        except Exception as error:
            raise self._fault(error) from error
        if not given.get("stream"):
            return _one(made.model_dump_json(exclude_none=True).encode())
        return Answer(200, [(b"content-type", b"text/event-stream")], None, self._events(made))

    async def _events(self, made: Any) -> AsyncIterator[bytes]:
        try:
            async for chunk in made:
                yield b"data: " + chunk.model_dump_json(exclude_none=True).encode() + b"\n\n"
        except Exception as error:
            fault = self._fault(error)
            said = {"error": {"message": str(fault), "type": "upstream_error", "code": None}}
            yield b"data: " + json.dumps(said).encode() + b"\n\n"
            raise fault from error
        yield b"data: [DONE]\n\n"

    def _fault(self, error: Exception) -> Fault:
        where = self._base_url or self._provider
        said = explain(error, self.name, self._provider, where, self._timeout)
        found = status_of(error) or 502
        # Their names for: no answer in time, no connection, no key.
        status = (
            401 if "Missing credentials" in str(error) else {408: 504, 503: 502}.get(found, found)
        )
        return Fault(said, status if 400 <= status < 600 else 502)


@cache
def _accepted() -> frozenset[str]:
    """What OpenAI's format knows, without the model."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase

    return frozenset(get_type_hints(CompletionCreateParamsBase)) - {"model"} | {"stream"}


def _one(body: bytes) -> Answer:
    length = str(len(body)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    return Answer(200, headers, len(body), _all(body))


async def _all(body: bytes) -> AsyncIterator[bytes]:
    yield body
